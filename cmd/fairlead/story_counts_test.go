//go:build unix

package main

import (
	"strings"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
)

// totalsOf are a route's totals in a status.
func totalsOf(s *adminapi.Status, route string) adminapi.Totals {
	for i := range s.Routes {
		if s.Routes[i].Name == route {
			return s.Routes[i].Totals
		}
	}
	return adminapi.Totals{}
}

// atRest waits until all requests of the load, which has ended, are accounted for.
func (w *overseen) atRest(requests int) (s adminapi.Status) {
	w.t.Helper()
	chaos.Await(w.t, patience, "all requests to be accounted for", func() bool {
		s = get[adminapi.Status](w, "/v1/status")
		over, accepted := 0, 0
		for i := range s.Routes {
			t := s.Routes[i].Totals
			accepted += int(t.Accepted)
			over += int(t.Served + t.FailedOver + t.Shed + t.Failed + t.Left)
		}
		return over == accepted && accepted == requests
	})
	return s
}

// byOrigin are the ids that have arrived at an origin.
func byOrigin(o *chaos.Origin) map[string]bool {
	ids := make(map[string]bool)
	for _, a := range o.AllArrivals() {
		if a.ID != "" {
			ids[a.ID] = true
		}
	}
	return ids
}

// rescued are the requests that came to the primary first, and were served by the
// secondary.
func (w *overseen) rescued(l *chaos.Ledger, method string) []chaos.Result {
	eu := byOrigin(w.shop.eu)
	return l.Select(func(r *chaos.Result) bool {
		return r.Method == method && r.Kind == chaos.Served && r.Origin == "us" && eu[r.ID]
	})
}

// sameCounts compares what clients saw with what each window counted, after a load
// has ended.
func (w *overseen) sameCounts(l *chaos.Ledger) {
	w.t.Helper()
	status := w.atRest(l.Len())
	m := w.scrape()
	for route, method := range map[string]string{"read": "GET", "order": "POST"} {
		t := totalsOf(&status, route)
		served := len(l.Select(func(r *chaos.Result) bool { return r.Method == method && r.Kind == chaos.Served }))
		failed := len(l.Select(func(r *chaos.Result) bool { return r.Method == method && r.Kind == chaos.Refused }))
		w.equal(route+": served, to clients and in /v1/status", uint64(served), t.Served+t.FailedOver)
		w.equal(route+": failed, to clients and in /v1/status", uint64(failed), t.Failed+t.Shed)
		for result, n := range map[string]uint64{"served": t.Served, "failed_over": t.FailedOver, "shed": t.Shed, "failed": t.Failed, "left": t.Left} {
			w.equal(route+": "+result+", in /v1/status and /metrics", n, uint64(m.value("fairlead_requests_total", "route", route, "result", result)))
		}
		w.equal(route+": saved, in /v1/status and /metrics", t.Saved, uint64(m.value("fairlead_saved_requests_total", "route", route)))
		w.equal(route+": failovers, in /v1/status and /metrics", t.FailedOver, uint64(m.value("fairlead_failovers_total", "route", route)))
		w.equal(route+": retries, in /v1/status and /metrics", t.ConnRetry, uint64(m.value("fairlead_conn_retries_total", "route", route)))
		for _, origin := range []string{"eu", "us"} {
			from := len(l.Select(func(r *chaos.Result) bool { return r.Method == method && r.Kind == chaos.Served && r.Origin == origin }))
			w.equal(route+": from "+origin+", to clients and in /metrics", uint64(from),
				uint64(m.value("fairlead_attempts_total", "route", route, "origin", origin, "class", "ok")))
		}
	}
	read, order := totalsOf(&status, "read"), totalsOf(&status, "order")
	w.equal("read: saved, by what arrived where and in /v1/status", uint64(len(w.rescued(l, "GET"))), read.Saved)
	if read.Saved == 0 || order.Failed == 0 {
		w.t.Errorf("saved %d, failed %d: an outage under load that nobody noticed proves nothing", read.Saved, order.Failed)
	}
}

func (w *overseen) equal(what string, a, b uint64) {
	w.t.Helper()
	if a != b {
		w.t.Errorf("%s: %d and %d", what, a, b)
	}
}

// sameBreakers compares the moves of breakers, one by one.
func (w *overseen) sameBreakers() {
	w.t.Helper()
	moves := ofKind(get[[]adminapi.Event](w, "/v1/events?limit=1000"), "breaker")
	w.awaitSaid(len(moves), "breaker moved", nil)
	if len(moves) == 0 {
		w.t.Error("no breaker has moved")
	}
	for _, e := range moves {
		if w.said("breaker moved", line{"route": e.Route, "origin": e.Origin, "from": e.From, "to": e.To}) == 0 {
			w.t.Errorf("the log knows nothing of %q", e.Text)
		}
	}
	status, m := get[adminapi.Status](w, "/v1/status"), w.scrape()
	for i := range status.Routes {
		for _, b := range status.Routes[i].Breakers {
			if b.State != "off" && m.value("fairlead_breaker_state", "route", status.Routes[i].Name, "origin", b.Origin, "state", b.State) != 1 {
				w.t.Errorf("/metrics doesn't say that the breaker of %s towards %s is %s", status.Routes[i].Name, b.Origin, b.State)
			}
		}
	}
}

// savedRequest finds a request among the last ones that failover has saved, and
// compares each of its attempts with what the origins saw.
func (w *overseen) savedRequest(l *chaos.Ledger) {
	w.t.Helper()
	sent := make(map[string]bool)
	for _, r := range w.rescued(l, "GET") {
		sent["/product/"+r.ID] = true
	}
	m := w.scrape()
	for _, r := range get[[]adminapi.Request](w, "/v1/requests?route=read&failed=true") {
		if r.Result != "failed_over" {
			continue
		}
		if len(r.Attempts) != 2 || !sent[r.Target] || r.Status != 200 || !r.Covered || r.Role != "primary" || r.Generation != 1 {
			w.t.Fatalf("/v1/requests has a saved request that no client sent so: %+v", r)
		}
		first, second := r.Attempts[0], r.Attempts[1]
		if first.Origin != "eu" || first.Class == "ok" || first.Why == "" || second.Origin != "us" || second.Class != "ok" || second.Why != "" {
			w.t.Errorf("its attempts: %+v", r.Attempts)
		}
		if m.value("fairlead_attempts_total", "route", "read", "origin", "eu", "class", first.Class) == 0 {
			w.t.Errorf("/metrics counts no attempt of class %s", first.Class)
		}
		text := w.cli("requests", "--route", "read", "--failed", "-n", "1000")
		for _, want := range []string{r.Target, first.Class, first.Why} {
			if !strings.Contains(text, want) {
				w.t.Errorf("fairlead requests --failed doesn't say %q", want)
			}
		}
		return
	}
	w.t.Error("/v1/requests remembers no request that was saved")
}
