package chaos

import (
	"maps"
	"strings"
	"sync/atomic"
	"time"
)

// Behaviour is what an origin does about a request. It is chosen when the request's head has arrived and stays with that
// request, whatever is set later. Values are immutable and may be shared by origins; the zero value is of no use.
type Behaviour struct {
	name     string
	onAccept func(*conn)      // set by those that do not wait for a request
	serve    func(*call) bool // reports whether the connection goes on
}

// Name returns the constructor's name, for a test's own name.
func (b Behaviour) Name() string { return b.name }

// After delays a behaviour by d, counted from the request's head. A delayed behaviour on accept acts on the request.
func (b Behaviour) After(d time.Duration) Behaviour {
	return Behaviour{name: b.name + " after " + d.String(), serve: func(k *call) bool {
		return k.pause(d) && b.serve(k)
	}}
}

// When holds a behaviour back until ready is closed, which makes an order of events certain without a delay.
func (b Behaviour) When(ready <-chan struct{}) Behaviour {
	return Behaviour{name: b.name + " when told", serve: func(k *call) bool {
		return k.wait(ready) && b.serve(k)
	}}
}

// InTurn gives each request the next of the behaviours, round and round. Behaviours on accept act on the request instead.
func InTurn(behaviours ...Behaviour) Behaviour {
	var next atomic.Uint64
	return Behaviour{name: "InTurn", serve: func(k *call) bool {
		b := behaviours[(next.Add(1)-1)%uint64(len(behaviours))]
		k.origin.journal.update(func() { k.arrival.Behaviour = b.name })
		return b.serve(k)
	}}
}

// asUsual does what the origin would do without a fault.
func asUsual() Behaviour {
	return Behaviour{name: "AsUsual", serve: func(k *call) bool {
		b := k.origin.plan.Load().usual(k.arrival.Path())
		k.origin.journal.update(func() { k.arrival.Behaviour = b.name })
		return b.serve(k)
	}}
}

// plan is which behaviour holds where. It is never changed, only replaced.
type plan struct {
	rest  Behaviour
	paths map[string]*Behaviour
	fault *overlay // nil for none
}

// overlay is a fault's behaviour, which goes before the plan's own.
type overlay struct {
	behaviour        *Behaviour // nil for none
	requests, probes bool       // whom it meets
	health           string     // the path of probes, "" for none
	hello            hello
}

// find returns the fault's behaviour if it meets this path, else the usual one.
func (p *plan) find(path string) *Behaviour {
	if f := p.fault; f != nil && f.behaviour != nil {
		meets := f.requests
		if f.health != "" && path == f.health {
			meets = f.probes
		}
		if meets {
			return f.behaviour
		}
	}
	return p.usual(path)
}

func (p *plan) hello() hello {
	if p.fault == nil {
		return helloGood
	}
	return p.fault.hello
}

// usual returns the exact path's behaviour, else that of the longest prefix that ends in a slash, else the rest's.
func (p *plan) usual(path string) *Behaviour {
	if b := p.paths[path]; b != nil {
		return b
	}
	found, longest := &p.rest, 0
	for prefix, b := range p.paths {
		if strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix) && len(prefix) > longest {
			found, longest = b, len(prefix)
		}
	}
	return found
}

// Set makes b the behaviour of every path that has none of its own, from the next request on.
func (o *Origin) Set(b Behaviour) {
	o.replan(func(p *plan) { p.rest = b })
}

// SetPath gives one path a behaviour of its own, so that /healthz may stay well while requests fail, or the reverse. A
// path that ends in a slash stands for everything below it. Behaviours on accept act on the request instead.
func (o *Origin) SetPath(path string, b Behaviour) {
	o.replan(func(p *plan) { p.paths[path] = &b })
}

// ClearPath takes a path's own behaviour away.
func (o *Origin) ClearPath(path string) {
	o.replan(func(p *plan) { delete(p.paths, path) })
}

func (o *Origin) replan(change func(*plan)) {
	o.planning.Lock()
	defer o.planning.Unlock()
	next := plan{paths: make(map[string]*Behaviour)}
	if now := o.plan.Load(); now != nil {
		next.rest, next.fault = now.rest, now.fault
		maps.Copy(next.paths, now.paths)
	}
	change(&next)
	o.plan.Store(&next)
}
