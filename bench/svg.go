package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// The chart's measures, in pixels.
const (
	chartWidth  = 800
	chartMargin = 16
	panelGap    = 32
	panelHead   = 34
	barHeight   = 16
	barStep     = 24
	labelWidth  = 104
	valueWidth  = 76
)

// Colours that stand out on white and on a dark page alike; the background is the page's own.
const (
	textColour  = "#7a838d"
	ownColour   = "#2f81f7"
	otherColour = "#9aa4af"
)

// chart draws CPU a request: a panel for each size, a bar for each proxy, each panel on a scale of its own that starts
// at zero. Two panels stand side by side.
func chart(sizes []sizeResult) string {
	panelWidth := (chartWidth - 2*chartMargin - panelGap) / 2
	most := 0
	for _, s := range sizes {
		most = max(most, len(s.Proxies))
	}
	panelHeight := panelHead + most*barStep + 16
	height := 48 + (len(sizes)+1)/2*panelHeight

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="system-ui, sans-serif" font-size="13" fill="%s">`+"\n",
		chartWidth, height, chartWidth, height, textColour)
	b.WriteString("<title>CPU time a request, by proxy and size of body</title>\n")
	fmt.Fprintf(&b, `<text x="%d" y="28" font-size="16" font-weight="600">CPU a request, one core, keep-alive (less is better)</text>`+"\n", chartMargin)
	for i, s := range sizes {
		x := chartMargin + i%2*(panelWidth+panelGap)
		y := 48 + i/2*panelHeight
		writePanel(&b, s, x, y, panelWidth)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func writePanel(b *strings.Builder, s sizeResult, x, y, width int) {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="600">%s</text>`+"\n", x, y+20, sizeName(s.Size))
	var cpu []float64
	for _, p := range s.Proxies {
		cpu = append(cpu, median(p.CPU))
	}
	if len(cpu) == 0 {
		return
	}
	scale := float64(width-labelWidth-valueWidth) / slices.Max(cpu)
	for i, p := range s.Proxies {
		top := y + panelHead + i*barStep
		length := max(cpu[i]*scale, 1)
		colour, weight := otherColour, "400"
		if p.Key == "fairlead" {
			colour, weight = ownColour, "600"
		}
		baseline := top + barHeight - 3
		fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="%s">%s</text>`, x, baseline, weight, html.EscapeString(p.Label))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`, x+labelWidth, top, length, barHeight, colour)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" font-weight="%s">%s</text>`+"\n", float64(x+labelWidth)+length+6, baseline, weight, micros(cpu[i]))
	}
}
