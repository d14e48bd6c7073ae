package proxy

import (
	"testing"
	"time"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/http1"
)

// benchAccount is an exchange that is over, as finish finds it.
func benchAccount() (*exchange, *routeState) {
	eu := &originState{name: "eu"}
	r := &routeState{name: "all", group: "shop", stats: &routeStats{}, memory: &memory{}}
	l := &leg{role: failover.RolePrimary, origin: eu, stats: &legStats{}}
	x := &exchange{srv: &Server{clock: newClock()}, snap: &snapshot{remembered: maxRemembered}, route: r}
	x.req = http1.Request{Method: []byte("GET"), Host: []byte("shop.example"), Target: []byte("/product/42?color=red")}
	x.id, x.peer = x.idBuf[:], []byte("127.0.0.1")
	x.tried, x.status = 1, 200
	x.last = &x.tries[0]
	*x.last = attempt{leg: l, remote: "127.0.0.1:9101", status: 200}
	return x, r
}

// BenchmarkAccount is what the end of each request costs: one look at the clock,
// and three counters.
func BenchmarkAccount(b *testing.B) {
	x, _ := benchAccount()
	b.ReportAllocs()
	for b.Loop() {
		x.end = x.srv.clock.now()
		x.start = x.end - int64(3*time.Millisecond)
		x.account()
	}
}

// BenchmarkRemember is a decision that is kept, and one that comes too soon after
// the last to be.
func BenchmarkRemember(b *testing.B) {
	b.Run("kept", func(b *testing.B) {
		x, r := benchAccount()
		b.ReportAllocs()
		for b.Loop() {
			x.end += goodEvery
			x.remember()
		}
		if r.memory.good.count == 0 {
			b.Error("nothing was kept")
		}
	})
	b.Run("skipped", func(b *testing.B) {
		x, r := benchAccount()
		b.ReportAllocs()
		for b.Loop() {
			x.remember()
		}
		if n := r.memory.good.count; n > 2*maxRemembered {
			b.Errorf("%d were kept", n)
		}
	})
}
