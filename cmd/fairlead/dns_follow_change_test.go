package main

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/follower"
)

// A follower runs on as long as nothing that it is made of changes. After one
// that went, the next one for the same pointer has the say, and nobody else.
func TestFollowersComeAndGo(t *testing.T) {
	// The leaders' pointers are at us and at eu.
	leaders := make([]*namesRig, 2)
	server := make([]string, 2)
	for i := range leaders {
		leaders[i] = runNames(t, literal(1, "127.0.0.1:0"), nil)
		server[i] = leaders[i].address()
	}
	leaders[0].pointers[0].Verdict(failover.RolePrimary, false)
	leaders[0].n.update()
	text := func(more string) string { return shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", more) }
	to := func(i int) string {
		return text(fmt.Sprintf("follow = \"dns://%s/shop.failover.example.\"", server[i]))
	}

	r := runNames(t, text(""), nil)
	pointer := r.pointers[0]
	change := func(text string, pointer *failover.Group) *following {
		t.Helper()
		c, err := r.n.prepare(t.Context(), readConfig(t, text), []*failover.Group{pointer})
		if err != nil {
			t.Fatal(err)
		}
		c.commit()
		return r.n.followers["shop"]
	}
	wantLead := func(when string, p *failover.Group, want failover.Role) {
		t.Helper()
		if !eventually(func() bool { return p.Pointer().Lead == want }) {
			t.Fatalf("%s: the pointer follows to %v, want %v", when, p.Pointer().Lead, want)
		}
	}
	f := change(to(0), pointer)
	r.await(&r.follow, "shop at us")
	wantLead("begun", pointer, failover.RoleSecondary)
	if change(to(0), pointer) != f {
		t.Error("nothing changed, and it is another one")
	}
	other := change(to(1), pointer)
	if other == f {
		t.Error("another server, the same follower")
	}
	r.await(&r.follow, "shop at eu")
	wantLead("another server", pointer, failover.RolePrimary)
	if f.id != other.id {
		t.Error("a ring through this group would not be found out for a while")
	}
	for i := range 21 { // in quick succession
		change(to((i+1)%2), pointer)
	}
	wantLead("the last of many", pointer, failover.RolePrimary)
	change(text(""), pointer)
	if lead := pointer.Pointer().Lead; lead != failover.RoleNone {
		t.Errorf("nobody follows, and the pointer is led to %v", lead)
	}
	change(to(1), pointer) // at once, while the one before it may still be ending
	wantLead("back again", pointer, failover.RolePrimary)
	change(text(""), pointer)
	if lead := pointer.Pointer().Lead; lead != failover.RoleNone || len(r.n.followers) != 0 {
		t.Errorf("gone: led to %v by %v", lead, r.n.followers)
	}
}

// startLeader is a nameserver whose pointer is at us.
func startLeader(t *testing.T) (address string) {
	t.Helper()
	l := runNames(t, literal(1, "127.0.0.1:0"), nil)
	l.pointers[0].Verdict(failover.RolePrimary, false)
	l.n.update()
	return l.address()
}

// followShop is a group that follows the one at a server. Its pointer may return
// to the primary at once.
func followShop(server string) string {
	return shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", fmt.Sprintf("ttl = \"2s\"\nfollow = \"dns://%s/shop.failover.example.\"", server))
}

// Between two leaders that are at the same origin there is no moment in which
// nobody leads: that would be a flip home and one back.
func TestAChangeOfTheLeaderMovesNoPointer(t *testing.T) {
	t.Parallel()
	servers := []string{startLeader(t), startLeader(t)}
	r := runNames(t, shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", ""), nil)
	put := func(text string) {
		t.Helper()
		c, err := r.n.prepare(t.Context(), readConfig(t, text), r.pointers)
		if err != nil {
			t.Fatal(err)
		}
		c.commit()
	}
	put(followShop(servers[0]))
	r.await(&r.follow, "shop at us")
	if !eventually(func() bool { return r.pointers[0].Pointer().Lead == failover.RoleSecondary }) {
		t.Fatal("the pointer is not led")
	}
	was := *r.pointers[0].Pointer()
	for i := range 10 {
		put(followShop(servers[(i+1)%2]))
		r.await(&r.follow, "shop at us")
	}
	for i := range 10 {
		put(followShop(servers[(i+1)%2])) // before the one before it has heard anything
	}
	r.await(&r.follow, "shop at us")
	if is := *r.pointers[0].Pointer(); is != was {
		t.Errorf("the pointer went from %+v to %+v", was, is)
	}

	// A new leader that says nothing is given three TTLs of this group.
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	begun := time.Now()
	put(followShop(silent.LocalAddr().String()))
	r.await(&r.follow, "shop alone")
	if held := time.Since(begun); held < 6*time.Second {
		t.Errorf("it was let go after %v", held)
	}
	if !eventually(func() bool { return r.pointers[0].Pointer().Target == failover.RolePrimary }) {
		t.Errorf("nobody leads, and the pointer is at %+v", r.pointers[0].Pointer())
	}
}

// A reload may give a group another pointer, and leaves the one that it had
// where it was.
func TestAPointerOutOfServiceIsNotMovedByItsFollower(t *testing.T) {
	server := startLeader(t)
	alone := shopOf("http://127.0.0.1:1", "http://127.0.0.2:1", "")
	r := runNames(t, followShop(server), nil)
	old := r.pointers[0]
	for _, text := range []string{followShop(server), followShop(server), alone} {
		if !eventually(func() bool { return old.Pointer().Lead == failover.RoleSecondary }) {
			t.Fatal("the pointer is not led")
		}
		was, f := *old.Pointer(), r.n.followers["shop"]
		cfg := readConfig(t, text)
		fresh := pointersFor(t, cfg)
		c, err := r.n.prepare(t.Context(), cfg, fresh)
		if err != nil {
			t.Fatal(err)
		}
		c.commit()
		f.lead("eu") // an answer that was on its way
		f.lead("")
		f.event(follower.Event{Origin: "nowhere"})
		if is := *old.Pointer(); is != was {
			t.Errorf("out of service, it went from %+v to %+v", was, is)
		}
		old = fresh[0]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.follow, "shop at nowhere") {
		t.Errorf("told %q", r.follow)
	}
}
