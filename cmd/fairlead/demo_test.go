package main

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/demo"
)

// testPace shows in about two seconds what showPace shows in twenty.
var testPace = pace{
	interval:     time.Second,
	fastInterval: 20 * time.Millisecond,
	failback:     200 * time.Millisecond,
	calm:         300 * time.Millisecond,
	away:         300 * time.Millisecond,
	patience:     15 * time.Second,
	row:          100 * time.Millisecond,
}

func TestDemoOnceShowsAWholeOutage(t *testing.T) {
	var out, errs strings.Builder
	p := program{stdout: &out, stderr: &errs}
	if err := p.demo(t.Context(), true, testPace); err != nil {
		t.Errorf("demo: %v", err)
	}
	if errs.Len() > 0 {
		t.Errorf("stderr got %q", errs.String())
	}
	story := regexp.MustCompile(`(?s)open   http://127\.0\.0\.1:\d+/ .*curl .*eu dies.*FLIP.*eu is mended.*eu is healthy.*FAILBACK.*` +
		`Outage   eu was dead.*GET      \d+ sent, \d+ answered.*POST     \d+ sent, \d+ answered.* 0 arrived twice.*Result   no covered request failed`)
	if !story.MatchString(out.String()) {
		t.Errorf("the story is not whole:\n%s", &out)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours though stdout is no terminal")
	}
}

func TestDemoEndsAtCtrlC(t *testing.T) {
	tests := []struct {
		name string
		once bool
		want error
	}{
		{name: "endless: done", once: false, want: nil},
		{name: "once: the outage was not shown", once: true, want: errInterrupted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			// The first answer that the timeline shows ends the demonstration.
			out := &trigger{when: "#", do: cancel}
			p := program{stdout: out, stderr: out}
			if err := p.demo(ctx, tt.once, testPace); !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
				t.Errorf("demo returned %v, want %v; output:\n%s", err, tt.want, &out.Builder)
			}
		})
	}
}

func TestDemoEndsWhenNobodyReads(t *testing.T) {
	p := program{stdout: brokenWriter{}, stderr: brokenWriter{}}
	if err := p.demo(t.Context(), false, testPace); !errors.Is(err, errBroken) {
		t.Errorf("demo returned %v, want %v", err, errBroken)
	}
}

// trigger keeps what is written and does something when a text comes.
type trigger struct {
	strings.Builder
	when string
	do   func()
}

func (w *trigger) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.when) {
		w.do()
	}
	return w.Builder.Write(p)
}

func TestTheVerdictNamesEachBrokenPromise(t *testing.T) {
	tests := []struct {
		name  string
		give  demo.Tally
		twice int
		want  string // empty: all were kept
	}{
		{name: "all kept", give: demo.Tally{Gets: 10, Posts: 1}},
		{name: "a POST that may not be repeated", give: demo.Tally{Gets: 10, Posts: 2, PostsFailed: 1}},
		{name: "failed", give: demo.Tally{Gets: 10, GetsFailed: 2, GetFailure: "GET: status 502"}, want: "2 covered requests failed, the last one with: GET: status 502"},
		{name: "twice", give: demo.Tally{Gets: 10}, twice: 1, want: "1 POST arrived twice"},
		{name: "lost", give: demo.Tally{Gets: 10, Lost: 1}, want: "1 POST was answered but arrived nowhere"},
		{name: "nothing happened", want: "no request was answered, so nothing is proved"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := judge(tt.give, tt.twice); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if colours(file) || colours(new(strings.Builder)) {
		t.Error("colours for what is no terminal")
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	t.Setenv("NO_COLOR", "1")
	if colours(null) {
		t.Error("colours in spite of NO_COLOR")
	}
}
