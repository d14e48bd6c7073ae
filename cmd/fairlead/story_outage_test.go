//go:build unix

package main

import (
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
)

// An outage and its end, under load, seen through the log, the metrics, the admin
// API, the command line and the dashboard. What one of them says the others say
// too, and what they count is what clients and origins saw.
func TestEachWindowTellsTheSameStoryOfAnOutage(t *testing.T) {
	t.Parallel()
	w := watchShop(t)
	load := chaos.Load{
		Address: w.address, Conns: 4, Timeout: patience, Duration: 5 * time.Minute,
		Mix: []chaos.Shot{{Weight: 3, Path: "/product/", WantSize: 2000}, {Weight: 1, Method: "POST", Path: "/order/", BodySize: 2048}},
	}.Start(t.Context())
	more := func() {
		n := load.Ledger().Len()
		chaos.Await(t, patience, "more requests", func() bool { return load.Ledger().Len() > n+200 })
	}
	more()
	w.shop.eu.Set(chaos.ResetBeforeHead()) // it still accepts, so each request that it loses is on its list
	out := w.await("pointer moved", line{"to": "us"})
	more()
	ledger := load.Stop()

	w.sameCounts(ledger)
	w.sameStory(out)
	w.sameVerdict("eu", "down", 1)
	w.sameVerdict("us", "healthy", 1)
	w.sameBreakers()
	w.savedRequest(ledger)
	t.Run("the page", func(t *testing.T) { w.samePage(t) })

	w.shop.eu.Set(chaos.OK(1024))
	back := w.await("pointer moved", line{"to": "eu"})
	w.sameStory(back)
	w.sameVerdict("eu", "healthy", 2)
	t.Run("the page after the failback", func(t *testing.T) { w.samePage(t) })
	if all := flips(get[[]adminapi.Event](w, "/v1/events?limit=1000")); len(all) != 2 || w.said("pointer moved", nil) != 2 {
		t.Errorf("%d flips in /v1/events, %d in the log, want 2", len(all), w.said("pointer moved", nil))
	}

	status := get[adminapi.Status](w, "/v1/status")
	if code := w.end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, route := range []string{"read", "order"} { // as in the log
		total, last := totalsOf(&status, route), w.totals(route)
		for key, n := range map[string]uint64{
			"accepted": total.Accepted, "served": total.Served, "failed_over": total.FailedOver, "saved": total.Saved, "shed": total.Shed,
			"failed": total.Failed, "left": total.Left, "parked": total.Parked, "conn_retry": total.ConnRetry,
		} {
			w.equal(route+": "+key+", in /v1/status and at the end of the log", n, uint64(last[key].(float64)))
		}
	}
	if err := chaos.Check(ledger, w.shop.eu, w.shop.us); err != nil {
		t.Error(err)
	}
}
