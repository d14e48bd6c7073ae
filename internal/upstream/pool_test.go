package upstream

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestThePoolIsLastInFirstOut(t *testing.T) {
	p := newPool(t, serve(t, "tcp", hold).origin(t, nil), 8)
	a, b, c := dial(t, p), dial(t, p), dial(t, p)
	for _, conn := range []*Conn{a, b, c} {
		p.Put(conn)
	}
	for _, want := range []*Conn{c, b, a, nil} {
		got := p.Idle(true)
		if got != want {
			t.Fatal("got another connection than the youngest")
		}
		if got != nil {
			defer got.Close()
			if !got.Reused() {
				t.Error("a pooled connection says that it is fresh")
			}
		}
	}
}

func TestPutKeepsNoMoreThanThePoolMay(t *testing.T) {
	for _, maxIdle := range []int{-1, 0, 1, 2} {
		p := newPool(t, serve(t, "tcp", hold).origin(t, nil), maxIdle)
		conns := []*Conn{dial(t, p), dial(t, p), dial(t, p)}
		for _, c := range conns {
			p.Put(c)
		}
		want := max(maxIdle, 0)
		if got := p.Idles(); got != want || p.origin.Open() != want {
			t.Errorf("maxIdle %d: %d idle, %d open, want %d", maxIdle, got, p.origin.Open(), want)
		}
	}
}

func TestAConnectionIsLookedAtWhenItMatters(t *testing.T) {
	tests := []struct {
		name     string
		happened func(t *testing.T, peer net.Conn)
		idle     time.Duration
		check    bool
		wantDead bool
	}{
		{"closed, young", func(_ *testing.T, c net.Conn) { c.Close() }, -time.Hour, false, false},
		{"closed, young, checked", func(_ *testing.T, c net.Conn) { c.Close() }, 0, true, true},
		{"closed, older", func(_ *testing.T, c net.Conn) { c.Close() }, 2 * time.Millisecond, false, true},
		{"reset", reset, 0, true, true},
		{"half closed", func(_ *testing.T, c net.Conn) { c.(*net.TCPConn).CloseWrite() }, 0, true, true},
		{"bytes nobody asked for", func(t *testing.T, c net.Conn) { send(t, c, "408") }, 0, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, peer := connected(t, "tcp")
			p := c.pool
			tt.happened(t, peer)
			untilDead(t, c)
			p.Put(c)
			c.idleSince -= tt.idle
			got := p.Idle(tt.check)
			if (got == nil) != tt.wantDead {
				t.Errorf("given out: %v, want %v", got != nil, !tt.wantDead)
			}
			if c.closed.Load() != tt.wantDead {
				t.Errorf("closed: %v, want %v", c.closed.Load(), tt.wantDead)
			}
		})
	}
}

func TestALivingConnectionPassesTheLook(t *testing.T) {
	for _, network := range networks {
		c, _ := connected(t, network)
		c.pool.Put(c)
		c.idleSince -= time.Second
		if c.pool.Idle(false) != c {
			t.Errorf("%s: a connection in good order was thrown away", network)
		}
	}
}

func TestTheNextConnectionIsTakenIfTheYoungestIsDead(t *testing.T) {
	peers := make(chan net.Conn, 2)
	p := newPool(t, serve(t, "tcp", func(c net.Conn) { peers <- c }).origin(t, nil), 8)
	good := dial(t, p)
	defer good.Close()
	<-peers
	bad := dial(t, p)
	(<-peers).Close()
	untilDead(t, bad)
	p.Put(good)
	p.Put(bad)
	if p.Idle(true) != good {
		t.Error("want the one that lives")
	}
}

func TestBytesThatOnlyTLSHasReadAreSeen(t *testing.T) {
	a := newAuthority(t)
	s := serveTLS(t, a, func(c *tls.Conn) {
		io.ReadFull(c, make([]byte, 7))
		c.Write([]byte("answer and more that nobody asked for"))
		hold(c)
	})
	p := newPool(t, s.origin(t, trusting(a)), 8)
	c := dial(t, p)
	buf := make([]byte, len("answer"))
	if n, err := c.Exchange([]byte("request"), buf); err != nil || string(buf[:n]) != "answer" {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
	p.Put(c)
	if p.Idle(true) != nil {
		t.Error("got a connection whose next answer would begin with the last one's rest")
	}
}

func TestPruneClosesWhatWasIdleForLong(t *testing.T) {
	p := newPool(t, serve(t, "tcp", hold).origin(t, nil), 8)
	old, young := dial(t, p), dial(t, p)
	p.Put(old)
	p.Put(young)
	old.idleSince -= DefaultIdleTimeout
	p.Prune(time.Now())
	if !old.closed.Load() || young.closed.Load() || p.Idles() != 1 {
		t.Errorf("closed: %v and %v, want only the first", old.closed.Load(), young.closed.Load())
	}
}

func TestAnExpiredConnectionIsNotUsedEvenIfNobodyPrunes(t *testing.T) {
	c, _ := connected(t, "tcp")
	c.pool.Put(c)
	c.idleSince -= DefaultIdleTimeout
	if c.pool.Idle(false) != nil {
		t.Error("got an expired connection")
	}
}

func TestAClosedPoolKeepsNothing(t *testing.T) {
	o := serve(t, "tcp", echo).origin(t, nil)
	p := o.NewPool(8)
	idle, used := dial(t, p), dial(t, p)
	p.Put(idle)
	p.Close()
	if !idle.closed.Load() || used.closed.Load() {
		t.Errorf("closed: %v and %v, want only the idle one", idle.closed.Load(), used.closed.Load())
	}
	if _, err := used.Exchange([]byte("request"), make([]byte, 10)); err != nil {
		t.Errorf("a request that was under way ended with %v", err)
	}
	p.Put(used)
	p.Put(dial(t, p))
	if o.Open() != 0 || len(o.pools) != 0 {
		t.Errorf("%d connections and %d pools are left", o.Open(), len(o.pools))
	}
	p.Close() // once more does nothing
}

func TestPutRemovesADeadline(t *testing.T) {
	s := serve(t, "tcp", echo)
	p := newPool(t, s.origin(t, nil), 8)
	c := dial(t, p)
	defer c.Close()
	c.SetDeadline(past)
	p.Put(c)
	c = p.Idle(true)
	if _, err := c.Exchange([]byte("request"), make([]byte, 10)); err != nil {
		t.Error(err)
	}
}

func TestAHalfClosedConnectionIsNotPooled(t *testing.T) {
	for _, network := range networks {
		c, peer := connected(t, network)
		send(t, peer, "answer")
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(peer); err != nil || len(b) > 0 {
			t.Errorf("the origin got %q, %v, want the end", b, err)
		}
		readFull(t, c.raw, len("answer"))
		c.pool.Put(c)
		if c.pool.Idles() != 0 {
			t.Error("pooled")
		}
	}
}

func TestMisusePanics(t *testing.T) {
	s := serve(t, "tcp", hold)
	o := s.origin(t, nil)
	p, other := newPool(t, o, 8), newPool(t, o, 8)
	c := dial(t, p)
	p.Put(c)
	for name, misuse := range map[string]func(){
		"twice":            func() { p.Put(c) },
		"into a wrong one": func() { other.Put(c) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Put %s did not panic", name)
				}
			}()
			misuse()
		}()
	}
}

func TestCloseTwiceGivesOnePlaceBack(t *testing.T) {
	o := serve(t, "tcp", hold).origin(t, nil)
	p := newPool(t, o, 8)
	c, d := dial(t, p), dial(t, p)
	c.Close()
	c.Close()
	p.Put(c) // closed: not pooled, not counted again
	if o.Open() != 1 || p.Idles() != 0 {
		t.Errorf("%d open and %d idle, want 1 and 0", o.Open(), p.Idles())
	}
	d.Close()
}

func TestAnySequenceKeepsTheCount(t *testing.T) {
	s := serve(t, "tcp", hold)
	rapid.Check(t, func(t *rapid.T) {
		const limit, maxIdle = 4, 2
		o := New(Config{Address: s.address, MaxConnections: limit})
		pools := []*Pool{o.NewPool(maxIdle), o.NewPool(maxIdle)}
		var used []*Conn
		take := func() *Conn {
			i := rapid.IntRange(0, len(used)-1).Draw(t, "conn")
			c := used[i]
			used = append(used[:i], used[i+1:]...)
			return c
		}
		pool := func() *Pool { return pools[rapid.IntRange(0, 1).Draw(t, "pool")] }
		t.Repeat(map[string]func(*rapid.T){
			"idle": func(*rapid.T) {
				if c := pool().Idle(rapid.Bool().Draw(t, "check")); c != nil {
					used = append(used, c)
				}
			},
			"dial": func(t *rapid.T) {
				if len(used) == limit {
					t.Skip("would wait")
				}
				c, err := pool().Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				used = append(used, c)
			},
			"put": func(t *rapid.T) {
				if len(used) == 0 {
					t.Skip("nothing in use")
				}
				c := take()
				c.pool.Put(c)
			},
			"close": func(t *rapid.T) {
				if len(used) == 0 {
					t.Skip("nothing in use")
				}
				take().Close()
			},
			"prune": func(*rapid.T) { pool().Prune(time.Now().Add(time.Hour)) },
			"": func(t *rapid.T) {
				idle := pools[0].Idles() + pools[1].Idles()
				if open := o.Open(); open != idle+len(used) || open > limit {
					t.Fatalf("%d open, %d idle, %d in use", open, idle, len(used))
				}
				if pools[0].Idles() > maxIdle || pools[1].Idles() > maxIdle {
					t.Fatal("too many are idle")
				}
				for _, c := range used {
					if c.pooled || c.closed.Load() {
						t.Fatal("a connection in use is pooled or closed")
					}
				}
			},
		})
		for _, p := range pools {
			p.Close()
		}
		for _, c := range used {
			c.Close()
		}
		if o.Open() != 0 {
			t.Fatalf("%d open at the end", o.Open())
		}
	})
}
