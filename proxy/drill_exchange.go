package proxy

import (
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/fairlead/fairlead/failover"
)

// DrillMinLeft is how much of its route's timeout a request must have left for a
// drill to pick it: half of it is the primary's, which is asked if failover.MinLeft of
// that is left after a visit of the sweeper that came late. Of a route whose timeout
// is shorter, no request is ever picked.
const DrillMinLeft = 4 * failover.MinLeft

// rehearse lets the drill of the group, if there is one, pick the exchange, which
// is about to ask l. It reports whether it did.
func (x *exchange) rehearse(l *leg) bool {
	d := x.route.drills.running.Load()
	if d == nil || l.role != failover.RolePrimary || x.req.Upgrade != nil || x.left() < DrillMinLeft {
		return false
	}
	// What the drill stands on may have changed since it was looked at last. A
	// pointer that has moved since the request read it is for the next one.
	// So is a drill of other origins, which a request that was here before the
	// reload would not go to.
	if d.look(x.srv.clock.now()) != failover.DrillRuns || x.route.pointer != d.seat.pointer ||
		x.pointer.Generation != d.seat.pointer.Pointer().Generation {
		return false
	}
	x.drill, x.picked = d, d.share.Pick()
	return x.picked
}

// spare is the moment from which on the secondary must not have a picked request
// any more, so that the primary has as much time left to answer it.
func (x *exchange) spare(deadline int64) int64 {
	if !x.picked || x.tried != 1 {
		return deadline
	}
	begun := x.last.begun
	return min(deadline, begun+(x.watch.until-begun)/2)
}

// firstResult is that of a response that the first origin gave which was asked.
func (x *exchange) firstResult() result {
	if x.picked {
		return resultFailedOver
	}
	return resultServed
}

// drillPatience is how long a client waits for an origin's first byte before its
// leaving is put down to the origin. Who goes sooner may have any reason.
const drillPatience = time.Second

// gaveUp reports whether the client, which has left, had waited in vain: its own
// time-out may be shorter than the route's, and then nothing else tells of an origin
// that hangs.
func (x *exchange) gaveUp() bool {
	first := &x.tries[0]
	return x.tried == 2 || first.firstByte == 0 && x.end-first.begun >= int64(drillPatience)
}

// drilled counts an exchange that is over for the drill that might have picked it.
func (x *exchange) drilled() {
	d, counts := x.drill, &x.drill.others
	if x.picked {
		counts = &d.picked
	}
	if x.result == resultLeft && !x.gaveUp() {
		counts.left.Add(1)
		x.drillResult(drillLeft)
		return
	}
	first := &x.tries[0]
	failed := x.result == resultFailed || x.result == resultShed || x.result == resultLeft || x.picked && x.tried == 2 ||
		x.route.policy.Failed(first.outcome) || first.status >= 500
	if failed {
		counts.errors.Add(1)
	}
	counts.durations.add(x.end - x.start)
	switch {
	case !failed:
		x.drillResult(drillSecondary)
	case x.result == resultFailedOver && x.tried == 2 && x.status < 500:
		x.drillResult(drillRescued)
	default:
		x.drillResult(drillFailed)
	}
	d.record(x.end, x.picked, failed)
}

// drillResult counts what became of the exchange, if it was picked.
func (x *exchange) drillResult(r drillResult) {
	if x.picked {
		x.drill.results[r].Add(1)
		x.drill.seat.drills.results[r].Add(1)
	}
}

// notTaken is the attempt that a drill has an exchange do without, as it stands in
// logs. It was never made, so it is counted nowhere.
type notTaken struct{ origin string }

// whyNotTaken is its class in words.
const whyNotTaken = "a drill: the origin was not asked"

// notTaken is the origin that a picked exchange did not ask.
func (x *exchange) notTaken() notTaken {
	return notTaken{x.route.legs[failover.RolePrimary].origin.name}
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (n notTaken) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("origin", n.origin)
	enc.AddString("class", failover.ClassConnectRefused.String())
	enc.AddBool("simulated", true)
	return nil
}

// public is the attempt as it stands among the decisions.
func (n notTaken) public() Attempt {
	return Attempt{
		Origin: n.origin, Role: failover.RolePrimary.String(), Class: failover.ClassConnectRefused.String(), Why: whyNotTaken, Simulated: true,
	}
}
