package upstream

import (
	"errors"
	"testing"
)

// Two origins share a budget: what one holds the other can't have, an idle
// connection of its own makes room, and what is closed comes back.
func TestABudgetBoundsSeveralOriginsTogether(t *testing.T) {
	budget := NewBudget(2)
	share := func(c *Config) { c.Budget = budget }
	eu, us := serve(t, "tcp", hold).origin(t, share), serve(t, "tcp", hold).origin(t, share)
	p, q := newPool(t, eu, 8), newPool(t, us, 8)
	a, b := dial(t, p), dial(t, q)
	if _, err := q.Dial(t.Context()); !errors.Is(err, ErrLimit) {
		t.Fatalf("a third connection: %v, want ErrLimit", err)
	}
	q.Put(b)
	c := dial(t, q) // in the place of the idle one, or it itself
	if us.Open() != 1 {
		t.Errorf("%d connections of us", us.Open())
	}
	a.Close()
	d := dial(t, q)
	c.Close()
	d.Close()
	if n := budget.left.Load(); n != 2 {
		t.Errorf("%d are left, want all 2", n)
	}
}
