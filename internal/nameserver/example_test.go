package nameserver_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/internal/nameserver"
)

// A pointer flips, and who asks is told.
func ExampleServer() {
	var target atomic.Value
	target.Store("eu")
	at := func(literal string) func() ([]netip.Addr, time.Duration, bool) {
		addrs := []netip.Addr{netip.MustParseAddr(literal)}
		return func() ([]netip.Addr, time.Duration, bool) { return addrs, 100 * 365 * 24 * time.Hour, true }
	}
	s, err := nameserver.New(nameserver.Config{
		Listen: "127.0.0.1:0",
		Zone:   "failover.example.",
		NS:     []string{"ns1.failover.example."},
		Admin:  "hostmaster@failover.example",
		Groups: []nameserver.Group{{
			Name:    "shop",
			TTL:     5 * time.Second,
			Pointer: func() nameserver.Pointer { return nameserver.Pointer{Target: target.Load().(string)} },
			Origins: []nameserver.Origin{{Name: "eu", Addresses: at("192.0.2.1")}, {Name: "us", Addresses: at("192.0.2.2")}},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	addr, err := s.Listen()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()

	client := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr.String())
	}}
	fmt.Println(client.LookupHost(ctx, "shop.failover.example."))
	target.Store("us")
	s.Update()
	fmt.Println(client.LookupHost(ctx, "shop.failover.example."))

	cancel()
	fmt.Println(<-done)
	// Output:
	// [192.0.2.1] <nil>
	// [192.0.2.2] <nil>
	// <nil>
}
