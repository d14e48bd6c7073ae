package page

import (
	"fmt"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// calmStatus is a Fairlead with two groups, both on their primaries.
func calmStatus() adminapi.Status {
	now := time.Now().UTC()
	started := now.Add(-(3*24 + 4) * time.Hour)
	healthy := func(name, url string, connections int, addresses ...string) adminapi.Origin {
		return adminapi.Origin{
			Name: name, URL: url, Verdict: "healthy", Since: &started, Addresses: addresses,
			Connections: connections, Probes: probesAt(now, 60, 0),
		}
	}
	return adminapi.Status{
		Version: "v0.6.0", PID: 4711, Started: started, State: "serving",
		Config:      adminapi.ConfigInfo{File: "/etc/fairlead/fairlead.toml", Fingerprint: "9f2c41d07be8", Loaded: started},
		Connections: adminapi.Connections{Open: 412, Limit: 20000},
		Groups: []adminapi.Group{
			{Name: "shop", Primary: "eu", Secondary: "us", Target: "eu", Role: "primary", Generation: 1, Since: started, Reason: "start", Failback: "auto"},
			{Name: "media", Primary: "store", Secondary: "store-2", Target: "store", Role: "primary", Generation: 1, Since: started, Reason: "start", Failback: "auto"},
		},
		Origins: []adminapi.Origin{
			healthy("eu", "https://eu.example.net", 21, "192.0.2.10:443", "192.0.2.11:443"),
			healthy("us", "https://us.example.net", 2, "198.51.100.7:443"),
			healthy("store", "http://store.internal:8080", 9, "10.4.0.20:8080"),
			healthy("store-2", "http://store-2.internal:8080", 1, "10.9.0.20:8080"),
		},
		Routes: []adminapi.Route{
			route("product", "/product/{id}", "shop", "eu", "us", 40, 7, 5210034),
			route("search", "/search", "shop", "eu", "us", 20, 4, 912345),
			route("basket", "POST /basket/", "shop", "eu", "us", 10, 1, 88231),
			route("checkout", "POST /checkout", "shop", "eu", "us", 5, 0, 12903),
			route("pictures", "/img/", "media", "store", "store-2", 60, 11, 8123456),
		},
	}
}

func route(name, match, group, primary, secondary string, limit, used int, served uint64) adminapi.Route {
	return adminapi.Route{
		Name: name, Match: match, Group: group,
		Bulkhead: adminapi.Bulkhead{MaxConcurrent: limit, InUse: used, MaxQueue: limit / 2},
		Breakers: []adminapi.Breaker{{Origin: primary, State: "closed"}, {Origin: secondary, State: "closed"}},
		Totals:   adminapi.Totals{Accepted: served, Served: served},
	}
}

// remember gives the fake ten minutes of calm traffic behind it.
func (f *fake) remember() {
	f.do(func() {
		now := f.nowLocked()
		f.samples = nil
		for i := 599; i >= 0; i-- {
			f.samples = append(f.samples, sampleAt(f.status.Groups, now.Add(-time.Duration(i)*time.Second), f.outage))
		}
	})
}

// outageScene is how things stand some minutes after eu broke: what README
// shows.
func (f *fake) outageScene() {
	f.do(func() {
		now := f.nowLocked()
		at := now.Add(-4*time.Minute - 12*time.Second)
		f.outage = at
		eu, us, shop := f.origin("eu"), f.origin("us"), f.group("shop")
		eu.Verdict, eu.Since, eu.Connections = "down", &at, 0
		eu.Probes = probesAt(now, 60, 38)
		us.Connections = 24
		shop.Target, shop.Role, shop.Generation, shop.Reason, shop.Since, shop.HoldS = "us", "secondary", 2, "primary_down", at, 60
		f.outageRoutes()
		f.outageRequests(at)
		f.events = nil
		for _, e := range []adminapi.Event{
			{Kind: "start", Level: "info", Time: f.status.Started, Text: "Fairlead v0.6.0 started."},
			{Kind: "reload", Level: "info", Time: now.Add(-5 * time.Hour), By: "session 10.0.3.8", Text: "The configuration was loaded anew: 1 route changed."},
			{Kind: "breaker", Level: "warn", Time: at.Add(-700 * time.Millisecond), Route: "product", Origin: "eu", From: "closed", To: "open", Cause: "connect_refused", Text: "The breaker of product towards eu opened."},
			{Kind: "verdict", Level: "error", Time: at.Add(-2 * time.Millisecond), Origin: "eu", From: "healthy", To: "down", Cause: "connect_refused", Text: "eu is down: 3 probes in a row failed.", Evidence: probesAt(at, 3, 3)},
			{Kind: "flip", Level: "warn", Time: at, Group: "shop", From: "eu", To: "us", Generation: 2, Cause: "primary_down", Text: "shop moved from eu to us."},
		} {
			e.Seq = uint64(len(f.events) + 1)
			f.events = append([]adminapi.Event{e}, f.events...)
		}
	})
	f.remember()
}

func (f *fake) outageRoutes() {
	open := adminapi.Breaker{Origin: "eu", State: "open"}
	closed := adminapi.Breaker{Origin: "us", State: "closed"}
	for i := range f.status.Routes[:4] {
		f.status.Routes[i].Breakers = []adminapi.Breaker{open, closed}
	}
	r := f.status.Routes
	r[1].Breakers[0].State = "half-open"
	r[3].Breakers[0].State = "closed"
	r[0].Totals.FailedOver, r[0].Totals.Saved, r[0].Totals.Failed = 143, 143, 6
	r[1].Totals.FailedOver, r[1].Totals.Saved, r[1].Totals.Shed = 31, 29, 12
	r[1].Bulkhead.InUse, r[1].Bulkhead.Queued = 20, 3
	r[2].Bulkhead.Parked, r[2].Totals.Parked, r[2].Totals.Failed = 2, 9, 1
}

func (f *fake) outageRequests(at time.Time) {
	f.requests = []adminapi.Request{
		{
			ID: "01J9Z6Q8V1", Time: at.Add(-300 * time.Millisecond), Method: "GET", Host: "shop.example.net", Target: "/product/17", Route: "product", Group: "shop",
			Status: 502, Result: "failed", Covered: true, WhyNot: "timeout", TotalMS: 1009.2,
			Attempts: []adminapi.Attempt{
				{Origin: "eu", Role: "primary", Address: "192.0.2.10:443", Class: "connect_timeout", Why: "no connection within connect_timeout (1s)", StartMS: 0.1},
				{Origin: "us", Role: "secondary", Address: "198.51.100.7:443", Class: "reset", Why: "the connection broke before the response", StartMS: 1000.4, ConnectMS: 6.1},
			},
		},
		{ID: "01J9Z6Q8V2", Time: at, Method: "POST", Host: "shop.example.net", Target: "/basket/", Route: "basket", Group: "shop", Status: 503, Result: "failed", WhyNot: "method", ParkedMS: 3000, TotalMS: 3000.3, Error: "park_timeout"},
	}
}

// wide is a Fairlead with many groups and routes, of which a few have trouble.
func wide(groups, routes int) adminapi.Status {
	s := calmStatus()
	base := s.Groups[0]
	since := time.Now().UTC().Add(-time.Minute)
	s.Groups = nil
	for i := range groups {
		g := base
		g.Name = fmt.Sprintf("group-%02d", i)
		if i == 17 {
			g.Target, g.Role, g.Reason, g.Since = "us", "secondary", "primary_down", since
		}
		s.Groups = append(s.Groups, g)
	}
	s.Routes = nil
	for i := range routes {
		r := route(fmt.Sprintf("route-%04d", i), fmt.Sprintf("/r/%d/", i), fmt.Sprintf("group-%02d", i%groups), "eu", "us", 10, i%4, uint64(i)*1000)
		if i == 777 {
			r.Breakers[0].State = "open"
		}
		s.Routes = append(s.Routes, r)
	}
	return s
}
