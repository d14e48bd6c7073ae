package proxy

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

// A client that sends and never reads must not keep its connection, and what
// hangs on it, for longer than body_idle_timeout, whatever kind of answer it
// does not take. The client's side is a pipe, which takes nothing that is not
// read.
func TestClientThatNeverReadsIsGivenUp(t *testing.T) {
	t.Parallel()
	const post = "POST /a HTTP/1.1\r\nHost: a\r\nChaos-Size: 300000\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
	tests := []struct {
		name    string
		eu, us  chaos.Behaviour
		request string
		then    string // sent once the response is on its way
	}{
		{"a malformed head", chaos.OK(1), chaos.OK(1), "GET / HTTP/1.1\r\nbad field: x\r\n\r\n", ""},
		{"no route", chaos.OK(1), chaos.OK(1), "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ""},
		{"a response", chaos.OK(100_000), chaos.OK(1), "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""},
		{"a held response", chaos.Status(503), chaos.ResetBeforeHead(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""},
		{"a response to an upload that is then malformed", chaos.Early(200), chaos.OK(1), post, "no chunk\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, func(_ *rig, cfg *Config) { cfg.BodyIdleTimeout = 200 * time.Millisecond })
			g.eu.Set(tt.eu)
			g.us.Set(tt.us)
			client, ours := net.Pipe()
			defer client.Close()
			ended := make(chan struct{})
			g.srv.seats.take()
			go func() {
				defer close(ended)
				g.srv.serve(g.srv.listeners[0], ours)
			}()
			if _, err := io.WriteString(client, tt.request); err != nil {
				t.Fatal(err)
			}
			if tt.then != "" {
				chaos.Await(t, patience, "the response is on its way", func() bool {
					conns := g.srv.conns.all()
					return len(conns) == 1 && phase(conns[0].x.mark.Load()&phaseBits) == phaseBody
				})
				_, _ = io.WriteString(client, tt.then)
			}
			select {
			case <-ended:
			case <-time.After(patience):
				t.Error("the connection is still held")
			}
		})
	}
}

// A client that drips has a byte waiting at any moment. While the origin takes
// what it gets that is no reason to put the drip down to the origin: its breaker
// would open for nothing.
func TestAByteOfADrippingClientIsNotTheOriginsFault(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no way to ask a socket")
	}
	deaf := script(t, func(int, *peer) { <-t.Context().Done() })
	g := startRig(t, alone, withOrigin(deaf))
	_, c := halfHeader(t, g)
	origin, err := g.srv.current().table.routes[0].legs[failover.RolePrimary].pool.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	c.x.attach(origin, phaseUpload, noLimit)
	if c.stuck() {
		t.Error("a byte waits and the origin takes what it gets: that is not stuck")
	}
	go func() { _, _ = origin.Write(make([]byte, 32<<20)) }() // until it is closed
	chaos.Await(t, patience, "an origin that takes nothing more", c.stuck)
}
