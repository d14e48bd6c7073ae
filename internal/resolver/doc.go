// Package resolver turns the names of origins into addresses, and keeps them
// fresh: it is a stub resolver (RFC 1035, section 7) with a cache that never
// makes a request wait while it knows any usable answer.
//
//	r, err := resolver.New(resolver.Config{Servers: []string{"127.0.0.1:53"}})
//	if err != nil {
//		return err
//	}
//	defer r.Close()
//	stop := r.Watch("origin.example", func(addrs []netip.Addr) {
//		log.Printf("origin.example is now at %v", addrs)
//	})
//	defer stop()
//	addrs, err := r.Lookup(ctx, "origin.example")
//
// An answer holds for its TTL, within bounds. A watched name is asked for again
// before that ends. When the nameservers fail, the last good answer serves for
// up to StaleMax (RFC 8767) while lookups go on with a growing distance. When
// they say that there is no such name or no address, that is an answer: the
// addresses are withdrawn at once.
//
// What the package refuses to do: it sends no query per request, whatever the
// TTL or the trouble; it believes no response that doesn't match id, question
// and server; it follows no more than 8 aliases; it validates no DNSSEC; and it
// writes no log, but tells its owner the few things worth one.
package resolver
