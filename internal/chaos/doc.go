// Package chaos is the kit that tests of the whole proxy stand on: origins that break at will, a load that believes
// nothing, and a checker that compares what clients got with what origins saw.
//
//	eu := chaos.NewOrigin(t, "eu")
//	us := chaos.NewOrigin(t, "us")
//	proxy := startProxy(t, eu.URL(), us.URL())
//
//	run := chaos.Load{Address: proxy, Rate: 400, Mix: []chaos.Shot{
//		{Weight: 80, Method: "GET", Path: "/product/"},
//		{Weight: 20, Method: "POST", Path: "/order/", BodySize: 2048},
//	}}.Start(ctx)
//	eu.SetPath("/healthz", chaos.Status(503))
//	eu.Down()
//	chaos.Await(t, time.Second, "answers from us", func() bool { return run.Ledger().From("us") > 100 })
//	eu.Up()
//	ledger := run.Stop()
//	if err := chaos.Check(ledger, eu, us); err != nil {
//		t.Error(err)
//	}
//
// Three fields tie the two ends together. A client sends Chaos-Id, unique to its request, and may send Chaos-Size, the
// size of the body it wants. An origin answers with Chaos-Origin, Chaos-Id and Chaos-Size, and with the body that
// [Body] derives from the three, so that a byte of another origin, of another request or of another place in the body
// is never taken for the right one.
//
// An [Origin] speaks HTTP/1.1 on raw sockets, because net/http would not let it break the protocol, and both ends have
// their own reader of it, so that a mistake in the proxy's parser is not shared by its judge.
//
// A [Fault] is a behaviour with a name, which the drill, the suite and the documentation share: [Faults] is the closed
// table of them. It lies over whatever else was set, for requests or probes or both, and its end leaves no trace:
//
//	fault, _ := chaos.FaultByName("connect_refused")
//	if err := fault.Begin(eu, "/healthz"); err != nil {
//		t.Fatal(err)
//	}
//	...
//	err := fault.End(eu)
//
// The kit refuses to judge with half the evidence: a ledger is bounded, and one that overflowed fails the check. It
// knows nothing of routes, permits or the pointer; what is inside the proxy is for the proxy's own tests to ask. It
// imports nothing of ours and does not import testing, so a demonstration may use it too.
package chaos

// TB is the part of testing.TB that the kit uses.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// The fields that tie a client's request to an origin's answer.
const (
	FieldID     = "Chaos-Id"
	FieldOrigin = "Chaos-Origin"
	FieldSize   = "Chaos-Size"
)
