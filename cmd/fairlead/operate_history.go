package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/proxy"
)

const (
	// historyStep is the time between two samples, and historyKept how many there
	// are: ten minutes.
	historyStep = 2 * time.Second
	historyKept = 300
	// historyMost bounds the samples of all groups together, which take 64 bytes
	// each: with more than 436 groups the time that is kept is shorter.
	historyMost = 1 << 17
)

// history is what the charts show.
type history struct {
	mu      sync.Mutex
	samples []adminapi.Sample // guarded by mu; oldest first
}

func (h *history) all() adminapi.History {
	h.mu.Lock()
	defer h.mu.Unlock()
	return adminapi.History{StepS: historyStep.Seconds(), Samples: append([]adminapi.Sample{}, h.samples...)}
}

func (h *history) add(s adminapi.Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := min(historyKept, max(historyMost/max(len(s.Groups), 1), 2))
	if over := len(h.samples) + 1 - kept; over > 0 {
		h.samples = slices.Delete(h.samples, 0, over)
	}
	h.samples = append(h.samples, s)
}

// clear forgets all.
func (h *history) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = nil
}

// sample takes samples until ctx ends, while there is an [admin] table: without
// one nobody can ask for them.
func (o *operator) sample(ctx context.Context) {
	ticker := time.NewTicker(historyStep)
	defer ticker.Stop()
	var last map[string]proxy.RouteStats
	var at time.Time
	if o.service.now().cfg.Admin != nil {
		last, at = o.counted(), time.Now()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if o.service.now().cfg.Admin == nil {
				o.history.clear()
				last = nil
				continue
			}
			now := time.Now()
			counts := o.counted()
			if last != nil {
				o.history.add(o.difference(last, counts, now, now.Sub(at)))
			}
			last, at = counts, now
		}
	}
}

// counted are the routes' counters by name.
func (o *operator) counted() map[string]proxy.RouteStats {
	counts := make(map[string]proxy.RouteStats)
	for _, s := range o.service.proxy.Stats() {
		counts[s.Route] = s
	}
	return counts
}

// difference is what happened from old to now, in each group. A route that a
// reload has made begins with nothing.
func (o *operator) difference(old, now map[string]proxy.RouteStats, at time.Time, took time.Duration) adminapi.Sample {
	cfg := o.service.now().cfg
	sums := make(map[string]*groupSum)
	s := adminapi.Sample{At: at.UTC(), Groups: make([]adminapi.GroupSample, len(cfg.Groups))}
	for i := range cfg.Groups {
		sums[cfg.Groups[i].Name] = &groupSum{}
	}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		if n, ok := now[r.Name]; ok {
			sums[r.Group].add(old[r.Name], n)
		}
	}
	for i := range cfg.Groups {
		s.Groups[i] = sums[cfg.Groups[i].Name].sample(cfg.Groups[i].Name, took.Seconds())
	}
	return s
}

// groupSum adds up the routes of one group.
type groupSum struct {
	requests, errors, primary, secondary uint64
	durations                            proxy.Histogram
}

func (g *groupSum) add(old, now proxy.RouteStats) {
	if now.Accepted < old.Accepted || now.SentPrimary < old.SentPrimary || now.SentSecondary < old.SentSecondary || fewer(now.Durations[:], old.Durations[:]) {
		old = proxy.RouteStats{} // another route of the same name
	}
	g.requests += now.Accepted - old.Accepted
	g.errors += now.Shed + now.Failed - old.Shed - old.Failed
	g.primary += now.SentPrimary - old.SentPrimary
	g.secondary += now.SentSecondary - old.SentSecondary
	for i := range now.Durations {
		g.durations = g.durations.Add(now.Durations[i].Sub(old.Durations[i]))
	}
}

func (g *groupSum) sample(group string, seconds float64) adminapi.GroupSample {
	return adminapi.GroupSample{
		Group:    group,
		Requests: float64(g.requests) / seconds, Errors: float64(g.errors) / seconds,
		Primary: float64(g.primary) / seconds, Secondary: float64(g.secondary) / seconds,
		P50MS: milliseconds(g.durations.Quantile(0.5)), P99MS: milliseconds(g.durations.Quantile(0.99)),
	}
}

// fewer reports whether any count in now is less than it was.
func fewer(now, old []proxy.Histogram) bool {
	for i := range now {
		for j := range now[i].Counts {
			if now[i].Counts[j] < old[i].Counts[j] {
				return true
			}
		}
	}
	return false
}
