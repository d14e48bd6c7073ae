package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// A header that does not come is not waited for any longer than a request's
// head is, or a handshake; nor one that comes in drops.
func TestAHeaderThatStopsIsCutOff(t *testing.T) {
	t.Parallel()
	v2 := headerV2(1, 0x11, "192.0.2.7", "198.51.100.1", strings.Repeat("\x04\x00\x01x", 500))
	for _, secure := range []bool{false, true} {
		for _, tt := range []struct {
			name, give string
			drops      bool
			want       ProxyProtocolStats
		}{
			{"nothing", "", false, ProxyProtocolStats{Missing: 1}},
			{"one byte", headerV1[:1], false, ProxyProtocolStats{Broken: 1}},
			{"all but one byte", headerV1[:len(headerV1)-1], false, ProxyProtocolStats{Broken: 1}},
			{"half of version 2", v2[:100], false, ProxyProtocolStats{Broken: 1}},
			{"drops", v2, true, ProxyProtocolStats{Broken: 1}},
		} {
			t.Run(fmt.Sprintf("%s, TLS %v", tt.name, secure), func(t *testing.T) {
				t.Parallel()
				g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) {
					c.RequestHeaderTimeout, c.HandshakeTimeout = 200*time.Millisecond, time.Minute
					if secure {
						c.RequestHeaderTimeout, c.HandshakeTimeout = time.Minute, 200*time.Millisecond
					}
				}))
				addr := g.addr
				if secure {
					addr = g.tlsAddr()
				}
				c := chaos.Dial(t, "tcp", addr)
				c.Timeout = patience
				if tt.drops {
					// 2 s for all of it, if it were taken.
					go func() { _ = c.SendSlowly(tt.give, time.Millisecond) }()
				} else {
					_ = c.Send(tt.give)
				}
				if !c.Closed() {
					t.Error("the connection was left open")
				}
				g.awaitHeaders(tt.want)
			})
		}
	}
}

// The header's time is part of the handshake's.
func TestAHeaderAndItsHandshakeShareTheirTime(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) { c.HandshakeTimeout = 300 * time.Millisecond }))
	hello := string(helloBytes(t))
	for _, text := range []string{headerV1, headerV1 + hello[:100], headerV1 + hello} {
		c := chaos.Dial(t, "tcp", g.tlsAddr())
		c.Timeout = patience
		_ = c.Send(text)
		_, err := c.ReadAll()
		if errors.Is(err, errTimeout(err)) {
			t.Error("the connection was left open")
		}
	}
	chaos.Await(t, patience, "count", func() bool { return g.srv.Handshakes() == HandshakeStats{TimedOut: 3} })
	g.awaitHeaders(ProxyProtocolStats{Believed: 3})
}

// Once the header is there the connection is like any other: idle_timeout is
// its time, not the header's.
func TestAfterItsHeaderAConnectionMayIdle(t *testing.T) {
	t.Parallel()
	const limit = 500 * time.Millisecond
	g := startRig(t, proxied, alone, withServer(func(c *Config) { c.RequestHeaderTimeout = limit }))
	quiet := g.dial()
	_ = quiet.Send(headerV1)
	blank := g.dial()
	_ = blank.Send(headerV1 + "\r\n")
	g.awaitHeaders(ProxyProtocolStats{Believed: 2})
	g.awaitIdle(2)
	time.Sleep(limit + 4*sweepEvery) // nothing must happen in it
	for _, c := range []*chaos.Raw{quiet, blank} {
		r, err := c.Do(get)
		wantOK(t, r, err)
	}
}

// A head that begins together with the header has a head's time, in plain and
// over TLS.
func TestAHeadBehindAHeaderIsCutOffLikeAnyOther(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) { c.RequestHeaderTimeout = 200 * time.Millisecond }))
	c := g.dial()
	c.Timeout = patience
	if r, err := c.Do(headerV1 + get[:10]); r.Status != 408 {
		t.Errorf("%d, %v", r.Status, err)
	}
	c = chaos.Dial(t, "tcp", g.tlsAddr())
	_ = c.Conn().SetDeadline(time.Now().Add(patience))
	nc := tls.Client(&balanced{Conn: c.Conn(), header: headerV1}, clientTLS())
	_, _ = io.WriteString(nc, get[:10])
	if status, _, err := readingEnd(nc).response("GET"); status != 408 {
		t.Errorf("over TLS: %d, %v", status, err)
	}
}

// A handshake that came in part together with the header is read on as what it
// is: the boundaries of records are not lost.
func TestAHandshakeThatBeginsWithTheHeaderIsReadOn(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) { c.RequestHeaderTimeout = 100 * time.Millisecond }))
	c := chaos.Dial(t, "tcp", g.tlsAddr())
	_ = c.Conn().SetDeadline(time.Now().Add(patience))
	nc := tls.Client(&balanced{Conn: c.Conn(), header: headerV1, first: 50, then: func() { g.awaitHeaders(ProxyProtocolStats{Believed: 1}) }}, clientTLS())
	in := readingEnd(nc)
	for range 2 {
		_, _ = io.WriteString(nc, get)
		if status, _, err := in.response("GET"); status != 200 {
			t.Errorf("%d, %v", status, err)
		}
		time.Sleep(100*time.Millisecond + 4*sweepEvery) // nothing must happen in it
	}
}

// A wait that was ended just as more of the header came goes on, but not beyond
// its time.
func TestAnEndedWaitForAHeaderHasNoMoreTime(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, alone)
	for _, late := range []bool{false, true} {
		client, c := halfHeader(t, g)
		c.awaitHeader()
		if late {
			c.headBy = g.srv.clock.now()
		}
		c.x.interrupt(causeIdle)
		if late {
			hung := time.AfterFunc(patience, func() {
				t.Error("late: it is waited for")
				client.Close()
			})
			if n := c.await(); n != nextClose {
				t.Errorf("late: %v", n)
			}
			hung.Stop()
			continue
		}
		by := at(phaseHandshake, c.headBy)
		go func() {
			chaos.Await(t, patience, "the old deadline", func() bool { return c.x.mark.Load() == by })
			client.Close()
		}()
		if n := c.await(); n != nextClose {
			t.Errorf("in time: %v", n)
		}
	}
}

// Who has not sent its header waits as who has not sent a request does: a drain
// ends it, unless header and request are on their way.
func TestADrainEndsTheWaitForAHeader(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) { c.RequestHeaderTimeout, c.HandshakeTimeout = time.Hour, time.Hour }))
	g.dial()
	_ = g.dial().Send(headerV1[:20])
	_ = chaos.Dial(t, "tcp", g.tlsAddr()).Send(headerV1[:20])
	_ = chaos.Dial(t, "tcp", g.tlsAddr()).Send(headerV1)
	chaos.Await(t, patience, "connections", func() bool { return g.srv.conns.size() == 4 })
	g.awaitHeaders(ProxyProtocolStats{Believed: 1})
	g.cancel()
	g.drained(patience / 2)
	if s := g.srv.ProxyProtocol(); s != (ProxyProtocolStats{Believed: 1}) {
		t.Errorf("the drain counts as a fault: %+v", s)
	}
}

// The wait for a header ends with a look at what is there: a header and a request
// that cross with a drain are served.
func TestAHeaderThatCrossesTheDrainIsServed(t *testing.T) {
	t.Parallel()
	for _, header := range []string{headerV1, headerV2(1, 0x11, "192.0.2.7", "198.51.100.1", "")} {
		g := startRig(t, proxied, alone)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client := chaos.Dial(t, "tcp", l.Addr().String())
		_ = client.Send(header + get)
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		// Accepted before the drain, and looked at after it has begun.
		door := g.listener(false)
		door.retire(hurried)
		g.srv.seats.take()
		door.work.Go(func() { g.srv.serve(door, nc) })
		r, err := client.ReadResponse("GET")
		wantOK(t, r, err)
		if r.Get("Connection") != "close" {
			t.Errorf("it does not say so: %q", r.Raw)
		}
		client.Close()
		// Who has sent nothing by then is not waited for.
		silent := chaos.Dial(t, "tcp", l.Addr().String())
		silent.Timeout = patience / 2
		second, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		g.srv.seats.take()
		door.work.Go(func() { g.srv.serve(door, second) })
		if !silent.Closed() {
			t.Error("a connection without a header outlives the drain's beginning")
		}
	}
}

// At the limit the wait for a header is one like others: who has waited the
// longest makes room, by whichever of the waits.
func TestAtTheLimitTheWaitForAHeaderCountsLikeAnyOther(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"headerless", "idle"} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, proxied, alone, withServer(func(c *Config) { c.MaxConnections = 2 }))
			silent := func() *chaos.Raw { return g.dial() }
			// One that was served would keep its place for a while.
			idle := func() *chaos.Raw {
				c := g.dial()
				believed := g.srv.ProxyProtocol().Believed
				_ = c.Send(headerV1)
				chaos.Await(t, patience, "header", func() bool { return g.srv.ProxyProtocol().Believed > believed })
				return c
			}
			opens := []func() *chaos.Raw{silent, idle}
			if first == "idle" {
				opens = []func() *chaos.Raw{idle, silent}
			}
			var conns []*chaos.Raw
			for i, open := range opens {
				conns = append(conns, open())
				chaos.Await(t, patience, "connection", func() bool { return g.srv.conns.size() == i+1 })
				time.Sleep(3 * sweepEvery) // waits are as exact as the sweep
			}
			idle()
			if !conns[0].Closed() {
				t.Error("the one that has waited the longest was kept")
			}
			request := get
			if first == "idle" {
				request = headerV1 + get
			}
			r, err := conns[1].Do(request)
			wantOK(t, r, err)
			if s := g.srv.ProxyProtocol(); s.Missing+s.Broken > 0 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

// Nobody holds a buffer who waits: not before the header, and not after it.
func TestAWaitForAHeaderHoldsNoBuffer(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone)
	for _, secure := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client := chaos.Dial(t, "tcp", l.Addr().String())
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c := newConn(g.srv, g.listener(secure), nc)
		if c.raw == nil {
			t.Skip("here a connection can't be waited for without a buffer")
		}
		c.awaitHeader()
		// look ends the wait when what the client sent has been read.
		look := func(what, send string, seen func() bool) next {
			t.Helper()
			go func() {
				_ = client.Send(send)
				chaos.Await(t, patience, what, seen)
				c.wake()
			}()
			return c.await()
		}
		before := c.x.mark.Load()
		if n := look("nothing", "", func() bool { return true }); n != nextClose || c.bufs != nil || c.x.mark.Load() != before {
			t.Errorf("before the header: %v, a buffer: %v", n, c.bufs != nil)
		}
		c.revive()
		believed := g.srv.ProxyProtocol().Believed
		n := look("header", headerV1, func() bool { return g.srv.ProxyProtocol().Believed > believed })
		if secure {
			if n != nextHandshake {
				t.Fatalf("got %v", n)
			}
			c.startTLS()
			by := c.headBy
			client.Close()
			if c.handshake() || c.x.mark.Load() != at(phaseHandshake, by) {
				t.Error("the handshake has a time of its own")
			}
		}
		if c.bufs != nil || c.intro != nil {
			t.Errorf("after it: %v, a buffer: %v, an introduction: %v", n, c.bufs != nil, c.intro != nil)
		}
	}
}
