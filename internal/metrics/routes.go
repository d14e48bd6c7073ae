package metrics

// routeFamilies are requests, and the permits that they hold.
var routeFamilies = []family{
	{"fairlead_route_info", gauge, []string{"route", "group"}, "The group that a route belongs to; always 1.", func(p *page, s *Snapshot) {
		for i := range s.Routes {
			p.add(1, s.Routes[i].Name, s.Routes[i].Group)
		}
	}},
	{"fairlead_requests_total", counter, []string{"route", "result"}, "Requests that are over, by what became of them.", func(p *page, s *Snapshot) {
		for i := range s.Routes {
			r := &s.Routes[i]
			for j := range r.Results {
				p.add(float64(r.Results[j].N), r.Name, r.Results[j].Name)
			}
		}
	}},
	{"fairlead_request_duration_seconds", histogram, []string{"route", "result"}, "How long requests took, queue, parking and all attempts included; none is shown before its first request.", func(p *page, s *Snapshot) {
		for i := range s.Routes {
			r := &s.Routes[i]
			for j := range r.Results {
				p.addHistogram(s.Bounds, &r.Results[j].Durations, r.Name, r.Results[j].Name)
			}
		}
	}},
	single(counter, "fairlead_refused_requests_total", "Requests that were malformed or found no route, and reached no origin.",
		func(s *Snapshot) float64 { return float64(s.Refused) }),
	perRoute(counter, "fairlead_failovers_total", "Requests that the other origin answered, since their first attempt failed or a breaker was open; those that failed at both are in fairlead_requests_total{result=\"failed\"}.",
		func(r *Route) float64 { return float64(r.Failovers) }),
	perRoute(counter, "fairlead_saved_requests_total", "Requests that failover turned from an error into a success.",
		func(r *Route) float64 { return float64(r.Saved) }),
	perRoute(counter, "fairlead_conn_retries_total", "Dead pooled connections that were replaced by fresh ones.",
		func(r *Route) float64 { return float64(r.ConnRetry) }),
	perRoute(counter, "fairlead_parked_requests_total", "Requests that waited for the pointer, since the primary refused connections.",
		func(r *Route) float64 { return float64(r.Parked) }),
	perRoute(gauge, "fairlead_requests_parked", "Requests that are parked now.",
		func(r *Route) float64 { return float64(r.ParkedNow) }),
	perRoute(gauge, "fairlead_permits_in_use", "Permits of the route's bulkhead that are held now.",
		func(r *Route) float64 { return float64(r.PermitsInUse) }),
	perRoute(gauge, "fairlead_permits_limit", "Permits that the route has: max_concurrent.",
		func(r *Route) float64 { return float64(r.PermitsLimit) }),
	perRoute(gauge, "fairlead_requests_queued", "Requests that wait for a permit now.",
		func(r *Route) float64 { return float64(r.Queued) }),
	perRoute(gauge, "fairlead_queue_limit", "Requests that may wait for a permit: max_queue.",
		func(r *Route) float64 { return float64(r.QueueLimit) }),
}

// breakerStates are those that are shown.
var breakerStates = [...]string{"closed", "open", "half-open"}

// legFamilies are the ways from routes to origins.
var legFamilies = []family{
	{"fairlead_attempts_total", counter, []string{"route", "origin", "class"}, "Attempts at an origin, by ok or the class of their failure.", func(p *page, s *Snapshot) {
		perLeg(s, func(r *Route, l *Leg) {
			for i := range l.Attempts {
				p.add(float64(l.Attempts[i].N), r.Name, l.Origin, l.Attempts[i].Name)
			}
		})
	}},
	{"fairlead_breaker_state", gauge, []string{"route", "origin", "state"}, "1 for the state that the breaker is in, 0 for the others; none where the breaker is off.", func(p *page, s *Snapshot) {
		perLeg(s, func(r *Route, l *Leg) {
			if !knownBreaker(l.Breaker) {
				return
			}
			for _, state := range breakerStates {
				p.add(one(l.Breaker == state), r.Name, l.Origin, state)
			}
		})
	}},
	{"fairlead_idle_connections", gauge, []string{"route", "origin"}, "Connections to the origin that wait in the route's pool.", func(p *page, s *Snapshot) {
		perLeg(s, func(r *Route, l *Leg) { p.add(float64(l.Idle), r.Name, l.Origin) })
	}},
}

func knownBreaker(state string) bool {
	for _, known := range breakerStates {
		if state == known {
			return true
		}
	}
	return false
}

func perLeg(s *Snapshot, do func(r *Route, l *Leg)) {
	for i := range s.Routes {
		r := &s.Routes[i]
		for j := range r.Legs {
			do(r, &r.Legs[j])
		}
	}
}
