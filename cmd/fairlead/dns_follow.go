package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/follower"
)

// following is a group's follower, for one pointer.
type following struct {
	*follower.Follower
	id    string
	group *config.Group
	terms followTerms
	tell  func(group string, e follower.Event)
	stop  context.CancelFunc // nil before begin

	drained func(origin string) bool // by hand

	// saying is held while the pointer is moved or the log written, so that
	// nothing comes from a follower after it was dismissed: by then a successor,
	// or nobody, leads the pointer.
	saying    sync.Mutex
	dismissed bool   // guarded by saying
	said      string // where the pointer was led last, if it could go there; guarded by saying
}

// followTerms is what a follower was made of. It runs on while they are the
// same.
type followTerms struct {
	follow             config.Follow
	primary, secondary string
	pointer            *failover.Group
}

// followers gives what the configuration's groups need, by their names: those
// that run already where nothing has changed.
func (n *names) followersFor(cfg *config.Config, pointers []*failover.Group) map[string]*following {
	all := make(map[string]*following)
	for i := range cfg.Groups {
		g := &cfg.Groups[i]
		if g.Follow == nil {
			continue
		}
		terms := followTerms{*g.Follow, g.Primary, g.Secondary, pointers[i]}
		before := n.followers[g.Name]
		if before != nil && before.terms == terms {
			all[g.Name] = before
			continue
		}
		id := randomID()
		if before != nil {
			id = before.id // so that a ring through this group is still found out
		}
		all[g.Name] = n.follow(g, terms, id)
	}
	return all
}

// follow makes what lets a group's pointer go along with another one. A pointer
// that is led already, by a follower before or in an earlier life, stays so until
// this one knows better.
func (n *names) follow(g *config.Group, terms followTerms, id string) *following {
	f := &following{id: id, group: g, terms: terms, tell: n.w.follow, drained: n.isDrained,
		said: originAt(g, terms.pointer.Pointer().Lead)}
	fc := follower.Config{
		Server:  terms.follow.Server.String(),
		Name:    terms.follow.Name,
		ID:      id,
		Origins: []string{terms.primary},
		Text:    n.text,
		Lead:    f.lead,
		OnVia:   n.update,
		OnEvent: f.event,
	}
	if terms.pointer.Pointer().Lead != failover.RoleNone {
		fc.TTL = g.TTL // the other pointer's isn't known yet; most likely it is configured alike
	}
	if terms.secondary != "" {
		fc.Origins = append(fc.Origins, terms.secondary)
	}
	f.Follower = follower.New(fc)
	return f
}

// isDrained reports whether an origin is out of service by hand.
func (n *names) isDrained(origin string) bool { return n.drained != nil && n.drained(origin) }

// lead puts the pointer to an origin; with "" nobody leads it.
func (f *following) lead(origin string) {
	f.saying.Lock()
	defer f.saying.Unlock()
	f.said = origin
	f.put()
}

// put puts the pointer to where it was led last, with saying held. A drained
// origin is no place to be led to: then the pointer goes by the verdicts here
// until the origin is back, or the other pointer moves.
func (f *following) put() {
	if f.dismissed {
		return
	}
	origin := f.said
	if origin != "" && f.drained(origin) {
		f.tell(f.group.Name, follower.Event{Err: &drainedHere{origin}})
		origin = ""
	}
	f.terms.pointer.Follow(roleOf(f.group, origin))
}

// drainedHere is why a pointer doesn't follow: the other one is at an origin that
// is out of service here.
type drainedHere struct{ origin string }

func (e *drainedHere) Error() string {
	return fmt.Sprintf("the other pointer is at %s, which is drained here; it is followed again when %s is ready, or when it moves", e.origin, e.origin)
}

// relead is called when an origin was drained, or is ready again: pointers that
// are led there leave it, or come back.
func (n *names) relead(origin string) {
	n.mu.Lock()
	all := slices.Collect(maps.Values(n.followers))
	n.mu.Unlock()
	for _, f := range all {
		f.relead(origin)
	}
}

func (f *following) relead(origin string) {
	f.saying.Lock()
	defer f.saying.Unlock()
	if f.said == origin {
		f.put()
	}
}

// event tells whether and why the pointer is led.
func (f *following) event(e follower.Event) {
	f.saying.Lock()
	defer f.saying.Unlock()
	if !f.dismissed {
		f.tell(f.group.Name, e)
	}
}

// randomID tells followers apart over all processes.
func randomID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// begin has a follower run, with n.mu held.
func (n *names) begin(f *following) {
	ctx, cancel := context.WithCancel(n.running)
	f.stop = cancel
	n.work.Go(func() { _ = f.Run(ctx) })
}

// dismiss ends a follower, with n.mu held. When it returns, the follower has had
// its last word; the pointer stays where it is led to.
func (f *following) dismiss() {
	if f.stop != nil {
		f.stop()
	}
	f.saying.Lock()
	defer f.saying.Unlock()
	f.dismissed = true
}
