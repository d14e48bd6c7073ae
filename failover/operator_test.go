package failover

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wishes are what an operator may ask for with a generation that was seen.
var wishes = []struct {
	name string
	ask  func(g *Group, generation uint64) (State, error)
	want Role // where the pointer is after it, from the secondary and with both healthy
}{
	{"pin", func(g *Group, n uint64) (State, error) { return g.PinIf(n, RolePrimary, 0) }, RolePrimary},
	{"unpin", func(g *Group, n uint64) (State, error) { return g.UnpinIf(n) }, RoleSecondary},
	{"failback", func(g *Group, n uint64) (State, error) { return g.FailbackIf(n) }, RolePrimary},
}

// onSecondary is a group with both origins healthy again, of generation 2.
func onSecondary() *Group {
	g := shopGroup(nil)
	g.Verdict(RolePrimary, false)
	g.Verdict(RolePrimary, true)
	return g
}

func TestAWishOfAnotherGenerationChangesNothing(t *testing.T) {
	for _, w := range wishes {
		t.Run(w.name, func(t *testing.T) {
			g := onSecondary()
			before := *g.Pointer()
			for _, generation := range []uint64{1, 3, ^uint64(0)} {
				s, err := w.ask(g, generation)
				if !errors.Is(err, ErrStale) || s != before || *g.Pointer() != before {
					t.Errorf("of generation %d: %v, returned %+v, now %+v; want ErrStale and nothing changed", generation, err, s, *g.Pointer())
				}
			}
			for _, generation := range []uint64{2, 0} {
				g := onSecondary()
				if s, err := w.ask(g, generation); err != nil || s.Target != w.want || s != *g.Pointer() {
					t.Errorf("of generation %d: %+v, %v; want the target %v", generation, s, err, w.want)
				}
			}
		})
	}
}

func TestTheErrorOfAWishSaysWhichGroupAndWhat(t *testing.T) {
	g := shopGroup(nil)
	_, pin := g.PinIf(7, RoleSecondary, 0)
	_, unpin := g.UnpinIf(7)
	_, failback := g.FailbackIf(7)
	for err, want := range map[error]string{
		pin:      "pin group shop to secondary: pointer has moved meanwhile",
		unpin:    "unpin group shop: pointer has moved meanwhile",
		failback: "failback of group shop: pointer has moved meanwhile",
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}

// Of many who ask at the same time with one generation, one moves the pointer:
// the comparison and the change are one.
func TestOfManyWishesOfOneGenerationOneMovesThePointer(t *testing.T) {
	for range 50 {
		g := shopGroup(nil)
		var moved, stale int
		var mu sync.Mutex
		var asking sync.WaitGroup
		for range 8 {
			asking.Go(func() {
				_, err := g.PinIf(1, RoleSecondary, 0)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					moved++
				case errors.Is(err, ErrStale):
					stale++
				default:
					t.Error(err)
				}
			})
		}
		asking.Wait()
		if moved != 1 || stale != 7 {
			t.Fatalf("%d moved the pointer and %d were stale, want 1 and 7", moved, stale)
		}
	}
}

func TestFailbackAtIsWhenTimeAloneBringsThePointerBack(t *testing.T) {
	manual := shopPointer
	manual.Failback = FailbackManual
	tests := []struct {
		name   string
		config PointerConfig
		events func(g *Group)
		want   time.Duration // from the flip; 0: never
	}{
		{"on the primary", shopPointer, func(*Group) {}, 0},
		{"the primary is down", shopPointer, func(g *Group) { g.Verdict(RolePrimary, false) }, 0},
		{"the primary is healthy again", shopPointer, func(g *Group) {
			g.Verdict(RolePrimary, false)
			time.Sleep(5 * time.Second)
			g.Verdict(RolePrimary, true)
		}, shopPointer.MinHold},
		{"it was down for longer than the hold", shopPointer, func(g *Group) {
			g.Verdict(RolePrimary, false)
			time.Sleep(2 * shopPointer.MinHold)
			g.Verdict(RolePrimary, true)
		}, 2*shopPointer.MinHold + shopPointer.FailbackAfter},
		{"failback is an operator's", manual, func(g *Group) {
			g.Verdict(RolePrimary, false)
			g.Verdict(RolePrimary, true)
		}, 0},
		{"pinned until unpin", shopPointer, func(g *Group) { _ = g.Pin(RoleSecondary, 0) }, 0},
		{"a pin that ends after the waits", shopPointer, func(g *Group) { _ = g.Pin(RoleSecondary, time.Hour) }, time.Hour},
		{"a pin that ends before the waits", shopPointer, func(g *Group) { _ = g.Pin(RoleSecondary, time.Second) }, shopPointer.MinHold},
		{"a pin that ends, and failback is an operator's", manual, func(g *Group) { _ = g.Pin(RoleSecondary, time.Hour) }, 0},
		{"a pin that ends after the secondary fell", shopPointer, func(g *Group) {
			_ = g.Pin(RoleSecondary, time.Hour)
			g.Verdict(RoleSecondary, false)
		}, time.Hour},
		{"following", shopPointer, func(g *Group) { g.Follow(RoleSecondary) }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGroup(GroupConfig{Name: "shop", PointerConfig: tt.config})
				began := time.Now()
				tt.events(g)
				at, ok := g.FailbackAt()
				if ok != (tt.want != 0) || ok && at.Sub(began) != tt.want {
					t.Fatalf("FailbackAt is %v after the flip, %v; want %v", at.Sub(began), ok, tt.want)
				}
				run(t, g)
				if !ok {
					pass(24 * time.Hour)
					if s := g.Pointer(); s.Target == RolePrimary && s.Generation > 1 {
						t.Errorf("the pointer came back after all, at %v", s.Since.Sub(began))
					}
					return
				}
				pass(time.Until(at) - time.Nanosecond)
				if s := g.Pointer(); s.Target != RoleSecondary {
					t.Errorf("on %v already before that", s.Target)
				}
				pass(time.Nanosecond)
				if s := g.Pointer(); s.Target != RolePrimary || !s.Since.Equal(at) {
					t.Errorf("on %v since %v, want the primary at that time", s.Target, s.Since.Sub(began))
				}
			})
		})
	}
}
