package proxy

import (
	"sync/atomic"
	"time"
)

// DurationBounds are the upper bounds of a Histogram's buckets, each with what is
// equal to it; one more bucket takes what is above the last. They must not be
// changed.
var DurationBounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// Histogram is how long something took, many times. It is a value. The zero
// value has counted nothing.
type Histogram struct {
	// Counts are by bucket: Counts[i] is what took at most DurationBounds[i] and
	// more than the bound before it, and the last is what took longer than all
	// bounds.
	Counts [len(DurationBounds) + 1]uint64
	// Sum is how long all took together.
	Sum time.Duration
}

// Count is how much was counted.
func (h Histogram) Count() uint64 {
	var n uint64
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Add returns h and other together.
func (h Histogram) Add(other Histogram) Histogram {
	for i, c := range other.Counts {
		h.Counts[i] += c
	}
	h.Sum += other.Sum
	return h
}

// Sub returns what has come since older, which must be an earlier value of the
// same Histogram.
func (h Histogram) Sub(older Histogram) Histogram {
	for i, c := range older.Counts {
		h.Counts[i] -= c
	}
	h.Sum -= older.Sum
	return h
}

// Quantile estimates what a share q of all, from 0 to 1, took at most: 0.5 is the
// median. Within a bucket it takes the durations to be spread evenly. What is in
// the last bucket counts as the last bound, and of nothing the answer is 0.
func (h Histogram) Quantile(q float64) time.Duration {
	rank := min(max(q, 0), 1) * float64(h.Count())
	if rank == 0 && h.Count() == 0 {
		return 0
	}
	var below float64
	var from time.Duration
	for i, to := range DurationBounds {
		here := float64(h.Counts[i])
		if here > 0 && below+here >= rank {
			return from + time.Duration(float64(to-from)*(rank-below)/here)
		}
		below += here
		from = to
	}
	return from
}

// durations is a Histogram that is being counted. All of it is atomic, so that
// requests count without a lock.
type durations struct {
	counts [len(DurationBounds) + 1]atomic.Uint64
	sum    atomic.Int64
}

// add counts what took so many nanoseconds.
func (d *durations) add(took int64) {
	i := 0
	for i < len(DurationBounds) && took > int64(DurationBounds[i]) {
		i++
	}
	d.counts[i].Add(1)
	d.sum.Add(took)
}

// counted is what was counted so far.
func (d *durations) counted() (h Histogram) {
	for i := range d.counts {
		h.Counts[i] = d.counts[i].Load()
	}
	h.Sum = time.Duration(d.sum.Load())
	return h
}
