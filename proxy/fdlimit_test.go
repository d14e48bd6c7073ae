package proxy

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// However few descriptors there are and whatever is wished for, everybody gets
// some, and a reserve is left when all is taken.
func TestAReserveIsLeftWhenAllDescriptorsAreTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(32, 1<<21).Draw(t, "limit")
		open := rapid.IntRange(3, limit-24).Draw(t, "open")
		wanted := rapid.IntRange(0, 1<<21).Draw(t, "wanted")
		var d descriptors
		d.reserve(limit, open)
		clients, origins := d.divide(wanted)
		if clients < 1 || origins < 1 {
			t.Fatalf("nobody is served: %d clients, %d origins", clients, origins)
		}
		if wanted > 0 && clients > wanted {
			t.Fatalf("%d clients, more than were wished for", clients)
		}
		n := limit - open
		if left := n - clients - origins - 2*int(d.pipes.Load()); left < min(fdReserve, n/2)-1 {
			t.Fatalf("%d are left", left)
		}
		if d.last <= open || d.last > limit {
			t.Fatalf("the last begin at %d", d.last)
		}
	})
}

// The limits of usual systems, so that a change of the shares is seen.
func TestHowDescriptorsAreDivided(t *testing.T) {
	tests := []struct{ limit, open, wanted, clients, origins, pipes, last int }{
		{limit: 64, open: 10, wanted: 0, clients: 10, origins: 11, pipes: 3, last: 58},
		{limit: 256, open: 10, wanted: 0, clients: 58, origins: 58, pipes: 15, last: 226},
		{limit: 256, open: 160, wanted: 0, clients: 18, origins: 18, pipes: 6, last: 244},
		{limit: 256, open: 10, wanted: 1000, clients: 87, origins: 29, pipes: 15, last: 226},
		{limit: 1024, open: 10, wanted: 0, clients: 394, origins: 394, pipes: 63, last: 992},
		{limit: 1024, open: 10, wanted: 10, clients: 10, origins: 778, pipes: 63, last: 992},
		{limit: 1 << 20, open: 10, wanted: 0, clients: 458698, origins: 458698, pipes: 65535, last: 1<<20 - 32},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.limit, tt.open, tt.wanted), func(t *testing.T) {
			var d descriptors
			d.reserve(tt.limit, tt.open)
			got := tt
			got.clients, got.origins = d.divide(tt.wanted)
			got.pipes, got.last = int(d.pipes.Load()), d.last
			if got != tt {
				t.Errorf("got %+v, want %+v", got, tt)
			}
		})
	}
}

func TestPipesThatMayBeTakenComeBack(t *testing.T) {
	var d descriptors
	d.pipes.Store(2)
	for i, want := range []bool{true, true, false, false} {
		if d.takePipe() != want {
			t.Errorf("the splice number %d may begin: %v, want %v", i+1, !want, want)
		}
	}
	if d.givePipe(); !d.takePipe() {
		t.Error("a pipe that came back is gone")
	}
}

func TestAConnectionWithOneOfTheLastDescriptorsIsKnown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if d := (&descriptors{last: 1}); !d.scarce(nc) {
		t.Error("behind the line, and not scarce")
	}
	var d descriptors
	if d.boundless(); d.scarce(nc) || d.taken() {
		t.Error("scarce where there is no limit")
	}
}

// Only what the end of another connection can mend costs one.
func TestWhichFailuresOfAcceptAreForWantOfDescriptors(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EMFILE: true, syscall.ENFILE: true, syscall.ENOBUFS: true, syscall.ENOMEM: true,
		syscall.ECONNABORTED: false, syscall.EPERM: false, errors.New("other"): false,
	} {
		if got := outOfDescriptors(&net.OpError{Op: "accept", Err: err}); got != want {
			t.Errorf("%v: got %v", err, got)
		}
	}
}

// Clients that are busy doing harm don't push out one that merely pauses
// between two requests; one that has said nothing yet makes room at once.
func TestBusyNewcomersDoNotPushOutWhoMerelyPauses(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withServer(func(c *Config) { c.MaxConnections = 3 }))
	good := g.dial()
	r, err := good.Do(get)
	wantOK(t, r, err)
	silent := g.dial()
	for range 6 { // of which two get a place, and the others wait for one
		if err := g.dial().Send("GET / HTTP/1.1\r\nSlow: "); err != nil {
			t.Fatal(err)
		}
	}
	if !silent.Closed() {
		t.Error("a connection without a request kept its place")
	}
	for range 12 {
		r, err := good.Do(get)
		wantOK(t, r, err)
		<-time.After(2 * sweepEvery)
	}
}
