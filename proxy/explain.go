package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/http1"
)

// Explanation is what would happen to a request now.
type Explanation struct {
	Method string
	Host   string
	Target string

	// Route and Group are "" if no route matches.
	Route string
	Group string

	// Outcome says it in one sentence.
	Outcome string

	// First is the origin that would be asked, "" if none would. Then is the one
	// that would be asked if that failed, "" for none.
	First string
	Then  string

	// Covered says that the request may fail over, and WhyNot, a
	// failover.WhyNot, why it may not now.
	Covered bool
	WhyNot  string

	// Status is what it would be answered with without any origin, else 0. A
	// request that would be parked has neither Status nor First.
	Status int

	// Steps are the rules that decide this, in the order in which they apply.
	Steps []Step
}

// Step is one rule of an Explanation.
type Step struct {
	// Rule is "request", "route", "body", "coverage", "permit", "pointer",
	// "drain", "drill", "breaker", "second" or "unsafe".
	Rule string
	// Result is "pass", "stop" if the rule ends the way of the request, or "note".
	Result string
	// Text says what the rule finds.
	Text string
	// Key is the key of the configuration that decides it, with the names of
	// routes and groups, such as "groups.shop.failover_methods"; "" for none.
	Key string
}

// Explain says what would happen now to a request without a body, by the code
// that decides it for those that come, from a client that is no trusted proxy. It
// takes no permit, asks no origin and moves no breaker. To find out whether two
// origins are one endpoint it asks Config.Resolve, for 100 ms at most. What it
// says may be otherwise a moment later.
//
// target is a path with its query, or an absolute URL, whose host then counts.
// Without either host it is a request of HTTP/1.0. The error says that the
// three can't stand in a request at all; what would be refused is explained.
func (s *Server) Explain(method, host, target string) (Explanation, error) {
	e := &explainer{Explanation: Explanation{Method: method, Host: host, Target: target}, snap: s.current()}
	switch {
	case method == "" || !visible(method):
		return Explanation{}, errors.New("the method must be a word, such as GET")
	case target == "" || !visible(target):
		return Explanation{}, errors.New("the target must be a path or a URL without spaces and control characters")
	case !visible(host):
		return Explanation{}, errors.New("the host must be a name without spaces and control characters")
	}
	if e.request() && e.match() && e.permit() && e.pointer() {
		e.candidates()
	}
	return e.Explanation, nil
}

// visible reports whether s can't end a word or a line of a request's head.
func visible(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(b byte) bool { return b <= ' ' || b >= 0x7f })
}

// explainer is an Explanation under construction. Its steps return whether the
// request goes on.
type explainer struct {
	Explanation
	snap  *snapshot
	req   http1.Request
	route *routeState
	free  bool // it may be sent twice, whether or not there is another origin
	first *leg
}

func (e *explainer) pass(rule, key, format string, args ...any) bool {
	e.Steps = append(e.Steps, Step{rule, "pass", fmt.Sprintf(format, args...), key})
	return true
}

func (e *explainer) note(rule, key, format string, args ...any) {
	e.Steps = append(e.Steps, Step{rule, "note", fmt.Sprintf(format, args...), key})
}

// stop ends the way with a response of our own.
func (e *explainer) stop(rule, key string, r *refusal, format string, args ...any) bool {
	e.Steps = append(e.Steps, Step{rule, "stop", fmt.Sprintf(format, args...), key})
	e.Status = r.status
	e.Outcome = fmt.Sprintf("it is answered with %d: %s", r.status, r.text)
	if r.text == "" {
		e.Outcome = fmt.Sprintf("it is answered with %d", r.status)
	}
	return false
}

// ofRoute and ofGroup are keys of the request's route and group.
func (e *explainer) ofRoute(key string) string { return "routes." + e.route.name + "." + key }

func (e *explainer) ofGroup(key string) string { return "groups." + e.route.group + "." + key }

// request is what is looked at before there is a route.
func (e *explainer) request() bool {
	head := e.Method + " " + e.Target + " HTTP/1.1\r\nHost: " + e.Host + "\r\n\r\n"
	if e.Host == "" { // which is allowed in HTTP/1.0 alone
		head = e.Method + " " + e.Target + " HTTP/1.0\r\n\r\n"
	}
	if err := e.req.Parse([]byte(head)); err != nil {
		return e.stop("request", "", refuseHead(err), "the request is refused: %v", err)
	}
	if e.req.Form == http1.FormAsterisk {
		return e.stop("request", "", answerOptions, "it asks about the proxy, which answers itself")
	}
	if err := http1.CheckPath(e.req.Path, e.snap.cfg.KeepEncodedSlash); err != nil {
		key := ""
		if errors.Is(err, http1.ErrEncodedSlash) {
			key = "server.encoded_slash"
		}
		return e.stop("request", key, refuseHead(err), "the path is refused: %v", err)
	}
	if e.snap.cfg.HTTPSRedirect {
		e.note("request", "server.https_redirect", "by a listener without TLS it is answered with %d to https", answerRedirect.status)
	}
	return e.pass("request", "", "it is well-formed")
}

// match finds the route and what it says of the request alone.
func (e *explainer) match() bool {
	t := e.snap.table
	i := t.router.Match(e.req.Method, e.req.Host, e.req.Path)
	if i < 0 {
		return e.stop("route", "", refuseNoRoute, "no route matches it")
	}
	e.route = t.routes[i]
	e.Route, e.Group = e.route.name, e.route.group
	e.pass("route", e.ofRoute("match"), "route %s matches, whose group is %s", e.Route, e.Group)
	if n := e.route.maxBody; n > 0 {
		e.note("body", e.ofRoute("max_body_bytes"), "a body of more than %d bytes is answered with %d", n, refuseBodyTooLarge.status)
	}
	covered, whyNot := e.route.policy.Covers(e.req.Method, false, false)
	e.free = e.route.policy.CoversMethod(e.req.Method)
	if e.Covered = covered; covered {
		e.pass("coverage", e.ofGroup("failover_methods"), "it may fail over, if it has no body")
	} else {
		e.uncovered("coverage", whyNot)
	}
	return true
}

// uncovered notes what keeps the request from failing over.
func (e *explainer) uncovered(rule string, w failover.WhyNot) {
	e.WhyNot = w.String()
	switch w {
	case failover.WhyNotNoSecondary:
		e.note(rule, e.ofGroup("secondary"), "it may not fail over: group %s has one origin", e.Group)
	case failover.WhyNotMethod:
		e.note(rule, e.ofGroup("failover_methods"), "it may not fail over: %s is not one of the methods that may", e.Method)
	case failover.WhyNotDrained:
		e.note(rule, "", "it may not fail over now: the other origin is drained")
	case failover.WhyNotBreakerOpen:
		e.note(rule, e.ofRoute("breaker"), "it may not fail over now: the breaker towards the other origin is open")
	case failover.WhyNotSameEndpoint:
		e.note(rule, "", "it is not sent a second time: the other origin has the same address and port")
	}
}

// permit looks at the bulkhead without touching it.
func (e *explainer) permit() bool {
	b, limits := e.route.bulk, e.route.limits.bulkhead
	key := e.ofRoute("bulkhead.max_concurrent")
	inUse, queued := b.InUse(), b.Queued()
	switch {
	case inUse < limits.MaxConcurrent && queued == 0:
		return e.pass("permit", key, "%d of %d permits are in use", inUse, limits.MaxConcurrent)
	case queued < limits.MaxQueue:
		e.note("permit", e.ofRoute("bulkhead.max_queue"), "all %d permits are in use: it waits behind %d others in the queue, %s at most",
			limits.MaxConcurrent, queued, limits.QueueTimeout)
		return true
	}
	return e.stop("permit", key, refuseFull, "all %d permits are in use, and the queue has no room", limits.MaxConcurrent)
}

// pointer finds where the request goes first, breakers aside.
func (e *explainer) pointer() bool {
	p := e.route.pointer.Pointer()
	active := e.route.legs[p.Target]
	if active == nil {
		return e.stop("pointer", e.ofGroup("both_down"), refuseNoOrigin, "the pointer is at no origin: %s, generation %d", p.Reason, p.Generation)
	}
	e.pass("pointer", "", "the pointer is at %s, the %s: %s, generation %d", active.origin.name, p.Target, p.Reason, p.Generation)
	l, waits := e.route.first(p, e.free)
	other := e.route.legs[p.Target.Other()]
	switch {
	case waits:
		return e.park("drain", fmt.Sprintf("%s is drained, and the request may not go elsewhere before the pointer does", active.origin.name))
	case l == nil && other != nil && !other.drained():
		return e.stop("drain", e.ofGroup("unsafe"), refuseNoOrigin, "%s is drained, and the request may not go elsewhere", active.origin.name)
	case l == nil:
		return e.stop("drain", "", refuseNoOrigin, "%s is drained, and there is no other origin in service", active.origin.name)
	case l != active:
		e.pass("drain", "", "%s is drained: it goes to %s", active.origin.name, l.origin.name)
	}
	e.first = l
	e.drill()
	return true
}

// drill notes that a drill may pick the request, which nobody can foresee.
func (e *explainer) drill() {
	if d := e.route.drills.running.Load(); d != nil && e.Covered && e.first.role == failover.RolePrimary {
		e.note("drill", "", "a drill has %.4g %% of such requests go to %s, as if %s had failed",
			100*d.cfg.Share, e.route.legs[failover.RoleSecondary].origin.name, e.first.origin.name)
	}
}

// park ends the way of a request that waits for an origin.
func (e *explainer) park(rule, text string) bool {
	e.Steps = append(e.Steps, Step{rule, "stop", text, ""})
	e.note("unsafe", e.ofGroup("park_timeout"), "it is parked, unsent, for %s at most, and then answered with %d", e.route.policy.ParkTimeout(), refuseParked.status)
	e.Outcome = fmt.Sprintf("it waits up to %s for an origin that takes it, and goes where the pointer points then", e.route.policy.ParkTimeout())
	return false
}

// candidates asks the breakers where the request goes, and where if that fails.
func (e *explainer) candidates() {
	l, other := e.first, e.route.legs[e.first.role.Other()]
	state, refuses := l.breaker.peek()
	if !refuses {
		e.pass("breaker", e.ofRoute("breaker"), "the breaker towards %s is %s", l.origin.name, state)
		e.First = l.origin.name
		e.second(other)
		return
	}
	open := refuseOutcome(failover.Outcome{Class: failover.ClassBreakerOpen}, e.route.openSeconds)
	e.note("breaker", e.ofRoute("breaker"), "the breaker towards %s is %s and takes nothing now", l.origin.name, state)
	switch unsafe := e.route.policy.Unsafe(); {
	case e.Covered, !e.free && unsafe == failover.UnsafeUnsent:
		e.redirect(other, open)
	case !e.free && unsafe == failover.UnsafePark:
		e.park("breaker", fmt.Sprintf("nothing is sent to %s, and the request may not go elsewhere before the pointer does", l.origin.name))
	default:
		e.stop("unsafe", e.ofGroup("unsafe"), open, "the request may not go elsewhere")
	}
}

// redirect sends the request to the other origin, past a breaker that is open.
func (e *explainer) redirect(other *leg, open *refusal) {
	switch {
	case other == nil:
		e.stop("second", e.ofGroup("secondary"), open, "there is no other origin")
		return
	case other.drained():
		e.WhyNot = failover.WhyNotDrained.String()
		e.stop("second", "", open, "%s is drained", other.origin.name)
		return
	}
	if state, refuses := other.breaker.peek(); refuses {
		e.WhyNot = failover.WhyNotBreakerOpen.String()
		e.stop("second", e.ofRoute("breaker"), open, "the breaker towards %s is %s and takes nothing now", other.origin.name, state)
		return
	}
	e.pass("second", "", "it goes to %s instead", other.origin.name)
	e.First = other.origin.name
	e.Outcome = fmt.Sprintf("it goes to %s, since the breaker towards %s is open", e.First, e.first.origin.name)
}

// second finds where the request goes if its first attempt fails.
func (e *explainer) second(other *leg) {
	switch {
	case e.Covered:
		if w := e.unfit(other); w != failover.WhyNotNone {
			e.uncovered("second", w)
			break
		}
		e.Then = other.origin.name
		e.pass("second", e.ofGroup("failover_statuses"), "if that fails, it goes to %s", e.Then)
		e.Outcome = fmt.Sprintf("it goes to %s; if that fails, to %s", e.First, e.Then)
		return
	case e.free:
	case e.route.policy.Unsafe() == failover.UnsafePark:
		e.note("unsafe", e.ofGroup("unsafe"), "if nothing can be sent to %s, it is parked for %s at most", e.First, e.route.policy.ParkTimeout())
	case e.route.policy.Unsafe() == failover.UnsafeUnsent && other != nil && !other.drained():
		e.Then = other.origin.name
		e.note("unsafe", e.ofGroup("unsafe"), "if nothing can be sent to %s, it goes to %s", e.First, e.Then)
		e.Outcome = fmt.Sprintf("it goes to %s; if nothing can be sent there, to %s", e.First, e.Then)
		return
	}
	e.Outcome = fmt.Sprintf("it goes to %s, and nowhere else", e.First)
}

// unfit says why the other origin would get no second attempt.
func (e *explainer) unfit(other *leg) failover.WhyNot {
	if other.drained() {
		return failover.WhyNotDrained
	}
	if _, refuses := other.breaker.peek(); refuses {
		return failover.WhyNotBreakerOpen
	}
	if e.first.sameEndpoint(other) {
		return failover.WhyNotSameEndpoint
	}
	return failover.WhyNotNone
}

// sameEndpoint reports whether both origins have one address and port and no
// other, as far as that is known now.
func (l *leg) sameEndpoint(other *leg) bool {
	ctx, cancel := context.WithTimeout(context.Background(), resolveWithin)
	defer cancel()
	one, err := l.origin.upstream.Addresses(ctx)
	if err != nil || len(one) != 1 {
		return false
	}
	two, err := other.origin.upstream.Addresses(ctx)
	return err == nil && slices.Equal(one, two)
}
