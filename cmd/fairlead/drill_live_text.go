package main

import (
	"fmt"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/proxy"
)

const helpDrillLive = `A game day, on a fairlead that runs and its real requests:

  fairlead drill --live GROUP [--share 5%] [--for 1m] [--stop-at 1%]
                 [--reason TEXT] [--force] [--json]

Asks a running fairlead, by its admin API, to treat a share of a group's real
requests as if its primary had failed: they go to the secondary. Only those are
picked from that may fail over; a write never is. What the secondary fails, the
primary answers after all, so a client sees at most a delay. The drill ends by
itself when its time is over, when errors rise among the picked requests, when
the pointer leaves the primary, when one of the origins falls or is drained,
when a reload changes the group, and with the process; and on Ctrl-C. No breaker
and no verdict of the primary hears of it.

  --live GROUP       the group
  --share SHARE      how many of those requests are picked, 5% if left out
  --for TIME         how long at most, 1m if left out, up to 1h
  --stop-at SHARE    stop when the picked requests' share of errors is so much
                     above that of the others, with 3 errors at least; 1% if
                     left out
  --reason TEXT      why, for the others who look at the status and the log
  --force            even if nobody checks the health of the secondary
  --json             the API's document of the drill at its end
` + helpWhere + `
How it goes stands on stderr each second, what came of it on stdout: both sets
of requests, their errors and times, and a verdict. Exit codes of a live drill:

  0  it ran its course, or was stopped by Ctrl-C
  1  errors rose, something else ended it early, it was refused, or the API
     can't be reached; stderr says which
  2  wrong usage

Example:

  fairlead drill --live shop --share 5% --for 10m --reason "game day"
`

// liveWhys say why a drill ended, by the API's word for it.
var liveWhys = func() map[string]string {
	words := make(map[string]string, len(drillEndWords))
	for why, text := range drillEndWords {
		words[why.String()] = text
	}
	return words
}()

// liveWhy is why a drill ended, in a clause. One that is unknown here is told as it
// came.
func liveWhy(why string) string {
	if text, ok := liveWhys[why]; ok {
		return text
	}
	return why
}

// liveProgress is how a drill goes, in a line.
func liveProgress(d *adminapi.Drill, now, ends time.Time) string {
	return fmt.Sprintf("%s left; picked %d: %d secondary, %d rescued, %d failed; errors %s, others %s; p99 %s, others %s",
		age(max(ends.Sub(now), 0)), d.Picked.Requests, d.Secondary, d.Rescued, d.Failed,
		percentOf(d.Picked.Errors, d.Picked.Requests), percentOf(d.Others.Errors, d.Others.Requests), millis(d.Picked.P99MS), millis(d.Others.P99MS))
}

// live draws a drill that is over.
func (v view) live(g *adminapi.Group, d *adminapi.Drill) []string {
	row := func(what, origin string, c *adminapi.DrillCounts) []cell {
		t := toneGood
		if c.Errors > 0 {
			t = toneWarn
		}
		return []cell{
			{what, toneNone}, {origin, toneNone}, {fmt.Sprint(c.Requests), toneNone}, {fmt.Sprint(c.Errors), t},
			{percentOf(c.Errors, c.Requests), t}, {fmt.Sprint(c.Left), toneNone}, {millis(c.P50MS), toneNone}, {millis(c.P99MS), toneNone},
		}
	}
	table := grid{columns: []column{
		{title: "REQUESTS"}, {title: "ASKED FIRST", shrinks: true}, {title: "NUMBER", right: true}, {title: "ERRORS", right: true},
		{title: "SHARE", right: true, spare: 2}, {title: "LEFT", right: true, spare: 3}, {title: "P50", right: true, spare: 1}, {title: "P99", right: true},
	}}
	table.rows = [][]cell{row("picked", g.Secondary, &d.Picked), row("others", g.Primary, &d.Others)}
	lines := table.lines(v.width, v.paint)
	if d.Picked.Requests > 0 {
		lines = append(lines, wrap(fmt.Sprintf("Of the picked, %d were answered by %s, %d by %s after that had failed, and %d clients got an error or gave up.",
			d.Secondary, g.Secondary, d.Rescued, g.Primary, d.Failed), v.width, 0)...)
	}
	verdict, t := liveVerdict(g, d)
	for _, line := range wrap(verdict, v.width, 0) {
		lines = append(lines, coloured(line, t, v.paint))
	}
	return lines
}

// fewPicked is how many requests a drill must have picked for its verdict to mean
// much.
const fewPicked = 100

// failsItself is the share of errors from which on a primary is no measure for its
// secondary.
const failsItself = 0.01

// liveVerdict is what a drill has shown, in a sentence or two.
func liveVerdict(g *adminapi.Group, d *adminapi.Drill) (string, tone) {
	picked := percentOf(d.Picked.Errors, d.Picked.Requests)
	switch {
	case d.Why == "errors":
		return fmt.Sprintf("%s does not stand in for %s: errors rose to %s of what it was asked, %s, and the drill stopped itself. \"fairlead requests --failed\" has the last ones.",
			g.Secondary, g.Primary, picked, against(g, d)), toneBad
	case d.Why != "time" && d.Why != "operator":
		return fmt.Sprintf("The drill ended early, since %s: it proves nothing either way.", liveWhy(d.Why)), toneWarn
	case d.Picked.Requests == 0 && d.Picked.Left > 0:
		return fmt.Sprintf("The clients of all %s that were picked left before they were answered, so nothing is proved: drill for longer or with a larger --share.",
			count(int(d.Picked.Left), "request")), toneWarn
	case d.Picked.Requests == 0 && d.Others.Requests+d.Others.Left == 0 && d.NeverPicked != nil:
		return fmt.Sprintf("No request could be picked, so nothing is proved: %s. Write a longer timeout, or drill while other routes are asked, too.", neverPicked(d)), toneWarn
	case d.Picked.Requests == 0:
		return "No request was picked, so nothing is proved: drill at a busier time, for longer or with a larger --share.", toneWarn
	case d.Picked.Errors > 0 && float64(d.Others.Errors) > failsItself*float64(d.Others.Requests):
		return fmt.Sprintf("%s itself fails %s of what it is asked, so nothing is proved of %s, which failed %s: mend %s, then drill again. \"fairlead requests --failed\" has the last ones.",
			g.Primary, percentOf(d.Others.Errors, d.Others.Requests), g.Secondary, picked, g.Primary), toneBad
	}
	text, t := fmt.Sprintf("%s stands in for %s: it answered all of %s well", g.Secondary, g.Primary, count(int(d.Picked.Requests), "request")), toneGood
	if d.Picked.Errors > 0 {
		text, t = fmt.Sprintf("%s stands in for %s within --stop-at: %s of what it was asked failed, %s", g.Secondary, g.Primary, picked, against(g, d)), toneWarn
	}
	if slower(d) {
		text, t = text+fmt.Sprintf(", but slower: a p99 of %s against %s", millis(d.Picked.P99MS), millis(d.Others.P99MS)), toneWarn
	}
	text += "."
	if d.Picked.Requests < fewPicked {
		text += fmt.Sprintf(" %s are few: a longer drill says more.", count(int(d.Picked.Requests), "request"))
	}
	if d.NeverPicked != nil {
		text += fmt.Sprintf(" It proves nothing of some routes: %s.", neverPicked(d))
	}
	return text, t
}

// neverPicked says in a clause from which routes a drill could not pick, and why.
func neverPicked(d *adminapi.Drill) string {
	if len(d.NeverPicked) == 1 {
		return fmt.Sprintf("no request of route %s is ever picked, since its timeout is under %v, too little for both origins", d.NeverPicked[0], proxy.DrillMinLeft)
	}
	return fmt.Sprintf("no request of the routes %s is ever picked, since their timeout is under %v, too little for both origins", listed(d.NeverPicked), proxy.DrillMinLeft)
}

// against is what the primary's errors were meanwhile, in a clause.
func against(g *adminapi.Group, d *adminapi.Drill) string {
	if d.Others.Requests == 0 {
		return fmt.Sprintf("while %s was asked nothing", g.Primary)
	}
	return fmt.Sprintf("against %s at %s", percentOf(d.Others.Errors, d.Others.Requests), g.Primary)
}

// slower reports whether the picked requests took so much longer than the others
// that somebody would notice.
func slower(d *adminapi.Drill) bool {
	const noticed = 50
	return d.Others.Requests > 0 && d.Picked.P99MS > 2*d.Others.P99MS && d.Picked.P99MS-d.Others.P99MS > noticed
}
