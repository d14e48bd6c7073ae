package main

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// Histogram buckets are exact below 2^subBits nanoseconds; above, each power of two is cut into 2^subBits parts, so a
// bucket is at most 0.8 % wide.
const (
	subBits  = 7
	subCount = 1 << subBits
	// Longest latency that keeps its value is 2^maxBits ns, a little over a minute; longer ones fall into the last bucket.
	maxBits = 36
)

// histogram counts latencies in constant memory. The zero value is empty and ready; it is not safe for concurrent use.
type histogram struct {
	counts [(maxBits - subBits + 1) * subCount]uint64
	total  uint64
}

// add counts one latency; a negative one counts as zero.
func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.total++
}

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < subCount {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	i := shift*subCount + int(v>>shift)
	return min(i, (maxBits-subBits+1)*subCount-1)
}

// bucketTop is the largest latency that bucket i holds.
func bucketTop(i int) time.Duration {
	if i < subCount {
		return time.Duration(i)
	}
	shift := i/subCount - 1
	return time.Duration(uint64(subCount+i%subCount+1)<<shift - 1)
}

// quantile is the latency that the share q (0 to 1) of all requests did not exceed, rounded up to its bucket's end;
// 0 if nothing was counted.
func (h *histogram) quantile(q float64) time.Duration {
	rank := max(uint64(math.Ceil(q*float64(h.total))), 1)
	var seen uint64
	for i, n := range h.counts {
		seen += n
		if seen >= rank {
			return bucketTop(i)
		}
	}
	return 0
}

// median of values, the mean of the middle two for an even number, NaN for none. The slice stays as it is.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// ratio is one figure set against another, round by round.
type ratio struct {
	Median, Low, High float64
}

// known is false if there was nothing to set against.
func (r ratio) known() bool { return !math.IsNaN(r.Median) }

// ratios divides round by round, and only then takes the median: what disturbed a round disturbed both of its figures.
// All three are NaN when there is no round that both have.
func ratios(values, base []float64) ratio {
	n := min(len(values), len(base))
	each := make([]float64, 0, n)
	for i := range n {
		each = append(each, values[i]/base[i])
	}
	if n == 0 {
		return ratio{math.NaN(), math.NaN(), math.NaN()}
	}
	return ratio{median(each), slices.Min(each), slices.Max(each)}
}
