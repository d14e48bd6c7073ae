// Package toxic puts a bad line in front of an address: a [Link] accepts connections and relays them, and toxics slow
// them down, slice them, cut them or break them on the way.
//
//	eu := chaos.NewOrigin(t, "eu")
//	link := toxic.New(t, eu.Addr())
//	proxy := startProxy(t, "http://"+link.Address())
//	link.Set(toxic.Latency(50*time.Millisecond, 10*time.Millisecond), toxic.Slice(7, 0).Down())
//	...
//	link.Clear()
//
// The toxics are those of Shopify's toxiproxy; the relay between them is written here, so that a change acts on open
// connections at once, half-closed connections stay so, a reset is one on both sides, and nothing is left behind. A link
// knows nothing of HTTP. It accepts at once, whatever the toxics: it can't make a connect slow.
package toxic

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// The aliases let the relay do without the library's name.
type (
	chunk = stream.StreamChunk
	stub  = toxics.ToxicStub
	pipe  = toxics.Toxic
)

func newStub(input <-chan *chunk, output chan<- *chunk) *stub {
	return toxics.NewToxicStub(input, output)
}

// kind is a toxic's place in the chain. Each direction has one of each kind at most.
type kind int

const (
	latency kind = iota // first, since it counts from a chunk's arrival
	bandwidth
	slicer
	limit
	slowClose
	silence
	reset
	kinds
)

// Toxic is one thing that is wrong with a line, in both directions if neither Up nor Down says otherwise. It is made by
// this package's functions and never changes; the zero value delays nothing.
type Toxic struct {
	kind kind
	up   bool // only on the way from the client
	down bool // only on the way to it
	make func() pipe
}

// Up is the toxic on the way from the client alone.
func (t Toxic) Up() Toxic {
	t.up, t.down = true, false
	return t
}

// Down is the toxic on the way to the client alone.
func (t Toxic) Down() Toxic {
	t.up, t.down = false, true
	return t
}

// Latency delays each chunk by d, give or take jitter, which is less than d. Their order stays. Parts of a millisecond
// do not count.
func Latency(d, jitter time.Duration) Toxic {
	return Toxic{kind: latency, make: func() pipe {
		return &toxics.LatencyToxic{Latency: d.Milliseconds(), Jitter: jitter.Milliseconds()}
	}}
}

// Bandwidth lets so many kilobytes pass in a second; 1 is the least.
func Bandwidth(kBps int64) Toxic {
	return Toxic{kind: bandwidth, make: func() pipe { return &toxics.BandwidthToxic{Rate: max(kBps, 1)} }}
}

// Slice cuts what passes into pieces of at most n bytes, each in a segment of its own, with a delay after each.
func Slice(n int, delay time.Duration) Toxic {
	return Toxic{kind: slicer, make: func() pipe {
		return &toxics.SlicerToxic{AverageSize: max(n, 1), Delay: int(delay.Microseconds())}
	}}
}

// LimitData lets n bytes pass on each connection, counted from when it is set, and then closes it.
func LimitData(n int64) Toxic {
	return Toxic{kind: limit, make: func() pipe { return &toxics.LimitDataToxic{Bytes: n} }}
}

// SlowClose holds the end of one side back for d.
func SlowClose(d time.Duration) Toxic {
	return Toxic{kind: slowClose, make: func() pipe { return &toxics.SlowCloseToxic{Delay: d.Milliseconds()} }}
}

// Timeout loses everything and closes a connection on which nothing has come for d; 0: never. When it is taken away,
// connections on which it was are closed, since they lack bytes.
func Timeout(d time.Duration) Toxic {
	return Toxic{kind: silence, make: func() pipe { return &toxics.TimeoutToxic{Timeout: d.Milliseconds()} }}
}

// Reset resets both sides of a connection d after the next bytes that come on it, which are lost.
func Reset(d time.Duration) Toxic {
	return Toxic{kind: reset, make: func() pipe { return &toxics.ResetToxic{Timeout: d.Milliseconds()} }}
}

// cleanUp closes what can't go on without its toxic, because bytes of it are lost.
func cleanUp(p pipe, s *stub) {
	if lossy, ok := p.(toxics.CleanupToxic); ok && !s.Closed() {
		lossy.Cleanup(s)
	}
}

func isReset(p pipe) bool {
	_, ok := p.(*toxics.ResetToxic)
	return ok
}

func noToxic() pipe { return &toxics.NoopToxic{} }

// newState is what a toxic remembers of a connection, nil for most.
func newState(p pipe) any {
	if stateful, ok := p.(toxics.StatefulToxic); ok {
		return stateful.NewState()
	}
	return nil
}

// hush keeps the library from writing to the console.
func hush() { zerolog.SetGlobalLevel(zerolog.Disabled) }
