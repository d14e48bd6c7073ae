package proxy

import "github.com/fairlead/fairlead/failover"

// notAsked is the outcome of an attempt that was not made.
var notAsked = failover.Outcome{Class: failover.ClassBreakerOpen}

// dispatch sends an admitted request where the pointer points, and from there,
// if it must, elsewhere. When it returns the client has been answered.
func (x *exchange) dispatch() {
	var parked int64 // until when at most; 0: it was not parked yet
	for {
		x.rebind()
		x.pointer = x.route.pointer.Pointer()
		l, waits := x.route.first(x.pointer, x.replayable)
		if l == nil && x.route.pointer.Pointer().Generation != x.pointer.Generation {
			continue // the drain that left it nowhere to go has moved the pointer meanwhile
		}
		if l == nil {
			x.refuse(refuseNoOrigin)
			return
		}
		if waits {
			x.leg = l
			if !x.parkUntil(&parked) {
				return
			}
			continue
		}
		nth := 1
		if x.covered && x.rehearse(l) {
			l, nth = x.route.legs[failover.RoleSecondary], 2
		}
		first := x.try(l, nth)
		switch {
		case x.halted && x.picked && x.limited && x.mayFailOver(notAsked):
			x.failOver(l, notAsked) // a drill must not cost a client what the primary would have given it
			return
		case x.halted:
			x.refuseHalted()
			return
		case first.Class == failover.ClassNone:
			x.relay(x.firstResult())
			return
		case x.mayFailOver(first):
			x.failOver(l, first)
			return
		case first.Responded() && x.oc != nil:
			x.relay(x.firstResult())
			return
		}
		if x.replayable || !x.nothingSent(first) {
			x.giveUp(first, failover.Outcome{})
			return
		}
		switch x.route.policy.Unsafe() {
		case failover.UnsafeUnsent:
			x.sendUnsent(l, first)
			return
		case failover.UnsafeNever:
			x.giveUp(first, failover.Outcome{})
			return
		}
		if !x.parkUntil(&parked) {
			return
		}
	}
}

// mayFailOver reports whether a failed attempt may be followed by one at the
// other origin, and records why not.
func (x *exchange) mayFailOver(o failover.Outcome) bool {
	switch {
	case !x.covered || !x.route.policy.Failed(o):
		return false
	case x.route.legs[x.leg.role.Other()].drained():
		x.whyNot = failover.WhyNotDrained
		return false
	case x.left() < failover.MinLeft:
		x.whyNot = failover.WhyNotTimeout
		return false
	case x.interrupted() == causeLeft:
		x.whyNot = failover.WhyNotClientLeft
		return false
	}
	return true
}

// failOver sends the request to the other origin, and applies the both-fail
// rule. The failed response of the first, if there is one, is held meanwhile.
func (x *exchange) failOver(l *leg, first failover.Outcome) {
	other := x.route.legs[l.role.Other()]
	if x.oc != nil {
		if other.breaker.refuses() {
			// There is nowhere to go, so the response need not be held,
			// whatever its size.
			x.whyNot = failover.WhyNotBreakerOpen
			x.relay(x.firstResult())
			return
		}
		x.hold()
		if !x.held.whole {
			first.Status = 0
		}
	}
	second := x.try(other, 2)
	switch {
	case second.Class == failover.ClassBreakerOpen:
		x.whyNot = failover.WhyNotBreakerOpen
	case x.halted && x.whyNot == failover.WhyNotSameEndpoint:
	case x.halted && x.held.whole && (x.interrupted() == causeNone || x.interrupted() == causeTimeout):
		second = failover.Outcome{} // the attempt is nobody's failure; the first one's response is at hand
	case x.halted:
		x.refuseHalted()
		return
	case second.Class == failover.ClassNone:
		x.relay(resultFailedOver)
		return
	}
	x.giveUp(first, second)
}

// giveUp answers a request for which no attempt succeeded.
func (x *exchange) giveUp(first, second failover.Outcome) {
	switch failover.BothFailed(first, second) {
	case failover.AnswerSecond:
		x.relay(resultFailed)
	case failover.AnswerFirst:
		x.relayHeld(resultFailed)
	default:
		x.result = resultFailed
		if second.Class != failover.ClassNone && second.Class != failover.ClassBreakerOpen {
			first = second
		}
		x.refuse(refuseOutcome(first, x.route.openSeconds))
	}
}

// sendUnsent sends an uncovered request, of which nothing was sent, to the
// other origin at once.
func (x *exchange) sendUnsent(l *leg, first failover.Outcome) {
	other := x.route.legs[l.role.Other()]
	if other == nil || other.drained() {
		x.giveUp(first, failover.Outcome{})
		return
	}
	second := x.try(other, 2)
	switch {
	case x.halted:
		x.refuseHalted()
	case x.oc != nil:
		x.relay(resultFailedOver)
	default:
		x.giveUp(first, second)
	}
}

// nothingSent reports whether no byte of the request has left for any origin.
func (x *exchange) nothingSent(o failover.Outcome) bool {
	return !x.last.sent && (o.Class.Unsent() || o.Class == failover.ClassBreakerOpen || o.Class == failover.ClassWrite)
}

// refuseHalted answers a request whose attempt ended for a reason that is
// nobody's failure.
func (x *exchange) refuseHalted() {
	if x.limited {
		x.result = resultShed
		x.refuse(refuseOriginLimit)
		return
	}
	x.refuse(x.refuseCause(x.interrupted()))
}
