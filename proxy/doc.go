// Package proxy is Fairlead's data plane: it accepts connections, finds a
// route for each request, admits it, sends it to one origin or to two, and
// relays the answer.
//
//	pointer := failover.NewGroup(failover.GroupConfig{Name: "shop",
//		PointerConfig: failover.PointerConfig{HasSecondary: true}})
//	srv, err := proxy.New(proxy.Config{
//		Listen: []string{"127.0.0.1:8080"},
//		Origins: []proxy.Origin{
//			{Name: "eu", URL: "http://127.0.0.1:9101", ConnectTimeout: time.Second},
//			{Name: "us", URL: "http://127.0.0.1:9102", ConnectTimeout: time.Second},
//		},
//		Groups: []proxy.Group{{Name: "shop", Primary: "eu", Secondary: "us", Pointer: pointer,
//			Policy: failover.PolicyConfig{Methods: []string{"GET"}, Statuses: []int{503}}}},
//		Routes: []proxy.Route{{Name: "all", Match: "/", Group: "shop",
//			Bulkhead: bulkhead.Config{MaxConcurrent: 100}}},
//	})
//	if err != nil {
//		return err
//	}
//	if _, err := srv.Listen(); err != nil {
//		return err
//	}
//	return srv.Run(ctx) // until ctx ends and the drain is over
//
// One goroutine serves one connection, and one more looks at all connections
// twenty times a second to enforce every time-out. An exchange (exchange.go)
// knows no wire; conn.go and its neighbours are the door by which HTTP/1.1
// comes in, and secure.go and handshake.go put TLS under it.
//
// What the package refuses to do: it probes no origin and moves no pointer, it
// reads both from a [failover.Group] that its caller feeds; it sends nothing
// twice that its policy does not cover; it changes no path, query or body; and
// it buffers no more of a body than one pooled buffer holds.
package proxy
