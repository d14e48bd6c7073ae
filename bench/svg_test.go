package main

import (
	"encoding/xml"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// elements reads the drawing strictly and returns the elements with the name given.
func elements(t *testing.T, svg, name string) []xml.StartElement {
	t.Helper()
	var found []xml.StartElement
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == name {
			found = append(found, e)
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func number(t *testing.T, e xml.StartElement, name string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(attribute(e, name), 64)
	if err != nil {
		t.Fatalf("%s of %v: %v", name, e, err)
	}
	return v
}

func TestBarsAreAsLongAsTheirFigures(t *testing.T) {
	bars := elements(t, chart(someSizes()), "rect")
	if len(bars) != 4 {
		t.Fatalf("%d bars, want 4", len(bars))
	}
	if own, nginx := number(t, bars[2], "width"), number(t, bars[3], "width"); math.Abs(own/nginx-0.8) > 0.01 {
		t.Errorf("bars of 40 and 50 are %v and %v long", own, nginx)
	}
	if attribute(bars[0], "fill") != ownColour || attribute(bars[1], "fill") != otherColour {
		t.Error("fairlead's bar does not stand out")
	}
}

func TestTheDrawingStaysWithinItsPage(t *testing.T) {
	sizes := append(someSizes(), someSizes()[0])
	svg := chart(sizes)
	height := number(t, elements(t, svg, "svg")[0], "height")
	for _, bar := range elements(t, svg, "rect") {
		if right := number(t, bar, "x") + number(t, bar, "width") + valueWidth; right > chartWidth {
			t.Errorf("a bar and its figure end at %v", right)
		}
		if bottom := number(t, bar, "y") + number(t, bar, "height"); bottom > height {
			t.Errorf("a bar ends at %v, the page at %v", bottom, height)
		}
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	sizes := someSizes()
	sizes[0].Proxies[0].Label = "a<b&c"
	if texts := elements(t, chart(sizes), "text"); len(texts) != 1+2+2*4 {
		t.Errorf("%d texts", len(texts))
	}
}

func TestAnEmptyComparisonIsDrawnEmpty(t *testing.T) {
	if bars := elements(t, chart([]sizeResult{{Size: 1}}), "rect"); len(bars) != 0 {
		t.Errorf("%d bars", len(bars))
	}
}
