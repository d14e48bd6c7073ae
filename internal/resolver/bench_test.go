package resolver

import (
	"context"
	"net/netip"
	"testing"
)

// warm is a Resolver that has an answer for shop.example.
func warm(tb testing.TB) *Resolver {
	tb.Helper()
	r, err := newResolver(Config{Servers: []string{ns1}}, func(_ context.Context, _, _ string, packed []byte, accept func([]byte) bool) error {
		m := has(300, "192.0.2.1", "2001:db8::1")(parsed("udp", packed)).msgs[0]
		b, err := m.Append(nil)
		accept(b)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	if _, err := r.Lookup(context.Background(), "shop.example"); err != nil {
		tb.Fatal(err)
	}
	return r
}

// Each connection to an origin begins with a Lookup.
func TestACachedLookupAllocatesNothing(t *testing.T) {
	r := warm(t)
	var addrs []netip.Addr
	if n := testing.AllocsPerRun(1000, func() { addrs, _ = r.Lookup(t.Context(), "shop.example") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { r.Peek("shop.example") }); n != 0 {
		t.Errorf("Peek: %v allocations", n)
	}
	if len(addrs) != 2 {
		t.Errorf("got %v", addrs)
	}
}

func BenchmarkLookupCached(b *testing.B) {
	r := warm(b)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Lookup(ctx, "shop.example"); err != nil {
			b.Fatal(err)
		}
	}
}

// The alternative: a lookup each time, here without any network.
func BenchmarkLookupUncached(b *testing.B) {
	r := warm(b)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := verdictOf(r.lookup(ctx, "shop.example", func(result) {})); err != nil {
			b.Fatal(err)
		}
	}
}
