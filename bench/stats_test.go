package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuantilesAreExactToTheirBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Minute)), 1, 300).Draw(t, "latencies")
		q := rapid.SampledFrom([]float64{0, 0.5, 0.9, 0.99, 1}).Draw(t, "quantile")
		var h histogram
		for _, v := range values {
			h.add(time.Duration(v))
		}
		slices.Sort(values)
		exact := values[max(int(math.Ceil(q*float64(len(values)))), 1)-1]
		got := int64(h.quantile(q))
		if got < exact || float64(got) > float64(exact)*(1+1.0/subCount)+1 {
			t.Fatalf("quantile %v of %d values: got %d, exact %d", q, len(values), got, exact)
		}
	})
}

func TestBucketsFollowEachOtherWithoutGaps(t *testing.T) {
	for i := range (maxBits - subBits + 1) * subCount {
		top := bucketTop(i)
		if got := bucketOf(top); got != i {
			t.Fatalf("the top of bucket %d falls into %d", i, got)
		}
		if got := bucketOf(top + 1); got != i+1 && i+1 < (maxBits-subBits+1)*subCount {
			t.Fatalf("what follows bucket %d falls into %d", i, got)
		}
	}
}

func TestOddLatenciesAreCountedAtTheEnds(t *testing.T) {
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing: got %v", got)
	}
	h.add(-time.Second)
	if got := h.quantile(1); got != 0 {
		t.Errorf("a negative latency: got %v, want 0", got)
	}
	h.add(time.Hour)
	if got := h.quantile(1); got < time.Minute {
		t.Errorf("an hour: got %v, want the last bucket", got)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		name string
		give []float64
		want float64
	}{
		{"one", []float64{3}, 3},
		{"odd number, unsorted", []float64{9, 1, 5}, 5},
		{"even number", []float64{4, 1, 2, 9}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.give)
			if got := median(tt.give); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if !slices.Equal(before, tt.give) {
				t.Errorf("the values were moved: %v", tt.give)
			}
		})
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing: got %v, want NaN", got)
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	// The second round was disturbed: both figures tripled, the ratio didn't.
	got := ratios([]float64{10, 33, 12}, []float64{10, 30, 10})
	if want := (ratio{1.1, 1, 1.2}); math.Abs(got.Median-want.Median) > 1e-9 || got.Low != want.Low || got.High != want.High {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := ratios([]float64{1}, nil); got.known() || got.spread() != "–" || got.short() != "–" {
		t.Errorf("ratio to nothing: got %+v", got)
	}
}
