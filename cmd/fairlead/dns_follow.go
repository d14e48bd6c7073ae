package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/follower"
)

// following is a group's follower.
type following struct {
	*follower.Follower
	terms followTerms

	after     <-chan struct{} // not before it is closed; nil: at once
	stop      context.CancelFunc
	dismissed atomic.Bool   // the pointer is told that there is nothing to follow
	done      chan struct{} // closed when all is over
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
		f := n.follow(g, terms)
		if before != nil && before.terms.pointer == terms.pointer {
			f.after = before.done // or the last word of that one would count
		}
		all[g.Name] = f
	}
	return all
}

// follow makes a group's pointer go along with another one.
func (n *names) follow(g *config.Group, terms followTerms) *following {
	group := g.Name
	fc := follower.Config{
		Server: terms.follow.Server.String(),
		Name:   terms.follow.Name,
		ID:     randomID(),
		Text:   n.text,
		Lead: func(origin string) {
			role := failover.RoleNone
			switch origin {
			case terms.primary:
				role = failover.RolePrimary
			case terms.secondary:
				role = failover.RoleSecondary
			}
			terms.pointer.Follow(role)
		},
		OnVia:   n.update,
		OnEvent: func(e follower.Event) { n.w.follow(group, e) },
		Origins: []string{terms.primary},
	}
	if terms.secondary != "" {
		fc.Origins = append(fc.Origins, terms.secondary)
	}
	return &following{Follower: follower.New(fc), terms: terms, done: make(chan struct{})}
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
	n.work.Go(func() { f.run(ctx) })
}

func (f *following) run(ctx context.Context) {
	defer close(f.done)
	if f.after != nil {
		<-f.after // that one was told to end
	}
	_ = f.Run(ctx)
	if f.dismissed.Load() {
		f.terms.pointer.Follow(failover.RoleNone)
	}
}

// dismiss ends a follower, with n.mu held. It doesn't wait.
func (f *following) dismiss() {
	f.dismissed.Store(true)
	if f.stop == nil { // it never ran
		close(f.done)
		return
	}
	f.stop()
}
