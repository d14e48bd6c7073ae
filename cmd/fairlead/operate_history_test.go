package main

import (
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/proxy"
)

func TestTheHistoryKeepsTenMinutesAndNoMore(t *testing.T) {
	var h history
	begin := time.Now()
	for i := range 2*historyKept + 7 {
		h.add(adminapi.Sample{At: begin.Add(time.Duration(i) * historyStep)})
		if n, want := len(h.all().Samples), min(i+1, historyKept); n != want {
			t.Fatalf("after %d samples there are %d, want %d", i+1, n, want)
		}
	}
	got := h.all().Samples
	for i, s := range got {
		if want := begin.Add(time.Duration(historyKept+7+i) * historyStep); !s.At.Equal(want) {
			t.Fatalf("sample %d is of %v, want %v", i, s.At, want)
		}
	}
	got[0].At = begin // a copy: nobody else sees it
	if h.all().Samples[0].At.Equal(begin) {
		t.Error("the samples are shared")
	}
}

func TestTheHistoryOfManyGroupsIsShorterAndBounded(t *testing.T) {
	const groups = 10_000
	var h history
	for range 2*historyMost/groups + 1 {
		h.add(adminapi.Sample{Groups: make([]adminapi.GroupSample, groups)})
	}
	if n := len(h.all().Samples) * groups; n > historyMost || n < historyMost/2 {
		t.Errorf("%d samples of groups are kept, want at most %d", n, historyMost)
	}
}

// A route that was removed and made again counts from nothing, in each of its
// counters: none may come out as the difference of two routes.
func TestACounterThatBeganAnewIsNoDifference(t *testing.T) {
	bucket := func(n uint64) (s proxy.RouteStats) {
		s.Accepted, s.SentPrimary, s.SentSecondary = n, n, n
		for i := range s.Durations {
			s.Durations[i].Counts[0] = n
		}
		s.Shed, s.Failed = n, n
		return s
	}
	tests := map[string]func(*proxy.RouteStats){
		"accepted": func(s *proxy.RouteStats) { s.Accepted = 1 }, "primary": func(s *proxy.RouteStats) { s.SentPrimary = 1 },
		"secondary": func(s *proxy.RouteStats) { s.SentSecondary = 1 }, "durations": func(s *proxy.RouteStats) { s.Durations[1].Counts[0] = 1 },
		"errors": func(s *proxy.RouteStats) { s.Shed, s.Durations[2].Counts[0] = 1, 1 },
	}
	for name, less := range tests {
		old, now := bucket(5), bucket(7)
		less(&now)
		var g groupSum
		g.add(old, now)
		if g.requests != now.Accepted || g.primary != now.SentPrimary || g.secondary != now.SentSecondary || g.errors != now.Shed+now.Failed {
			t.Errorf("%s: %+v", name, g)
		}
	}
	var g groupSum
	g.add(bucket(5), bucket(7))
	if g.requests != 2 || g.errors != 4 {
		t.Errorf("of the same route: %+v", g)
	}
}
