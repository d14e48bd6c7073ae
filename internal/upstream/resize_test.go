package upstream

import (
	"errors"
	"testing"
	"time"
)

func TestALargerLimitLetsThoseInWhoWait(t *testing.T) {
	o := serve(t, "tcp", hold).origin(t, limited(1))
	a, b := newPool(t, o, 8), newPool(t, o, 8)
	first := dial(t, a)
	var waiting []<-chan dialled
	for i, p := range []*Pool{b, a, b, a} {
		waiting = append(waiting, queue(t.Context(), p, i+1))
	}
	o.SetLimits(time.Minute, 3)
	conns := []*Conn{first}
	for _, w := range waiting[:2] {
		conns = append(conns, (<-w).conn)
	}
	if n, open := o.queued(), o.Open(); n != 2 || open != 3 {
		t.Errorf("%d wait and %d are open, want 2 and 3", n, open)
	}
	o.SetLimits(time.Minute, 0)
	for _, w := range waiting[2:] {
		conns = append(conns, (<-w).conn)
	}
	if n := o.Open(); n != 5 {
		t.Errorf("%d are open without a limit, want 5", n)
	}
	for _, c := range conns {
		c.Close()
	}
}

func TestASmallerLimitClosesWhatIsIdle(t *testing.T) {
	o := serve(t, "tcp", hold).origin(t, limited(3))
	a, b := newPool(t, o, 8), newPool(t, o, 8)
	older, old, young := dial(t, a), dial(t, b), dial(t, a)
	a.Put(older)
	b.Put(old)
	a.Put(young)
	o.SetLimits(time.Minute, 1)
	if n := o.Open(); n != 1 || !older.closed.Load() || !old.closed.Load() || young.closed.Load() {
		t.Errorf("%d open, closed: %v, %v and %v, want the youngest to stay", n, older.closed.Load(), old.closed.Load(), young.closed.Load())
	}
	if got := dial(t, a); got != young {
		t.Error("got another one than that which stayed")
	}
	young.Close()
}

// Somebody always waits, so a place that is handed on would never be given up.
func TestASmallerLimitIsReachedWhileOthersWait(t *testing.T) {
	for name, end := range map[string]func(c *Conn){"put back": func(c *Conn) { c.pool.Put(c) }, "closed": func(c *Conn) { c.Close() }} {
		t.Run(name, func(t *testing.T) {
			o := serve(t, "tcp", hold).origin(t, limited(3))
			p := newPool(t, o, 8)
			conns := []*Conn{dial(t, p), dial(t, p), dial(t, p)}
			w := queue(t.Context(), p, 1)
			o.SetLimits(time.Minute, 1)
			for i, want := range []int{2, 1} {
				end(conns[i])
				if n, queued := o.Open(), o.queued(); n != want || queued != 1 {
					t.Errorf("%d open and %d wait, want %d and 1", n, queued, want)
				}
			}
			end(conns[2])
			d := <-w
			if d.err != nil || o.Open() != 1 {
				t.Fatalf("%v, %d open, want 1", d.err, o.Open())
			}
			d.conn.Close()
		})
	}
}

func TestANewConnectTimeoutIsForTheNextWait(t *testing.T) {
	o := serve(t, "tcp", hold).origin(t, limited(1))
	p := newPool(t, o, 8)
	c := dial(t, p)
	defer c.Close()
	o.SetLimits(time.Millisecond, 1)
	if _, err := p.Dial(t.Context()); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v, want ErrLimit", err)
	}
	o.SetLimits(0, 1)
	if got := o.timeout(); got != DefaultConnectTimeout {
		t.Errorf("a connect timeout of zero means %v, want the default", got)
	}
}

func TestAPoolKeepsNoMoreThanItsNewSize(t *testing.T) {
	o := serve(t, "tcp", hold).origin(t, nil)
	p := newPool(t, o, 3)
	conns := []*Conn{dial(t, p), dial(t, p), dial(t, p)}
	p.SetMaxIdle(1)
	for _, c := range conns {
		p.Put(c)
	}
	if n := p.Idles(); n != 1 {
		t.Errorf("%d idle, want 1", n)
	}
}

func TestABudgetIsResized(t *testing.T) {
	b := NewBudget(1)
	if !b.take() || b.take() {
		t.Fatal("a Budget of one is not one")
	}
	b.Resize(3)
	for n, want := range []bool{true, true, false} {
		if b.take() != want {
			t.Errorf("number %d of three: want %v", n+2, want)
		}
	}
	b.Resize(1) // two too many are open
	b.give()
	b.give()
	if b.take() {
		t.Error("one more was given while the one it has is taken")
	}
	b.give()
	if !b.take() {
		t.Error("the last one is not there again")
	}
}
