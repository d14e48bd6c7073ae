// Package health decides whether an origin is up by asking it.
//
// A [Checker] sends one HTTP request at a time to one origin, each on a
// connection of its own, and turns the answers into a [Verdict] that moves only
// after several equal answers in a row:
//
//	checker, err := health.NewChecker(health.Config{
//		Origin: "eu",
//		URL:    &url.URL{Scheme: "http", Host: "127.0.0.1:9101"},
//		Path:   "/healthz",
//	}, func(e health.Event) {
//		if e.Kind == health.VerdictChanged {
//			log.Printf("origin %s: %s, then %s", e.Origin, e.From, e.To)
//		}
//	})
//	if err != nil {
//		return err
//	}
//	go checker.Run(ctx)
//
// Probes come every Interval. While a verdict is being decided, and for some
// probes after [Checker.Hurry] said that a real request failed, they come every
// FastInterval. Two promises follow, for an origin that stops working:
//
//   - without traffic the verdict is Down within Fall times Interval plus Timeout;
//   - with failing traffic and an origin that refuses connections it is Down
//     within Fall times FastInterval of the first failure.
//
// What the package refuses to do: it follows no redirect, reuses no connection,
// takes no proxy from the environment, counts no probe that was cancelled or
// that failed while this process itself stood still, and draws no conclusion
// from a single answer.
package health
