package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
)

// neighbour serves on the port of another server at a further address of this
// machine.
func neighbour(t testing.TB, s *testServer, ip string, handle func(net.Conn)) *testServer {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.address)
	l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
	if err != nil {
		t.Skipf("this machine has no address %s, or its port is taken: %v", ip, err)
	}
	return serveOn(t, l, handle)
}

func TestConnectionsSpreadOverAddresses(t *testing.T) {
	for _, ip := range []string{"127.0.0.2", "::1"} {
		t.Run(ip, func(t *testing.T) {
			a := serve(t, "tcp", hold)
			neighbour(t, a, ip, hold)
			o := a.origin(t, resolveTo("127.0.0.1", ip))
			p := newPool(t, o, 8)
			count := make(map[string]int)
			for range 8 {
				c := dial(t, p)
				defer c.Close()
				count[c.Remote()]++
			}
			want := 4 // of a family
			if ip == "::1" {
				want = 0 // of IPv4, while IPv6 works
			}
			if count[a.address] != want {
				t.Errorf("got %v, want %d at %s", count, want, a.address)
			}
		})
	}
}

func TestWhatIsAvoidedIsDialledOnlyIfThereIsNothingElse(t *testing.T) {
	a := serve(t, "tcp", hold)
	b := neighbour(t, a, "127.0.0.2", hold)
	tests := []struct {
		answer, avoid []string
		want          string
	}{
		{[]string{"127.0.0.1", "127.0.0.2"}, []string{a.address}, b.address},
		{[]string{"127.0.0.1", "127.0.0.2"}, []string{b.address, ""}, a.address},
		{[]string{"127.0.0.1"}, []string{a.address}, a.address},
		{[]string{"127.0.0.2", "127.0.0.2"}, []string{a.address, b.address}, b.address},
	}
	for _, tt := range tests {
		p := newPool(t, a.origin(t, resolveTo(tt.answer...)), 8)
		for range 3 {
			c, err := p.Dial(t.Context(), tt.avoid...)
			if err != nil {
				t.Fatal(err)
			}
			if c.Remote() != tt.want {
				t.Errorf("%v without %v: connected to %s, want %s", tt.answer, tt.avoid, c.Remote(), tt.want)
			}
			c.Close()
		}
	}
}

// The address that accepts first may be the one whose TLS is broken. One that
// had no chance because of that has it afterwards.
func TestABrokenHandshakeLeavesTheOtherAddresses(t *testing.T) {
	authority := newAuthority(t)
	for _, overtaken := range []bool{false, true} {
		t.Run(fmt.Sprint("overtaken: ", overtaken), func(t *testing.T) {
			good := serveTLS(t, authority, func(c *tls.Conn) { hold(c) })
			bad := neighbour(t, good, "127.0.0.2", func(c net.Conn) { c.Write([]byte("no TLS")); hold(c) })
			o := good.origin(t, func(c *Config) {
				resolveTo("127.0.0.1", "127.0.0.2")(c)
				c.TLS = &tls.Config{RootCAs: authority.roots}
			})
			plain := o.dialer
			var silent sync.Once // the good one, at its first attempt
			o.dialer = func(ctx context.Context, network, address string) (conn net.Conn, err error) {
				if address == good.address && overtaken {
					silent.Do(func() { <-ctx.Done(); err = ctx.Err() })
				}
				if err != nil {
					return nil, err
				}
				return plain(ctx, network, address)
			}
			if !overtaken {
				o.chooser.turn = 1 // the bad one is first
			}
			c := dial(t, newPool(t, o, 1))
			defer c.Close()
			if c.Remote() != good.address || bad.accepted() != 1 {
				t.Errorf("connected to %s, and %d times to the bad one, want %s after it", c.Remote(), bad.accepted(), good.address)
			}
			if _, blamed := o.chooser.failed[netip.MustParseAddr("127.0.0.2")]; !blamed || len(o.chooser.failed) != 1 {
				t.Errorf("blamed are %v, want the bad one", o.chooser.failed)
			}
		})
	}
}

func TestConnectionsToAnAddressThatIsGoneAreClosed(t *testing.T) {
	a := serve(t, "tcp", echo)
	b := neighbour(t, a, "127.0.0.2", echo)
	o := a.origin(t, resolveTo("127.0.0.1", "127.0.0.2"))
	p, other := newPool(t, o, 8), newPool(t, o, 8)
	to := func(p *Pool, s *testServer) *Conn {
		t.Helper()
		c, err := p.Dial(t.Context(), map[*testServer]string{a: b.address, b: a.address}[s])
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	idle, elsewhere, stays, busy := to(p, a), to(other, a), to(p, b), to(p, a)
	p.Put(idle)
	p.Put(stays)
	other.Put(elsewhere)

	o.SetAddresses(addrs("::ffff:127.0.0.2"))
	if !idle.closed.Load() || !elsewhere.closed.Load() || stays.closed.Load() || busy.closed.Load() {
		t.Error("want the idle connections to the address that is gone closed, in all pools, and no other")
	}
	if _, err := busy.Exchange([]byte("request"), make([]byte, 10)); err != nil {
		t.Errorf("a request that was under way ended with %v", err)
	}
	p.Put(busy)
	if !busy.closed.Load() || p.Idles() != 1 || other.Idles() != 0 || o.Open() != 1 {
		t.Errorf("put back: closed is %v, with %d idle and %d open, want it closed and one left", busy.closed.Load(), p.Idles(), o.Open())
	}

	late := to(p, a) // dialled with an older answer
	p.Put(late)
	back := to(p, a)
	o.SetAddresses(addrs("127.0.0.1 127.0.0.2"))
	p.Put(back)
	if !late.closed.Load() || back.closed.Load() || stays.closed.Load() || p.Idles() != 2 {
		t.Error("want connections kept to an address that came back, and only from then on")
	}
}

func TestThePlaceOfAConnectionToAnAddressThatIsGoneGoesToWhoWaits(t *testing.T) {
	a := serve(t, "tcp", echo)
	b := neighbour(t, a, "127.0.0.2", echo)
	answer := addrs("127.0.0.1")
	o := a.origin(t, func(c *Config) {
		resolveTo()(c)
		c.MaxConnections = 1
		c.Resolve = func(context.Context, string) ([]netip.Addr, error) { return answer, nil }
	})
	p := newPool(t, o, 8)
	c := dial(t, p)
	waiting := queue(t.Context(), p, 1)
	answer = addrs("127.0.0.2")
	o.SetAddresses(answer)
	p.Put(c)
	d := <-waiting
	if d.err != nil || d.conn.Remote() != b.address {
		t.Fatalf("got %v, %v, want a connection to the new address", d.conn, d.err)
	}
	d.conn.Close()
}

// A name that is gone has no address that a connection could stay with.
func TestAnEmptyAnswerWithdrawsEveryAddress(t *testing.T) {
	o := serve(t, "tcp", hold).origin(t, resolveTo("127.0.0.1"))
	p := newPool(t, o, 8)
	idle, busy := dial(t, p), dial(t, p)
	p.Put(idle)
	o.SetAddresses(nil)
	if !idle.closed.Load() || busy.closed.Load() {
		t.Error("want the idle connection closed and the busy one left alone")
	}
	p.Put(busy)
	if !busy.closed.Load() {
		t.Error("the busy connection was pooled")
	}
}

func TestWhatIsNoChangeOfAddressesClosesNothing(t *testing.T) {
	tests := []struct {
		name, network string
		change        func(*Config)
		set           string
	}{
		{"the same answer", "tcp", resolveTo("127.0.0.1"), "127.0.0.1"},
		{"an IP literal", "tcp", nil, "10.0.0.1"},
		{"a unix socket", "unix", nil, "10.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := serve(t, tt.network, hold).origin(t, tt.change)
			p := newPool(t, o, 8)
			idle, busy := dial(t, p), dial(t, p)
			p.Put(idle)
			o.SetAddresses(addrs(tt.set))
			p.Put(busy)
			if p.Idles() != 2 {
				t.Errorf("%d connections are kept, want 2", p.Idles())
			}
		})
	}
}

func TestConnectIsBareAndNotCounted(t *testing.T) {
	a := newAuthority(t)
	s := serveTLS(t, a, func(*tls.Conn) {})
	o := s.origin(t, func(c *Config) {
		trusting(a)(c)
		resolveTo("127.0.0.1")(c)
		c.MaxConnections = 1
	})
	taken := dial(t, newPool(t, o, 1))
	defer taken.Close()
	raw, err := o.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, ok := raw.(*net.TCPConn); !ok || o.Open() != 1 {
		t.Errorf("got a %T with %d connections counted, want a *net.TCPConn and 1", raw, o.Open())
	}
}

func TestConnectFailures(t *testing.T) {
	unknown := errors.New("no such host")
	tests := []struct {
		name  string
		cfg   Config
		phase Phase
		want  error
	}{
		{"nobody listens", Config{Address: deadAddress(t)}, PhaseConnectRefused, ErrRefused},
		{"unknown name", Config{Address: "origin.test:80", Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return nil, unknown
		}}, PhaseResolve, ErrResolve},
		{"no address that is one", Config{Address: "origin.test:80", Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return make([]netip.Addr, 2), nil
		}}, PhaseResolve, ErrResolve},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Name = "eu"
			_, err := newOrigin(t, tt.cfg).Connect(t.Context())
			wantDialError(t, err, tt.phase, tt.want)
		})
	}
}

// Addresses change while connections are dialled, used and put back; what is
// idle at the end leads to an address that is there.
func TestAddressesMayChangeUnderLoad(t *testing.T) {
	a := serve(t, "tcp", echo)
	neighbour(t, a, "127.0.0.2", echo)
	o := a.origin(t, resolveTo("127.0.0.1", "127.0.0.2"))
	p := newPool(t, o, 4)
	var working sync.WaitGroup
	for range 4 {
		working.Go(func() {
			buf := make([]byte, 10)
			for range 200 {
				c := p.Idle(false)
				if c == nil {
					var err error
					if c, err = p.Dial(context.Background()); err != nil {
						t.Error(err)
						return
					}
				}
				if _, err := c.Exchange([]byte("request"), buf); err != nil {
					t.Error(err)
				}
				p.Put(c)
			}
		})
	}
	for i := range 200 {
		o.SetAddresses(addrs([]string{"127.0.0.1", "127.0.0.2", "127.0.0.1 127.0.0.2"}[i%3]))
	}
	working.Wait()
	o.SetAddresses(addrs("127.0.0.2"))
	if p.Idles() != o.Open() {
		t.Errorf("%d open at rest, %d of them idle", o.Open(), p.Idles())
	}
	for c := p.Idle(false); c != nil; c = p.Idle(false) {
		if c.ip != netip.MustParseAddr("127.0.0.2") {
			t.Errorf("a connection to %s is idle", c.Remote())
		}
		c.Close()
	}
}

func TestIdleAndPutDoNotAllocate(t *testing.T) {
	o := serve(t, "tcp", hold).origin(t, resolveTo("127.0.0.1"))
	o.SetAddresses(addrs("127.0.0.1"))
	p := newPool(t, o, 8)
	p.Put(dial(t, p))
	if n := testing.AllocsPerRun(1000, func() { p.Put(p.Idle(false)) }); n >= 1 {
		t.Errorf("%v allocations, want 0", n)
	}
}
