// Package drill knows what a drill of a configuration means: which faults it has, how long each takes, what the requests
// of one route came to, and what that says about the configuration. All of it is pure: whoever runs the drill makes the
// origins, the proxy and the load, and hands over what they saw.
//
//	times := drill.TimesOf(fault, setups, 0)
//	...                                          // the load runs, and the fault with it
//	figures := drill.Measure(seen)
//	verdict := drill.Judge(fault, setup, figures)
//	fmt.Println(verdict.Outcome, verdict.Text)   // weak 41 errors in 0.8 s before the flip; unsafe = "park" would ...
//
// It reads no configuration: a [Setup] is what one says about a route, in the words of its keys.
package drill
