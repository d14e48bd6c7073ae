package drill

import (
	"strings"
	"testing"
	"time"
)

// shop is a route with Fairlead's defaults.
func shop() Setup {
	check := &Check{Interval: 2 * time.Second, Timeout: time.Second, FastInterval: 250 * time.Millisecond, Fall: 3}
	return Setup{
		Route: "order", Rate: 50, Timeout: 30 * time.Second, MaxConcurrent: 10, Breaker: 5, OpenFor: 5 * time.Second,
		Group: Group{
			Name: "shop", Statuses: []int{500, 502, 503, 504}, Unsafe: "park", BothDown: "fail_open", ParkTimeout: 3 * time.Second,
			Primary:   Origin{Name: "eu", ConnectTimeout: time.Second, HeaderTimeout: 10 * time.Second, Check: check},
			Secondary: &Origin{Name: "us", ConnectTimeout: time.Second, HeaderTimeout: 10 * time.Second, Check: check},
		},
	}
}

func ms(n int) *Millis { return millis(time.Duration(n) * time.Millisecond) }

// errorsOf is a share with so many errors of one kind, the last one so many milliseconds after the fault's begin.
func errorsOf(n int, kind string, span int) *Share {
	return &Share{Requests: 100, Errors: n, Kinds: map[string]int{kind: n}, Span: *ms(span)}
}

func good() *Share { return &Share{Requests: 100, Kinds: map[string]int{}, FirstSuccess: ms(3)} }

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name  string
		fault string
		setup func(*Setup)
		give  Figures
		want  Outcome
		key   string
		text  string
	}{
		{
			name: "nothing was noticed", fault: "connect_refused",
			give: Figures{Covered: good(), Uncovered: &Share{Requests: 20, Slowest: *ms(812)}, FailedOver: 31, Parked: 4, Flip: ms(790)},
			want: Held, text: "no client saw an error: 31 went to us in the same request, 4 waited for the pointer, 0.8 s at most, the pointer moved after 0.8 s",
		},
		{
			name: "writes are not parked", fault: "connect_refused", setup: func(s *Setup) { s.Group.Unsafe = "never" },
			give: Figures{Uncovered: errorsOf(412, "502 connection_refused", 6150), Flip: ms(6200)},
			want: Weak, key: "groups.shop.unsafe", text: `412 errors in 6.2 s before the flip; unsafe = "park" would have held them`,
		},
		{
			name: "writes are not parked behind a breaker", fault: "status_503", setup: func(s *Setup) { s.Group.Unsafe = "never" },
			give: Figures{Uncovered: errorsOf(80, "503 destination_unavailable", 700), Flip: ms(800)},
			want: Weak, key: "groups.shop.unsafe", text: "80 errors in 0.8 s before the flip, most of them while the breaker let nothing be sent",
		},
		{
			name: "slow is no reason", fault: "slow",
			give: Figures{Uncovered: errorsOf(3, "504 connection_timeout", 700)},
			want: Weak, text: "3 errors in 0.7 s although eu was only slow (504 connection_timeout)",
		},
		{
			name: "slow for a time-out that is too short", fault: "slow", setup: func(s *Setup) { s.Group.Primary.HeaderTimeout = 200 * time.Millisecond },
			give: Figures{Uncovered: errorsOf(6, "504 http_response_timeout", 700)},
			want: Weak, key: "origins.eu.response_header_timeout", text: "6 errors in 0.7 s although eu was only slow: response_header_timeout = 200ms gives up on answers that take longer",
		},
		{
			name: "parked for too short a time", fault: "connect_refused",
			give: Figures{Uncovered: errorsOf(12, "503 destination_unavailable", 1000), Flip: ms(4100), For: *ms(6000)},
			want: Weak, key: "groups.shop.park_timeout", text: "park_timeout = 3s is over before the flip, which took 4.1 s",
		},
		{
			name: "parked, and the pointer stayed", fault: "blackhole",
			give: Figures{Uncovered: errorsOf(12, "503 destination_unavailable", 1000), For: *ms(6000)},
			want: Weak, key: "groups.shop.park_timeout", text: "the pointer had not moved",
		},
		{
			name: "parked behind an open breaker", fault: "tls_expired",
			give: Figures{Uncovered: errorsOf(2, "503 destination_unavailable", 1000), Flip: ms(900)},
			want: Weak, key: "groups.shop.park_timeout", text: "parked for longer than park_timeout = 3s",
		},
		{
			name: "on its way when connections were reset", fault: "connect_refused",
			give: Figures{Uncovered: errorsOf(1, "502 connection_terminated", 0), Flip: ms(700)},
			want: Unavoidable, text: "1 error in 0.7 s before the flip (502 connection_terminated): what was on its way",
		},
		{
			name: "sent once, and a quick flip", fault: "status_503",
			give: Figures{Uncovered: errorsOf(5, "503 of eu", 700), Flip: ms(740)},
			want: Unavoidable, text: "5 errors in 0.7 s before the flip (503 of eu): what was sent once is never sent again",
		},
		{
			name: "sent once, and a status that counts for nothing", fault: "status_503",
			setup: func(s *Setup) { s.Group.Statuses = []int{500} },
			give:  Figures{Uncovered: errorsOf(87, "503 of eu", 1700), Flip: ms(1700)},
			want:  Weak, key: "groups.shop.failover_statuses",
			text: "87 errors in 1.7 s before the flip: failover_statuses does not hold 503, so it counts as no failure of eu; with it the first errors hurry the check, and after 5 failures in a row the breaker has the others wait for the flip",
		},
		{
			name: "a status that counts for nothing, and no breaker", fault: "status_503",
			setup: func(s *Setup) { s.Group.Statuses, s.Breaker = nil, 0 },
			give:  Figures{Uncovered: errorsOf(87, "503 of eu", 1700), Flip: ms(1700)},
			want:  Weak, key: "groups.shop.failover_statuses", text: "with it the first errors hurry the check",
		},
		{
			name: "a status that counts for nothing, now and then", fault: "status_burst",
			setup: func(s *Setup) { s.Group.Statuses = []int{500} },
			give:  Figures{Uncovered: errorsOf(13, "503 of eu", 1700)},
			want:  Unavoidable, text: "the check can't see that only some requests fail",
		},
		{
			name: "sent once, and a slow check", fault: "status_503",
			setup: func(s *Setup) {
				s.Group.Primary.Check = &Check{Interval: 5 * time.Second, Timeout: time.Second, FastInterval: time.Second, Fall: 5}
			},
			give: Figures{Uncovered: errorsOf(50, "503 of eu", 5000), Flip: ms(5100)},
			want: Weak, key: "origins.eu.health.fast_interval", text: "fall = 5, interval = 5s, timeout = 1s and fast_interval = 1s allow 6.6s",
		},
		{
			name: "the primary hangs", fault: "hang",
			give: Figures{Uncovered: errorsOf(40, "504 http_response_timeout", 4000), Flip: ms(4100)},
			want: Weak, key: "origins.eu.health.timeout", text: "40 errors in 4.1 s before the flip",
		},
		{
			name: "covered requests wait for one that hangs", fault: "hang",
			give: Figures{Covered: &Share{Requests: 100, Slowest: *ms(10_050)}, FailedOver: 50, Flip: ms(4100)},
			want: Weak, key: "origins.eu.response_header_timeout", text: "covered requests waited up to 10.1 s",
		},
		{
			name: "covered requests wait for connects", fault: "blackhole", setup: func(s *Setup) { s.Group.Primary.ConnectTimeout = 5 * time.Second },
			give: Figures{Covered: &Share{Requests: 100, Slowest: *ms(5002)}, FailedOver: 50, Flip: ms(4100)},
			want: Weak, key: "origins.eu.connect_timeout", text: "connect_timeout = 5s",
		},
		{
			name: "permits are used up by one that hangs", fault: "hang",
			give: Figures{Covered: good(), Uncovered: errorsOf(2, "504 http_response_timeout", 100), Shed: 365, Flip: ms(4100)},
			want: Weak, key: "origins.eu.response_header_timeout", text: "365 requests were shed: while eu hung, each request held one of the 10 permits for up to response_header_timeout = 10s; a shorter one frees them sooner, 501 permits would carry 50 a second",
		},
		{
			name: "permits are used up by connects", fault: "blackhole",
			give: Figures{Covered: good(), Shed: 1, Flip: ms(4100)},
			want: Weak, key: "origins.eu.connect_timeout", text: "1 request was shed: each request that tried eu held one of the 10 permits for connect_timeout = 1s",
		},
		{
			name: "permits are used up by bodies", fault: "stalled_body",
			give: Figures{Covered: good(), Shed: 9},
			want: Weak, key: "server.body_idle_timeout", text: "9 requests were shed",
		},
		{
			name: "all that was parked comes back at once", fault: "connect_refused", setup: func(s *Setup) { s.MaxQueue = 5 },
			give: Figures{Covered: good(), Parked: 40, Shed: 20, Flip: ms(800)},
			want: Weak, key: "routes.order.bulkhead.max_queue", text: "40 were parked and came back at once, to 10 permits and 5 places in the queue",
		},
		{
			name: "the secondary takes fewer", fault: "status_500", setup: func(s *Setup) { s.Group.Secondary.MaxConnections = 2 },
			give: Figures{Covered: good(), Shed: 20, Flip: ms(800)},
			want: Weak, key: "origins.us.max_connections", text: "max_connections = 2 of us is less than the 10 permits",
		},
		{
			name: "too few permits", fault: "slow",
			give: Figures{Covered: good(), Shed: 20},
			want: Weak, key: "routes.order.bulkhead.max_concurrent", text: "max_concurrent = 10 and max_queue = 0 are too small for 50 a second",
		},
		{
			name: "a status that is not listed", fault: "status_500", setup: func(s *Setup) { s.Group.Statuses = []int{503} },
			give: Figures{Covered: errorsOf(30, "500 of eu", 800), Flip: ms(900)},
			want: Failed, key: "groups.shop.failover_statuses", text: "30 covered requests failed in 0.9 s before the flip: failover_statuses does not hold 500",
		},
		{
			name: "no time for the secondary", fault: "hang", setup: func(s *Setup) { s.Timeout = 11 * time.Second },
			give: Figures{Covered: errorsOf(30, "504 http_response_timeout", 2000), Flip: ms(4000)},
			want: Failed, key: "routes.order.timeout", text: "the route's timeout = 11s was over before us had answered",
		},
		{
			name: "no origin is left", fault: "status_500",
			give: Figures{Covered: errorsOf(30, "503 destination_unavailable", 2000), Flip: ms(700)},
			want: Failed, key: "routes.order.breaker.consecutive_failures", text: "the breakers of both had opened",
		},
		{
			name: "covered requests fail in a way that nobody foresaw", fault: "garbage",
			give: Figures{Covered: errorsOf(1, "502 http_protocol_error", 100), Flip: ms(700)},
			want: Failed, text: "1 covered request failed in 0.7 s before the flip: 502 http_protocol_error",
		},
		{
			name: "the secondary is noticed", fault: "secondary_down",
			give: Figures{Covered: errorsOf(3, "502 connection_refused", 100)},
			want: Failed, text: "although eu was well",
		},
		{
			name: "the secondary is noticed by writes", fault: "secondary_down",
			give: Figures{Uncovered: errorsOf(3, "502 connection_refused", 100)},
			want: Weak, text: "although eu was well",
		},
		{
			name: "no secondary", fault: "connect_refused", setup: func(s *Setup) { s.Group.Secondary = nil },
			give: Figures{Uncovered: errorsOf(100, "502 connection_refused", 2000)},
			want: Weak, key: "groups.shop.secondary", text: "100 errors in 2.0 s: group shop has no secondary",
		},
		{
			name: "no check", fault: "status_503", setup: func(s *Setup) { s.Group.Primary.Check = nil },
			give: Figures{Covered: good(), Uncovered: errorsOf(30, "503 of eu", 2000), FailedOver: 80},
			want: Weak, key: "origins.eu.health", text: "eu has no health table, so the pointer never leaves it and writes go on failing",
		},
		{
			name: "no check, and only reads", fault: "status_503", setup: func(s *Setup) { s.Group.Primary.Check = nil },
			give: Figures{Covered: good(), FailedOver: 80},
			want: Weak, key: "origins.eu.health", text: "80 covered requests went to us one by one",
		},
		{
			name: "a check that asks too little", fault: "requests_only",
			give: Figures{Covered: good(), Uncovered: errorsOf(24, "503 of eu", 2300), FailedOver: 80},
			want: Weak, key: "origins.eu.health.path", text: "24 errors in 2.3 s: the check stayed well, so the pointer never moved",
		},
		{
			name: "a check that asks too little, and no breaker", fault: "requests_only", setup: func(s *Setup) { s.Breaker = 0 },
			give: Figures{Covered: good(), FailedOver: 80},
			want: Weak, key: "origins.eu.health.path", text: "without a breaker each covered request tried eu first",
		},
		{
			name: "a check that takes the status", fault: "status_503",
			give: Figures{Covered: good(), Uncovered: errorsOf(24, "503 of eu", 2000), FailedOver: 80, For: *ms(2100)},
			want: Weak, key: "origins.eu.health.expect_status", text: "24 errors in 2.0 s: the check takes a 503 for a good answer, so the pointer did not move in 2.1 s and only the breaker spared covered requests an attempt at eu; let health.expect_status leave it out",
		},
		{
			name: "a check that takes everything", fault: "interim_storm",
			give: Figures{Covered: good(), Uncovered: errorsOf(24, "502 http_protocol_error", 2000), FailedOver: 80, For: *ms(2100)},
			want: Weak, key: "origins.eu.health.path", text: "24 errors in 2.0 s: the check takes what it gets for a good answer, so the pointer did not move in 2.1 s",
		},
		{
			name: "too short a drill", fault: "status_503",
			give: Figures{Covered: good(), FailedOver: 80, For: *ms(500)},
			want: Weak, key: "origins.eu.health.interval", text: "the fault lasted 0.5 s, but the pointer takes up to 1.1s to move: ask for a longer --for",
		},
		{
			name: "only some fail, and the check can't see it", fault: "status_burst",
			give: Figures{Covered: good(), Uncovered: errorsOf(2, "503 of eu", 900), FailedOver: 10},
			want: Unavoidable, text: "the check can't see that only some requests fail",
		},
		{
			name: "only some fail, and the check is lucky", fault: "keepalive_close",
			give: Figures{Covered: good(), Uncovered: errorsOf(20, "502 connection_terminated", 900)},
			want: Unavoidable, text: "eu never failed 3 probes in a row",
		},
		{
			name: "methods that could be covered", fault: "connect_refused", setup: func(s *Setup) { s.Bare = []string{"GET"} },
			give: Figures{Uncovered: errorsOf(20, "502 connection_terminated", 0), Flip: ms(700)},
			want: Weak, key: "groups.shop.failover_methods", text: "failover_methods does not hold GET",
		},
		{
			name: "bodies that break off", fault: "truncated",
			give: Figures{Covered: &Share{Requests: 100, Errors: 80, Aborted: 80, Kinds: map[string]int{"broke off": 80}}},
			want: Unavoidable, text: "80 responses broke off after their head",
		},
		{
			name: "both are down", fault: "both_down",
			give: Figures{Covered: errorsOf(80, "502 connection_refused", 2000), Uncovered: errorsOf(5, "502 connection_refused", 2000), Flip: ms(500)},
			want: Unavoidable, key: "groups.shop.both_down", text: `85 errors (502 connection_refused): nobody was there to ask; both_down = "fail_open" goes on trying`,
		},
		{
			name: "both are down, and that is said at once", fault: "both_down", setup: func(s *Setup) { s.Group.BothDown = "fail_fast" },
			give: Figures{Covered: errorsOf(80, "503 destination_unavailable", 2000)},
			want: Unavoidable, key: "groups.shop.both_down", text: `both_down = "fail_fast" answers at once`,
		},
		{
			name: "a breaker that stays open", fault: "both_down",
			give: Figures{Covered: &Share{Requests: 100, Errors: 90, Late: 40, Kinds: map[string]int{"503 destination_unavailable": 90}}},
			want: Weak, key: "routes.order.breaker.open_for", text: "40 errors came after the fault's end: a breaker stays open for open_for = 5s",
		},
		{
			name: "slow", fault: "slow",
			give: Figures{Covered: good(), P99: Phases{Before: ms(2), During: ms(312)}},
			want: Held, text: "no client saw an error: p99 went from 2 ms to 312 ms, and slow answers are no failures until response_header_timeout = 10s",
		},
		{
			name: "a rate that the route can't carry", fault: "slow", setup: func(s *Setup) { s.Rate = 1000 },
			give: Figures{Covered: good(), Early: 7},
			want: Weak, key: "routes.order.bulkhead.max_concurrent", text: "7 requests failed or were shed before the fault began: max_concurrent = 10 and max_queue = 0 are too small for 1000 a second",
		},
		{
			name: "a rate that an origin may not carry", fault: "slow", setup: func(s *Setup) { s.Group.Primary.MaxConnections = 1 },
			give: Figures{Covered: good(), Early: 7},
			want: Weak, key: "origins.eu.max_connections", text: "max_connections = 1 of eu is too small for 50 a second",
		},
		{
			name: "a machine that can't carry what the route could", fault: "slow",
			give: Figures{Covered: good(), Early: 1},
			want: Weak, text: "1 request failed or was shed before the fault began, though the drill's origins answer at once: this machine was too busy for 50 a second",
		},
		{
			name: "both sorts got the same errors", fault: "both_down",
			give: Figures{
				Covered:   &Share{Requests: 100, Errors: 5, Kinds: map[string]int{"502 connection_refused": 2, "503 destination_unavailable": 3}},
				Uncovered: &Share{Requests: 100, Errors: 4, Kinds: map[string]int{"502 connection_refused": 4}},
			},
			want: Unavoidable, key: "groups.shop.both_down", text: "9 errors (502 connection_refused, 503 destination_unavailable): nobody was there",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, ok := FaultByName(tt.fault)
			if !ok {
				t.Fatalf("no fault %s", tt.fault)
			}
			s := shop()
			if tt.setup != nil {
				tt.setup(&s)
			}
			tt.give.Requests = 200
			v := Judge(f, &s, &tt.give)
			if v.Outcome != tt.want || v.Key != tt.key || !strings.Contains(v.Text, tt.text) {
				t.Errorf("got %s %q (%s)\nwant %s %q (%s)\nalso %v", v.Outcome, v.Text, v.Key, tt.want, tt.text, tt.key, v.Also)
			}
			for _, also := range v.Also {
				if also.Outcome.Worse(v.Outcome) {
					t.Errorf("%v is worse than the verdict", also)
				}
			}
		})
	}
}

func TestAVerdictOfNothingProvesNothing(t *testing.T) {
	f, _ := FaultByName("hang")
	s := shop()
	if v := Judge(f, &s, &Figures{}); v.Outcome != Weak || !strings.Contains(v.Text, "nothing is proved") {
		t.Errorf("got %v", v)
	}
}

func TestAllFindingsAreKept(t *testing.T) {
	f, _ := FaultByName("hang")
	s := shop()
	v := Judge(f, &s, &Figures{
		Requests: 400, Covered: &Share{Requests: 300, Slowest: *ms(10_000)}, Uncovered: errorsOf(40, "504 http_response_timeout", 4000),
		Shed: 9, FailedOver: 100, Flip: ms(4000),
	})
	var keys []string
	for _, f := range append([]Finding{v.Finding}, v.Also...) {
		keys = append(keys, f.Key)
	}
	if got, want := strings.Join(keys, " "), "origins.eu.health.timeout origins.eu.response_header_timeout"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
