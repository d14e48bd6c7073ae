package proxy

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestABoundBelongsToTheBucketBelowIt(t *testing.T) {
	var d durations
	for i, bound := range DurationBounds {
		d.add(int64(bound))
		d.add(int64(bound) + 1)
		if h := d.counted(); h.Counts[i+1] != 1 || h.Counts[i] != min(uint64(i)+1, 2) {
			t.Errorf("after %v and a nanosecond more: %v", bound, h.Counts)
		}
	}
	h := d.counted()
	if !slices.IsSorted(DurationBounds[:]) || h.Count() != 2*uint64(len(DurationBounds)) {
		t.Errorf("%d counted", h.Count())
	}
	var want time.Duration
	for _, bound := range DurationBounds {
		want += 2*bound + 1
	}
	if h.Sum != want {
		t.Errorf("sum %v, want %v", h.Sum, want)
	}
}

func TestAQuantileIsInterpolatedWithinItsBucket(t *testing.T) {
	ms := time.Millisecond
	tests := []struct {
		name string
		took []time.Duration
		q    float64
		want time.Duration
	}{
		{"of nothing", nil, 0.5, 0},
		{"of one, the bucket's end", []time.Duration{3 * ms}, 1, 5 * ms},
		{"of one, its middle", []time.Duration{3 * ms}, 0.5, 3750 * time.Microsecond},
		{"of the first bucket", []time.Duration{1}, 0.5, 250 * time.Microsecond},
		{"over empty buckets", []time.Duration{ms, time.Second}, 0.75, 750 * ms},
		{"at the end of a bucket", []time.Duration{ms, time.Second}, 0.5, ms},
		{"the least", []time.Duration{3 * ms, 300 * ms}, 0, 2500 * time.Microsecond},
		{"above all bounds", []time.Duration{time.Minute}, 0.5, 30 * time.Second},
		{"less than nothing", []time.Duration{3 * ms}, -1, 2500 * time.Microsecond},
		{"more than all", []time.Duration{3 * ms}, 2, 5 * ms},
	}
	for _, tt := range tests {
		var d durations
		for _, took := range tt.took {
			d.add(int64(took))
		}
		if got := d.counted().Quantile(tt.q); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Whatever was counted, a quantile is in the bucket of the true one and grows
// with q, and what came between two looks is their difference.
func TestQuantilesAreAsGoodAsTheBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		took := rapid.SliceOfN(rapid.Int64Range(1, int64(40*time.Second)), 1, 50).Draw(t, "took")
		earlier := rapid.SliceOfN(rapid.Int64Range(1, int64(40*time.Second)), 0, 20).Draw(t, "earlier")
		var d durations
		for _, n := range earlier {
			d.add(n)
		}
		before := d.counted()
		for _, n := range took {
			d.add(n)
		}
		h := d.counted().Sub(before)
		if h.Add(before) != d.counted() || h.Count() != uint64(len(took)) {
			t.Fatalf("%+v since %+v", h, before)
		}
		slices.Sort(took)
		last := time.Duration(0)
		for i := range took {
			q := (float64(i) + 0.5) / float64(len(took))
			got := h.Quantile(q)
			bucket := func(d time.Duration) int { n, _ := slices.BinarySearch(DurationBounds[:], d); return n }
			if want := time.Duration(took[i]); bucket(got) != min(bucket(want), len(DurationBounds)-1) || got < last {
				t.Fatalf("quantile %v is %v after %v, want the bucket of %v", q, got, last, want)
			}
			last = got
		}
	})
}
