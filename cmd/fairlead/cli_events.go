package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// eventKinds are those of adminapi.Event.
var eventKinds = []string{
	"start", "flip", "verdict", "breaker", "pin", "unpin", "failback", "drain", "ready",
	"drill_started", "drill_stopped", "reload", "reload_failed", "dns", "certificate", "pause", "stop",
}

// maxRows is the most that -n asks for.
const maxRows = 1000

// eventsCommand is "fairlead events".
func eventsCommand(flags *flag.FlagSet) action {
	e := &eventLog{}
	following := flags.Bool("f", false, "")
	flags.BoolVar(&e.asJSON, "json", false, "")
	flags.Func("kind", "", func(s string) error {
		for kind := range strings.SplitSeq(s, ",") {
			if !slices.Contains(eventKinds, kind) {
				return fmt.Errorf("there is no kind %q, but %s", kind, listed(eventKinds))
			}
			e.kinds = append(e.kinds, kind)
		}
		return nil
	})
	flags.StringVar(&e.group, "group", "", "")
	n := flags.Int("n", 20, "")
	return func(ctx context.Context, p *program, c *client, _ []string) error {
		if *n < 0 || *n > maxRows {
			return &usageError{"events", fmt.Sprintf("-n must be from 0 to %d", maxRows)}
		}
		e.program, e.client, e.view = p, c, viewOf(p.stdout)
		if !*following {
			return e.past(ctx, *n)
		}
		ctx, stop := p.untilHangup(ctx)
		defer stop()
		return e.follow(ctx, *n)
	}
}

// eventLog prints events, oldest first, so that the newest stand beside the
// prompt.
type eventLog struct {
	program *program
	client  *client
	view    view
	kinds   []string // of any if there is none
	group   string
	asJSON  bool

	seq uint64 // of the last one that was seen; a restart doesn't begin anew
}

func (e *eventLog) query() url.Values {
	q := url.Values{}
	if len(e.kinds) > 0 {
		q["kind"] = e.kinds
	}
	if e.group != "" {
		q.Set("group", e.group)
	}
	return q
}

// past prints the last n events.
func (e *eventLog) past(ctx context.Context, n int) error {
	q := e.query()
	q.Set("limit", strconv.Itoa(max(n, 1)))
	raw, err := e.client.get(ctx, "/v1/events", q)
	if err != nil {
		return err
	}
	var docs []json.RawMessage // each is printed as it came
	if err := e.client.decode(raw, &docs); err != nil {
		return err
	}
	if len(docs) == 0 && e.group != "" {
		if err := e.knowGroup(ctx); err != nil {
			return err
		}
	}
	for i, doc := range slices.Backward(docs) {
		var event adminapi.Event
		if err := e.client.decode(doc, &event); err != nil {
			return err
		}
		e.seq = max(e.seq, event.Seq)
		if i >= n || !e.wanted(&event) {
			continue
		}
		if err := e.print(doc, &event); err != nil {
			return err
		}
	}
	return nil
}

// knowGroup is an error for a group that doesn't exist, of which nothing will
// ever be heard.
func (e *eventLog) knowGroup(ctx context.Context) error {
	var s adminapi.Status
	if err := e.client.status(ctx, &s); err != nil {
		return err
	}
	_, err := groupOf(&s, e.group)
	return err
}

// follow prints the last n events, and then each that happens.
func (e *eventLog) follow(ctx context.Context, n int) error {
	if err := e.past(ctx, n); err != nil {
		return err
	}
	broken := complaint{out: e.program.stderr}
	l := listener{
		connect: func(ctx context.Context) (*stream, error) {
			return e.client.open(ctx, "/v1/events", e.query(), strconv.FormatUint(e.seq, 10), eventsIdle)
		},
		do: func(m message) error {
			broken.over()
			return e.receive(m)
		},
		lost: broken.lost,
	}
	return l.run(ctx)
}

// receive takes an event of the stream.
func (e *eventLog) receive(m message) error {
	if m.event != "event" {
		return nil
	}
	var event adminapi.Event
	if err := e.client.decode(m.data, &event); err != nil {
		return err
	}
	e.seq = event.Seq
	if !e.wanted(&event) {
		return nil
	}
	return e.print(m.data, &event)
}

// wanted reports whether an event is of the kinds that were asked for. Of a group
// there are also the events of its origins and routes, which the API knows.
func (e *eventLog) wanted(event *adminapi.Event) bool {
	return len(e.kinds) == 0 || slices.Contains(e.kinds, event.Kind)
}

func (e *eventLog) print(doc []byte, event *adminapi.Event) error {
	if e.asJSON {
		return e.program.printJSON(e.client, doc, false)
	}
	return say(e.program.stdout, e.view.event(event)...)
}

const eventIndent = 31 // of the text: a time, a kind and their gaps

// event draws an event: when, what, why, and the probes that led to it.
func (v view) event(e *adminapi.Event) []string {
	text := e.Text
	if e.Cause != "" && !strings.Contains(text, e.Cause) {
		text += " (" + e.Cause + ")"
	}
	if e.By != "" && !strings.Contains(text, e.By) {
		text += ", by " + e.By
	}
	head := fmt.Sprintf("%s  %-13s  ", e.Time.In(v.zone).Format("Jan 02 15:04:05"), cutEnd(e.Kind, 13))
	lines := wrap(head+text, v.width, eventIndent+1)
	if len(e.Evidence) > 0 {
		probes := make([]string, len(e.Evidence))
		for i := range e.Evidence {
			probes[i] = probeText(&e.Evidence[i])
		}
		lines = append(lines, wrap(strings.Repeat(" ", eventIndent+1)+"probes: "+strings.Join(probes, ", "), v.width, eventIndent+1)...)
	}
	t := toneNone
	switch e.Level {
	case "warn":
		t = toneWarn
	case "error":
		t = toneBad
	}
	for i := range lines {
		lines[i] = coloured(lines[i], t, v.paint)
	}
	return lines
}
