package timeline

// The style sheet has a pair of colours for each role. As on the dashboard, the primary is blue, the secondary orange
// and what fails crimson. Nothing depends on the fonts: texts are placed with room to spare.
const style = `
.tl-page{fill:#fff}.tl-text,.tl-title,.tl-soft,.tl-name,.tl-note,.tl-on{font-family:Inter,"Segoe UI",system-ui,-apple-system,"Helvetica Neue",Roboto,"Liberation Sans",sans-serif;font-size:11px;fill:#15202b;font-variant-numeric:tabular-nums}
.tl-halo{stroke:#fff;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}
.tl-title{font-size:16px;font-weight:600}.tl-name{font-weight:600}.tl-soft,.tl-note{fill:#54606d}.tl-note{font-size:12px}
.tl-grid{stroke:#e4e9ee}.tl-base{stroke:#7b8894}.tl-mark{stroke:#15202b;stroke-dasharray:3 3}
.tl-hit{fill:#15202b;fill-opacity:0}.tl-hit:hover{fill-opacity:.1}
.tl-o0{fill:#2f6fd0}.tl-o1{fill:#e08a1e}.tl-o2{fill:#12877f}.tl-o3{fill:#7fa62b}.tl-o4{fill:#5fb4e6}.tl-o5{fill:#8a6d4b}.tl-o6{fill:#8794a1}
.tl-on{font-weight:600;fill:#fff}.tl-on1,.tl-on3,.tl-on4{fill:#2a1800}
.tl-left{fill:#a9b3bd}.tl-shed{fill:#7a3cc2}.tl-refused{fill:#c2123f}.tl-aborted{fill:#15202b}.tl-hung{fill:#8c1d04}.tl-wrong{fill:#e0008a}
.tl-calm{fill:#dce2e8}.tl-bad{fill:#f6cbd8}.tl-edge{fill:#c2123f}
.tl-cut{stroke:#fff;fill:none}.tl-dot{fill:#fff}
.tl-p50{stroke:#15202b;stroke-width:1.6;fill:none}.tl-band{fill:#b9c4cf}
@media (prefers-color-scheme:dark){
.tl-page{fill:#161d24}.tl-text,.tl-title,.tl-name{fill:#e9eef3}.tl-soft,.tl-note{fill:#9fadba}
.tl-grid{stroke:#2a3540}.tl-base{stroke:#6b7a88}.tl-mark{stroke:#e9eef3}.tl-hit{fill:#fff}
.tl-o0{fill:#5b97f0}.tl-o1{fill:#f0a040}.tl-o2{fill:#35b3a8}.tl-o3{fill:#a3c94f}.tl-o4{fill:#9bd3f5}.tl-o5{fill:#b9976f}.tl-o6{fill:#8794a1}
.tl-on{fill:#0b1a30}.tl-halo{stroke:#161d24}
.tl-left{fill:#6b7a88}.tl-shed{fill:#b486f5}.tl-refused{fill:#ff5c80}.tl-aborted{fill:#e9eef3}.tl-hung{fill:#ff7d55}.tl-wrong{fill:#ff66c4}
.tl-calm{fill:#2f3b47}.tl-bad{fill:#5a1d31}.tl-edge{fill:#ff5c80}
.tl-cut{stroke:#161d24}.tl-dot{fill:#161d24}.tl-p50{stroke:#e9eef3}.tl-band{fill:#465463}
}
`

// patterns are what tells the failures apart without their colours. Each is drawn over a tile of six pixels.
var patterns = map[Result]string{
	Left:    `<path class="tl-cut" stroke-width="1.4" d="M1.5 0V6M4.5 0V6"/>`,
	Shed:    `<circle class="tl-dot" cx="1.5" cy="1.5" r="1"/><circle class="tl-dot" cx="4.5" cy="4.5" r="1"/>`,
	Refused: `<path class="tl-cut" stroke-width="1.2" d="M-1 7L7 -1M-1 1L1 -1M5 7L7 5"/>`,
	Aborted: `<path class="tl-cut" stroke-width="1" d="M0 0L6 6M0 6L6 0"/>`,
	Hung:    `<path class="tl-cut" stroke-width="1.4" d="M0 1.5H6M0 4.5H6"/>`,
	Wrong:   ``,
}

// overHatch marks what came by failover; it is drawn over the origin's colour.
const overHatch = `<path class="tl-cut" stroke-width="1.6" stroke-opacity=".75" d="M-1 -1L7 7M-1 5L1 7M5 -1L7 1"/>`

// define writes the style sheet and a pattern for each part of the stacks that needs one.
func (c *canvas) define(t *tally) {
	c.raw("<style>", style, "</style>\n<defs>\n")
	for _, k := range t.kinds {
		if k.result == Served {
			continue
		}
		name, drawing := patternOf(k), patterns[k.result]
		base := k.result.String()
		if k.result == FailedOver {
			base, drawing = "o"+number(float64(k.origin)), overHatch
		}
		c.raw(`<pattern id="`, c.id, "-", name[1:], `" width="6" height="6" patternUnits="userSpaceOnUse"><rect class="tl-`, base,
			`" width="6" height="6"/>`, drawing, "</pattern>\n")
	}
	c.raw("</defs>\n")
}

// patternOf returns the fill of a part of a stack.
func patternOf(k kind) string {
	switch k.result {
	case Served:
		return "o" + number(float64(k.origin))
	case FailedOver:
		return "#over" + number(float64(k.origin))
	}
	return "#" + k.result.String()
}
