package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// requestsCommand is "fairlead requests".
func requestsCommand(flags *flag.FlagSet) action {
	route := flags.String("route", "", "")
	failed := flags.Bool("failed", false, "")
	asJSON := flags.Bool("json", false, "")
	n := flags.Int("n", 20, "")
	return func(ctx context.Context, p *program, c *client, _ []string) error {
		if *n < 1 || *n > maxRows {
			return &usageError{"requests", fmt.Sprintf("-n must be from 1 to %d", maxRows)}
		}
		q := url.Values{"limit": {strconv.Itoa(*n)}}
		if *route != "" {
			q.Set("route", *route)
		}
		if *failed {
			q.Set("failed", "true")
		}
		raw, err := c.get(ctx, "/v1/requests", q)
		if err != nil {
			return err
		}
		if *asJSON {
			return p.printJSON(c, raw, true)
		}
		var all []adminapi.Request
		if err := c.decode(raw, &all); err != nil {
			return err
		}
		if len(all) == 0 {
			return say(p.stdout, "no such request is remembered")
		}
		v := viewOf(p.stdout)
		return say(p.stdout, v.requests(all[:min(len(all), *n)])...)
	}
}

// requests draws requests, oldest first, and below each what explains it.
func (v view) requests(all []adminapi.Request) []string {
	t := grid{columns: []column{
		{title: "TIME", least: 12}, {title: "STATUS", right: true}, {title: "RESULT", least: 11}, {title: "TOTAL", least: 7, right: true},
		{title: "BY", least: 4, shrinks: true, spare: 1}, {title: "REQUEST", shrinks: true},
	}}
	newest := slices.Backward(all)
	for _, r := range newest {
		colour := toneNone
		switch r.Result {
		case "failed_over", "left":
			colour = toneWarn
		case "failed", "shed", "refused":
			colour = toneBad
		}
		by := "-"
		if n := len(r.Attempts); n > 0 {
			by = r.Attempts[n-1].Origin
		}
		t.rows = append(t.rows, []cell{
			{r.Time.In(v.zone).Format("15:04:05.000"), toneNone}, {strconv.Itoa(r.Status), colour}, {r.Result, colour},
			{millis(r.TotalMS), toneNone}, {by, toneNone}, {r.Method + " " + r.Host + r.Target, toneNone},
		})
	}
	drawn := t.lines(v.width, v.paint)
	lines := drawn[:1:1]
	i := 1
	for _, r := range newest {
		lines = append(lines, drawn[i])
		i++
		for _, detail := range details(&r) {
			lines = append(lines, wrap("    "+detail, v.width, 6)...)
		}
	}
	return lines
}

// details is what there is to say of a request beyond its line: nothing, if it
// was served at its first attempt at once.
func details(r *adminapi.Request) []string {
	var said []string
	if r.QueuedMS > 0 {
		said = append(said, "queued for "+millis(r.QueuedMS))
	}
	if r.ParkedMS > 0 {
		said = append(said, "parked for "+millis(r.ParkedMS))
	}
	if len(r.Attempts) > 1 || r.Result != "served" || r.Status >= 500 {
		for i := range r.Attempts {
			said = append(said, attemptText(&r.Attempts[i]))
		}
		said = append(said, verdictText(r))
	}
	return slices.DeleteFunc(said, func(s string) bool { return s == "" })
}

// attemptText is one attempt in words.
func attemptText(a *adminapi.Attempt) string {
	text := fmt.Sprintf("%s, the %s: %s", a.Origin, cmp.Or(a.Role, "origin"), a.Class)
	if a.Status != 0 && a.Class == "ok" {
		text += " " + strconv.Itoa(a.Status)
	}
	if a.Why != "" {
		text += ", " + a.Why
	}
	if a.Simulated {
		return text
	}
	text += fmt.Sprintf(" (began at %s", millis(a.StartMS))
	switch {
	case a.Reused:
		text += ", on a pooled connection"
	case a.ConnectMS > 0:
		text += ", connected in " + millis(a.ConnectMS)
	}
	if a.FirstByteMS > 0 {
		text += ", first byte after " + millis(a.FirstByteMS)
	}
	if a.ConnRetry {
		text += ", after a dead connection was replaced"
	}
	if a.Address != "" {
		text += ", at " + a.Address
	}
	return text + ")"
}

// verdictText is why it ended as it did.
func verdictText(r *adminapi.Request) string {
	var parts []string
	if r.WhyNot != "" {
		parts = append(parts, "no failover: "+r.WhyNot)
	}
	if r.Error != "" {
		parts = append(parts, "answered by fairlead: "+r.Error)
	}
	if len(parts) > 0 && r.ID != "" {
		parts = append(parts, "id "+r.ID)
	}
	return strings.Join(parts, "; ")
}
