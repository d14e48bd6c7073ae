// Package failover decides which of two origins a request goes to.
//
// It joins two patterns. A [Policy] is the stateless half: it says which
// requests are covered, that is, may be sent a second time, and which outcomes
// send them to the other origin. A [Group] is the stateful half: it keeps the
// pointer, the origin that is active now, and moves it as the origins' verdicts
// come in. The first hides the first second of an outage, the second ends it.
//
//	g := failover.NewGroup(failover.GroupConfig{
//		Name: "shop",
//		PointerConfig: failover.PointerConfig{
//			HasSecondary:  true,
//			FailbackAfter: 30 * time.Second,
//			MinHold:       time.Minute,
//		},
//		OnFlip: func(from, to failover.State) {
//			log.Printf("%s -> %s: %s", from.Target, to.Target, to.Reason)
//		},
//	})
//	go g.Run(ctx) // failbacks need it, everything else works without
//
//	g.Verdict(failover.RolePrimary, false) // a health checker found out
//	target := g.Pointer().Target           // now RoleSecondary
//
// The package opens no connection, sends no probe, reads no request and writes
// no log. It doesn't find out whether an origin is healthy, it is told; and it
// doesn't send the second attempt, it says whether there may be one. The pointer
// is one process's view, unless it is told to Follow another's.
package failover
