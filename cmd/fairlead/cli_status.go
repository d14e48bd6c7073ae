package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// statusCommand is "fairlead status".
func statusCommand(flags *flag.FlagSet) action {
	asJSON := flags.Bool("json", false, "")
	watching := flags.Bool("watch", false, "")
	all := flags.Bool("all", false, "")
	return func(ctx context.Context, p *program, c *client, _ []string) error {
		if *watching {
			return p.watch(ctx, c, *asJSON, *all)
		}
		raw, err := c.get(ctx, "/v1/status", nil)
		if err != nil {
			return err
		}
		if *asJSON {
			return p.printJSON(c, raw, true)
		}
		var s adminapi.Status
		if err := c.decode(raw, &s); err != nil {
			return err
		}
		v := viewOf(p.stdout)
		v.all = *all
		v.height = max(v.height-1, 0) // the prompt comes below
		return say(p.stdout, v.status(&s, "")...)
	}
}

// printJSON prints a document as the API gave it.
func (p *program) printJSON(c *client, raw []byte, indent bool) error {
	text, err := plainJSON(raw, indent)
	if err != nil {
		return c.stranger(plain(err.Error()))
	}
	_, err = p.stdout.Write(text)
	return err
}

// section is a table of the status and how many of its rows, which come first,
// are in trouble.
type section struct {
	grid
	what    string
	trouble int
}

// status draws the whole status: what is wrong, then groups, origins and routes,
// in each those in trouble first. The warning is put on top unless it is "".
func (v view) status(s *adminapi.Status, warning string) []string {
	sections := []section{v.groups(s), v.origins(s), v.routes(s)}
	lines := v.heading(s, sections, warning)
	room := make([]int, len(sections))
	wants := make([]int, len(sections))
	available := v.height - len(lines) - 2*len(sections) // a blank line and a title each
	for i := range sections {
		wants[i] = len(sections[i].rows)
	}
	for i := range sections {
		room[i] = wants[i]
	}
	if v.height > 0 && !v.all {
		room = share(available, wants)
	}
	for i := range sections {
		lines = append(lines, "")
		lines = append(lines, v.rows(&sections[i], room[i])...)
	}
	return lines
}

// share hands out lines in turn, at least one to each that wants any.
func share(lines int, wants []int) []int {
	got := make([]int, len(wants))
	for round := true; round; {
		round = false
		for i := range wants {
			if got[i] < wants[i] && (lines > 0 || got[i] == 0) {
				got[i]++
				lines--
				round = true
			}
		}
	}
	return got
}

// rows draws a section in so many lines below its title. Where its rows are
// more, the last line counts those that are not shown.
func (v view) rows(s *section, room int) []string {
	lines := s.lines(v.width, v.paint)
	if room >= len(s.rows) {
		return lines
	}
	shown := max(room-1, 0)
	hidden, t := fmt.Sprintf("... and %s", count(len(s.rows)-shown, "more "+s.what)), toneNone
	if bad := s.trouble - shown; bad > 0 {
		hidden, t = fmt.Sprintf("%s, %d of them in trouble", hidden, bad), toneWarn
	}
	return append(lines[:1+shown], coloured(v.cut(hidden+" (--all shows them)"), t, v.paint))
}

func (v view) cut(s string) string {
	if v.width <= 0 {
		return s
	}
	return cutEnd(s, v.width)
}

// heading is what stands above the tables.
func (v view) heading(s *adminapi.Status, sections []section, warning string) []string {
	about := fmt.Sprintf("fairlead %s, %s for %s, pid %d, %d of %d connections", cutMiddle(s.Version, 24), s.State,
		age(seconds64(s.UptimeS)), s.PID, s.Connections.Open, s.Connections.Limit)
	config := fmt.Sprintf("%s, fingerprint %.12s, loaded %s ago", cutMiddle(s.Config.File, 40), s.Config.Fingerprint, age(s.Now.Sub(s.Config.Loaded)))
	lines := []string{coloured(v.cut(about), toneTitle, v.paint), v.cut(config)}
	if len(s.Config.Failed) > 0 {
		text := fmt.Sprintf("the last reload was refused, %s: %s", count(len(s.Config.Failed), "problem"), s.Config.Failed[0])
		lines = append(lines, coloured(v.cut(text), toneBad, v.paint))
	}
	if warning != "" {
		lines = append(lines, coloured(v.cut(warning), toneBad, v.paint))
	}
	var wrong []string
	for i := range sections {
		if n := sections[i].trouble; n > 0 {
			wrong = append(wrong, fmt.Sprintf("%d of %s", n, count(len(sections[i].rows), sections[i].what)))
		}
	}
	switch {
	case len(wrong) == 0 && warning != "":
		return lines // it was well, but who knows
	case len(wrong) == 0:
		return append(lines, coloured(v.cut("all is well"), toneGood, v.paint))
	}
	return append(lines, coloured(v.cut("in trouble: "+strings.Join(wrong, ", ")), toneWarn, v.paint))
}

func seconds64(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// ranked is a row and how much trouble it is in: 0 for the worst, inPeace for none.
type ranked struct {
	rank int
	row  []cell
}

const inPeace = 9

// sorted puts the rows in trouble first, and else keeps the API's order, so that
// a row moves only when its trouble does.
func sorted(what string, columns []column, rows []ranked) section {
	slices.SortStableFunc(rows, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	s := section{what: what, grid: grid{columns: columns}}
	for _, r := range rows {
		if r.rank < inPeace {
			s.trouble++
		}
		s.grid.rows = append(s.grid.rows, r.row)
	}
	return s
}

func (v view) groups(s *adminapi.Status) section {
	unfit := unfitOf(s)
	rows := make([]ranked, len(s.Groups))
	for i := range s.Groups {
		g := &s.Groups[i]
		rank, t := inPeace, toneGood
		switch {
		case g.Role == "none":
			rank, t = 0, toneBad
		case unfit[g.Target]:
			rank, t = 1, toneBad
		case g.Role == "secondary":
			rank, t = 2, toneWarn
		case g.Pin != nil, g.Drill != nil && g.Drill.Running:
			rank, t = 3, toneWarn
		}
		rows[i] = ranked{rank, []cell{
			{g.Name, toneNone}, {cmp.Or(g.Target, "none"), t}, {g.Role, t}, {age(s.Now.Sub(g.Since)), toneNone},
			{reasonOf(g), toneNone}, {v.next(g, s.Now), toneNone},
		}}
	}
	return sorted("group", []column{
		{title: "GROUP", least: 12, shrinks: true}, {title: "TARGET", least: 8, shrinks: true}, {title: "ROLE", least: 9},
		{title: "SINCE", least: 6, right: true}, {title: "REASON", least: 12, spare: 1}, {title: "NEXT", least: 19, shrinks: true, prose: true, spare: 2},
	}, rows)
}

// unfitOf are the origins that can't serve. The pointer's reason does not tell: with
// nowhere else to go it stays on an origin that falls, and one that both_down moved
// says so until it moves again, though both origins may be well by then.
func unfitOf(s *adminapi.Status) map[string]bool {
	unfit := make(map[string]bool)
	for i := range s.Origins {
		if o := &s.Origins[i]; o.Verdict == "down" || o.Drained {
			unfit[o.Name] = true
		}
	}
	return unfit
}

// reasonOf is why the pointer came to its target. It keeps the reason of a pin that
// is over until it moves.
func reasonOf(g *adminapi.Group) string {
	if g.Reason == "pin" && g.Pin == nil {
		return "was pinned"
	}
	return g.Reason
}

// next is what holds a pointer, or what will move it next.
func (v view) next(g *adminapi.Group, now time.Time) string {
	switch {
	case g.Drill != nil && g.Drill.Running:
		return v.drill(g.Drill, now)
	case g.Pin != nil:
		return "pinned " + v.pin(g.Pin, now)
	case g.FailbackAt != nil:
		return "fails back at " + clock(*g.FailbackAt, now, v.zone)
	case g.Follow != "":
		return "follows " + g.Follow
	case g.Role == "secondary" && g.Failback == "manual":
		return "fails back by hand"
	}
	return "-"
}

// drill is a drill that runs in words.
func (v view) drill(d *adminapi.Drill, now time.Time) string {
	text := fmt.Sprintf("drill %s until %s", percent(d.Share), clock(d.Until, now, v.zone))
	if d.By != "" {
		text += " by " + d.By
	}
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text
}

// pin is a pin in words.
func (v view) pin(p *adminapi.Pin, now time.Time) string {
	text := "until unpin"
	if p.Until != nil {
		text = "until " + clock(*p.Until, now, v.zone)
	}
	if p.By != "" {
		text += " by " + p.By
	}
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

func (v view) origins(s *adminapi.Status) section {
	rows := make([]ranked, len(s.Origins))
	for i := range s.Origins {
		o := &s.Origins[i]
		rank, t := inPeace, toneGood
		probe, failed := lastProbe(o.Probes)
		switch {
		case o.Verdict == "down":
			rank, t = 0, toneBad
		case o.Drained:
			rank, t = 1, toneWarn
		case failed:
			rank, t = 2, toneWarn
		case o.Verdict == "unknown":
			rank, t = 3, toneWarn
		case o.Verdict == "unchecked":
			t = toneNone
		}
		verdict, since := o.Verdict, "-"
		if o.Drained {
			verdict += ", drained"
		}
		if o.Since != nil {
			since = age(s.Now.Sub(*o.Since))
		}
		rows[i] = ranked{rank, []cell{
			{o.Name, toneNone}, {verdict, t}, {since, toneNone}, {probe, toneNone},
			{addresses(o.Addresses), toneNone}, {ofLimit(o.Connections, o.Limit), toneNone},
		}}
	}
	return sorted("origin", []column{
		{title: "ORIGIN", least: 12, shrinks: true}, {title: "VERDICT", least: 8}, {title: "SINCE", least: 6, right: true},
		{title: "LAST PROBE", least: 25, shrinks: true, prose: true, spare: 1}, {title: "ADDRESSES", shrinks: true, spare: 3},
		{title: "CONN", least: 6, right: true, spare: 2},
	}, rows)
}

// lastProbe is the last probe that counted, in words, and whether it failed.
func lastProbe(probes []adminapi.Probe) (text string, failed bool) {
	for _, p := range slices.Backward(probes) {
		if !p.Dropped {
			return probeText(&p), !p.OK
		}
	}
	return "-", false
}

func probeText(p *adminapi.Probe) string {
	text := p.Error
	if text == "" {
		text = fmt.Sprint(p.Status)
	}
	return text + " in " + millis(p.TookMS)
}

// addresses is the first address and how many there are besides.
func addresses(all []string) string {
	switch len(all) {
	case 0:
		return "none"
	case 1:
		return all[0]
	}
	return fmt.Sprintf("%s +%d", all[0], len(all)-1)
}

func ofLimit(n, limit int) string {
	if limit <= 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d/%d", n, limit)
}

func (v view) routes(s *adminapi.Status) section {
	rows := make([]ranked, len(s.Routes))
	for i := range s.Routes {
		r := &s.Routes[i]
		b := &r.Bulkhead
		breaker, open := breakers(r.Breakers)
		full := b.MaxConcurrent > 0 && b.InUse >= b.MaxConcurrent
		rank, use, waits := inPeace, toneNone, toneNone
		if b.Queued > 0 || b.Parked > 0 {
			rank, waits = 2, toneWarn
		}
		if open {
			rank = 1
		}
		if full {
			rank, use = 0, toneBad
		}
		broken := toneNone
		if open {
			broken = toneWarn
		}
		rows[i] = ranked{rank, []cell{
			{r.Name, toneNone}, {r.Group, toneNone}, {ofLimit(b.InUse, b.MaxConcurrent), use}, {fmt.Sprint(b.Queued), waits}, {fmt.Sprint(b.Parked), waits},
			{breaker, broken}, {short(r.Totals.Shed), toneNone}, {short(r.Totals.Failed), toneNone}, {short(r.Totals.Saved), toneNone},
		}}
	}
	return sorted("route", []column{
		{title: "ROUTE", least: 12, shrinks: true}, {title: "GROUP", shrinks: true, spare: 5}, {title: "IN USE", least: 7, right: true},
		{title: "QUEUED", right: true, spare: 2}, {title: "PARKED", right: true, spare: 3}, {title: "BREAKER", least: 8, shrinks: true, prose: true, spare: 1},
		{title: "SHED", least: 5, right: true, spare: 4}, {title: "FAILED", least: 5, right: true, spare: 4}, {title: "SAVED", least: 5, right: true, spare: 4},
	}, rows)
}

// breakers names those that don't let everything through, and reports whether one
// is open. One that is half-open waits for a request to try it, which may not come
// before the next failover: that is no trouble.
func breakers(all []adminapi.Breaker) (text string, open bool) {
	var moved []string
	for _, b := range all {
		if b.State != "closed" && b.State != "off" {
			moved = append(moved, b.Origin+" "+b.State)
		}
		open = open || b.State == "open"
	}
	if len(moved) > 0 {
		return strings.Join(moved, ", "), open
	}
	if len(all) > 0 && !slices.ContainsFunc(all, func(b adminapi.Breaker) bool { return b.State != "off" }) {
		return "off", false
	}
	return "closed", false
}
