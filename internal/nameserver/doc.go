// Package nameserver answers for groups over DNS: what the pointer of a group
// is at, with the addresses of that origin, so that whatever speaks DNS can
// follow the same pointer.
//
//	s, err := nameserver.New(nameserver.Config{
//		Listen: "127.0.0.1:5353",
//		Zone:   "failover.example.",
//		NS:     []string{"ns1.failover.example."},
//		Groups: groups,
//	})
//	...
//	addr, err := s.Listen()
//	...
//	go s.Run(ctx)
//	...
//	s.Update() // the pointer moved: the next answer shows it
//
// For a group "shop" with the origins eu and us, these names exist:
//
//	failover.example.          SOA, NS
//	ns1.failover.example.      A, AAAA: an NS name within the zone
//	shop.failover.example.     A, AAAA or CNAME of the active origin; TXT of the pointer
//	eu.shop.failover.example.  A, AAAA or CNAME of that origin, active or not
//
// The pointer is at none: A and AAAA have no data. An origin's name isn't
// resolved at the moment: SERVFAIL, so that resolvers keep what they have. An
// origin behind a unix socket has no addresses, hence no data.
//
// A group that answers with a CNAME still has its TXT record beside it, which
// RFC 1034 (3.6.2) forbids: followers read the pointer there, under the one name
// that everybody knows. Nothing else is beside a CNAME.
//
// It is an authoritative server for one zone that is made of memory. It
// doesn't recurse, transfer the zone, sign it, take updates or notify anybody.
package nameserver
