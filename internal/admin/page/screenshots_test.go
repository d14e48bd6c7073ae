package page

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var (
	screenshots = flag.String("screenshots", "", "a folder: TestScreenshots writes README's pictures there")
	allSizes    = flag.Bool("screenshots.all", false, "TestScreenshots writes every scene in every size")
)

// TestScreenshots draws the pictures in README:
//
//	go test ./internal/admin/page -run Screenshots -screenshots ../../../docs/images
//
// It needs Chromium, and the font Inter (Debian: fonts-inter) for the same
// letters. With -screenshots.all it draws what a designer wants to look at
// after a change: each scene on a phone, a desk and a wall.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("no -screenshots folder was named")
	}
	calm := newFake(t, calmStatus())
	calm.remember()
	outage := newFake(t, calmStatus())
	outage.outageScene()
	for _, scheme := range []string{"light", "dark"} {
		shot{f: outage, width: 1440, height: 900, scheme: scheme, name: "dashboard-" + scheme}.take(t)
	}
	if !*allSizes {
		return
	}
	many := newFake(t, wide(30, 1000))
	many.remember()
	open := func(b *tab) {
		b.Run(chromedp.Click(`//button[text()="product"]`))
		b.Wait(`document.querySelector(".requests")`)
		b.Click(`button[aria-label="Pin shop…"]`)
		b.Wait(`document.querySelector("dialog[open]")`)
	}
	for _, size := range [][2]int64{{390, 844}, {1440, 900}, {3840, 2160}} {
		for _, scheme := range []string{"light", "dark"} {
			s := shot{width: size[0], height: size[1], scheme: scheme}
			for name, f := range map[string]*fake{"calm": calm, "outage": outage, "many": many} {
				s.f, s.full, s.name = f, true, fmt.Sprintf("%s-%d-%s", name, size[0], scheme)
				s.take(t)
			}
			s.f, s.full, s.name, s.prepare = outage, false, fmt.Sprintf("dialog-%d-%s", size[0], scheme), open
			s.take(t)
		}
	}
}

// shot is one picture.
type shot struct {
	f             *fake
	width, height int64
	scheme, name  string
	full          bool // the whole page, not the window
	prepare       func(*tab)
}

// take draws the picture, as a test of its own so that its tab is closed: a
// browser holds six connections to one listener, and each page's stream is one.
func (s shot) take(t *testing.T) {
	t.Helper()
	t.Run(s.name, func(t *testing.T) {
		b := newTab(t, s.width, s.height)
		b.media(s.scheme, true)
		call(b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "UTC"})
		b.open(s.f)
		b.Wait(`document.querySelector(".chart .stroke").getAttribute("d")`)
		if s.prepare != nil {
			s.prepare(b)
		}
		take := chromedp.CaptureScreenshot()
		if s.full {
			take = chromedp.FullScreenshot(100)
		}
		picture, err := chromedp.Run(b.Context(), take)
		if err != nil {
			t.Fatal(err)
		}
		small := reduce(t, picture)
		if !s.full && s.width < 2000 && len(small) > 250<<10 {
			t.Errorf("%s takes %d bytes, more than a README should carry", s.name, len(small))
		}
		if err := os.WriteFile(filepath.Join(*screenshots, s.name+".png"), small, 0o600); err != nil {
			t.Fatal(err)
		}
	})
}

// reduce keeps the 256 most frequent colours: a drawing has few.
func reduce(t *testing.T, picture []byte) []byte {
	t.Helper()
	src, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	box := src.Bounds()
	counts := make(map[color.RGBA]int)
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(src.At(x, y)).(color.RGBA) }
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			counts[at(x, y)]++
		}
	}
	all := make([]color.RGBA, 0, len(counts))
	for c := range counts {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int { return cmp.Compare(counts[b], counts[a]) })
	var palette color.Palette
	for _, c := range all[:min(256, len(all))] {
		palette = append(palette, c)
	}
	index := make(map[color.RGBA]uint8, len(all))
	for _, c := range all {
		index[c] = uint8(palette.Index(c))
	}
	dst := image.NewPaletted(box, palette)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			dst.SetColorIndex(x, y, index[at(x, y)])
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, dst); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
