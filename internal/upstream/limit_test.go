package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

func limited(n int) func(*Config) { return func(c *Config) { c.MaxConnections = n } }

// dialled is what a Dial in the background gave.
type dialled struct {
	conn *Conn
	err  error
}

// queue dials in the background and returns when that Dial is the n-th in the
// origin's queue.
func queue(ctx context.Context, p *Pool, n int) <-chan dialled {
	done := make(chan dialled, 1)
	go func() {
		c, err := p.Dial(ctx)
		done <- dialled{c, err}
	}()
	until(func() bool { return p.origin.queued() == n })
	return done
}

func (o *Origin) queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiters)
}

func TestAtTheLimitTheLongestIdleConnectionOfAnotherPoolIsClosed(t *testing.T) {
	o := serve(t, "tcp", hold).origin(t, limited(3))
	a, b, mine := newPool(t, o, 8), newPool(t, o, 8), newPool(t, o, 8)
	older, old, young := dial(t, a), dial(t, b), dial(t, b)
	b.Put(old)
	a.Put(older)
	b.Put(young)
	older.idleSince -= time.Minute
	c := dial(t, mine)
	defer c.Close()
	if c.Reused() || !older.closed.Load() || old.closed.Load() || young.closed.Load() {
		t.Errorf("closed: %v, %v and %v, want only the first", older.closed.Load(), old.closed.Load(), young.closed.Load())
	}
	if n := o.Open(); n != 3 {
		t.Errorf("%d connections open, want 3", n)
	}
}

func TestAtTheLimitAnIdleConnectionOfOnesOwnIsUsed(t *testing.T) {
	o := serve(t, "tcp", hold).origin(t, limited(1))
	p := newPool(t, o, 8)
	c := dial(t, p)
	p.Put(c)
	if got := dial(t, p); got != c || !got.Reused() {
		t.Errorf("got another connection than the one that was idle")
	}
	c.Close()
}

func TestAtTheLimitADeadIdleConnectionIsReplaced(t *testing.T) {
	c, peer := connected(t, "tcp")
	p := c.pool
	p.origin.maxConnections = 1
	p.Put(c)
	peer.Close()
	untilDead(t, c)
	got := dial(t, p)
	defer got.Close()
	if got == c || got.Reused() {
		t.Error("got the dead connection")
	}
}

func TestThoseWhoWaitAreServedInOrder(t *testing.T) {
	o := serve(t, "tcp", hold).origin(t, limited(1))
	a, b := newPool(t, o, 8), newPool(t, o, 8)
	c := dial(t, a)
	pools := []*Pool{b, a, a, b, a}
	var waiting []<-chan dialled
	for i, p := range pools {
		waiting = append(waiting, queue(t.Context(), p, i+1))
	}
	for i, w := range waiting {
		if i%2 == 0 {
			c.pool.Put(c)
		} else {
			c.Close()
		}
		d := <-w // if another one had been served, this would wait for ever
		if d.err != nil {
			t.Fatal(d.err)
		}
		if d.conn.pool != pools[i] {
			t.Error("got another pool's connection")
		}
		c = d.conn
		if n := o.queued(); n != len(waiting)-i-1 {
			t.Errorf("%d wait after the turn of number %d, want %d", n, i, len(waiting)-i-1)
		}
	}
	c.Close()
}

func TestAConnectionIsHandedOverWithinItsPool(t *testing.T) {
	s := serve(t, "tcp", hold)
	o := s.origin(t, limited(1))
	p := newPool(t, o, 0) // not even a place for an idle one is needed
	c := dial(t, p)
	w := queue(t.Context(), p, 1)
	p.Put(c)
	if d := <-w; d.conn != c || !d.conn.Reused() {
		t.Errorf("got %v, %v, want the connection that was put back", d.conn, d.err)
	}
	until(func() bool { return s.accepted() > 0 }) // the listener may be later than its client
	if n := s.accepted(); n != 1 {
		t.Errorf("the origin saw %d connections, want 1", n)
	}
	c.Close()
}

func TestAConnectionThatDiedIsNotHandedOver(t *testing.T) {
	c, peer := connected(t, "tcp")
	p := c.pool
	p.origin.maxConnections = 1
	w := queue(t.Context(), p, 1)
	peer.Close()
	untilDead(t, c)
	p.Put(c)
	d := <-w
	if d.err != nil || d.conn == c || d.conn.Reused() {
		t.Fatalf("got %v, %v, want a fresh connection", d.conn, d.err)
	}
	d.conn.Close()
}

func TestNobodyOvertakesThoseWhoWait(t *testing.T) {
	o := serve(t, "tcp", hold).origin(t, limited(1))
	p := newPool(t, o, 8)
	c := dial(t, p)
	first := queue(t.Context(), p, 1)
	second := queue(t.Context(), p, 2)
	p.Put(c)
	if p.Idle(false) != nil {
		t.Error("a connection was idle while somebody waited")
	}
	(<-first).conn.Close()
	(<-second).conn.Close()
}

func TestAWaitThatEndsIsOurOwnLimit(t *testing.T) {
	left := errors.New("the client left")
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(left)
	tests := []struct {
		name  string
		ctx   context.Context
		limit time.Duration
		want  error
	}{
		{"with the caller", canceled, time.Minute, left},
		{"with the connect timeout", t.Context(), time.Millisecond, errWaited},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := serve(t, "tcp", hold).origin(t, limited(1))
			p := newPool(t, o, 8)
			c := dial(t, p)
			o.SetLimits(tt.limit, 1)
			_, err := p.Dial(tt.ctx)
			if !errors.Is(err, ErrLimit) || !errors.Is(err, tt.want) {
				t.Errorf("got %v, want ErrLimit and %v", err, tt.want)
			}
			if o.queued() != 0 {
				t.Error("still in the queue")
			}
			p.Put(c)
			if p.Idles() != 1 {
				t.Error("the connection went to somebody who had left")
			}
		})
	}
}

func TestAFailedDialGivesItsPlaceBack(t *testing.T) {
	o := newOrigin(t, Config{Name: "eu", Address: deadAddress(t), MaxConnections: 1})
	p := newPool(t, o, 8)
	for range 3 {
		if _, err := p.Dial(t.Context()); !errors.Is(err, ErrRefused) {
			t.Fatalf("got %v, want ErrRefused", err)
		}
	}
}

func TestTheLimitHoldsUnderLoadAndEverybodyIsServed(t *testing.T) {
	const limit, requests, rounds = 3, 12, 60
	o := serve(t, "tcp", echo).origin(t, limited(limit))
	pools := []*Pool{newPool(t, o, 2), newPool(t, o, 2)}
	var all sync.WaitGroup
	for i := range requests {
		all.Go(func() {
			p, buf := pools[i%2], make([]byte, 16)
			for j := range rounds {
				c := p.Idle(j%2 == 0)
				if c == nil {
					var err error
					if c, err = p.Dial(context.Background()); err != nil {
						t.Error(err)
						return
					}
				}
				o.mu.Lock()
				if open := o.open; open > limit {
					t.Errorf("%d connections open, want at most %d", open, limit)
				}
				if idle := len(pools[0].idle) + len(pools[1].idle); idle > 0 && len(o.waiters) > 0 {
					t.Errorf("%d idle while %d wait", idle, len(o.waiters))
				}
				o.mu.Unlock()
				if n, err := c.Exchange([]byte{byte(i)}, buf); err != nil || n != 1 || buf[0] != byte(i) {
					t.Errorf("got %v, %v", buf[:n], err)
				}
				if (i+j)%5 == 0 {
					c.Close()
				} else {
					p.Put(c)
				}
			}
		})
	}
	all.Wait()
	if n := pools[0].Idles() + pools[1].Idles(); n != o.Open() {
		t.Errorf("%d open at rest, %d of them idle", o.Open(), n)
	}
	if slices.ContainsFunc(pools, func(p *Pool) bool { return p.Idles() > 2 }) {
		t.Error("more idle connections than allowed")
	}
}
