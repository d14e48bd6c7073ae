package failover

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// shop is the policy of the defaults.
var shop = PolicyConfig{
	Methods:      []string{"GET", "HEAD", "OPTIONS"},
	Statuses:     []int{500, 502, 503, 504},
	HasSecondary: true,
}

func newPolicy(t testing.TB, cfg PolicyConfig) *Policy {
	t.Helper()
	p, err := NewPolicy(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCoversSaysWhyNot(t *testing.T) {
	getOnly := shop
	getOnly.Methods = []string{"GET"}
	noMethods := shop
	noMethods.Methods = nil
	alone := shop
	alone.HasSecondary = false

	tests := []struct {
		name     string
		cfg      PolicyConfig
		method   string
		hasBody  bool
		fromPeer bool
		want     WhyNot
	}{
		{"GET", shop, "GET", false, false, WhyNotNone},
		{"HEAD", shop, "HEAD", false, false, WhyNotNone},
		{"OPTIONS", shop, "OPTIONS", false, false, WhyNotNone},
		{"POST never", shop, "POST", false, false, WhyNotMethod},
		{"DELETE never, although idempotent", shop, "DELETE", false, false, WhyNotMethod},
		{"methods are case-sensitive", shop, "get", false, false, WhyNotMethod},
		{"a longer method that begins like GET", shop, "GETS", false, false, WhyNotMethod},
		{"an empty method", shop, "", false, false, WhyNotMethod},
		{"HEAD where only GET is configured", getOnly, "HEAD", false, false, WhyNotMethod},
		{"GET where nothing is configured", noMethods, "GET", false, false, WhyNotMethod},
		{"GET with a body", shop, "GET", true, false, WhyNotBody},
		{"a peer's second attempt", shop, "GET", false, true, WhyNotFailoverAttempt},
		{"no other origin, which goes before all else", alone, "POST", true, true, WhyNotNoSecondary},
		{"the method goes before the body", shop, "POST", true, true, WhyNotMethod},
		{"the body goes before the peer", shop, "GET", true, true, WhyNotBody},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ok, why := newPolicy(t, tt.cfg).Covers([]byte(tt.method), tt.hasBody, tt.fromPeer)
			if why != tt.want || ok != (tt.want == WhyNotNone) {
				t.Errorf("Covers = %v, %v; want %v", ok, why, tt.want)
			}
		})
	}
}

func TestFailedAndCountsAgainst(t *testing.T) {
	cfg := shop
	cfg.Statuses = []int{404, 429, 499, 500, 503}
	p := newPolicy(t, cfg)

	tests := []struct {
		give       Outcome
		wantFailed bool
		wantCounts bool
	}{
		{Outcome{}, false, false},
		{Outcome{Status: 200}, false, false},
		{Outcome{Class: ClassDNS}, true, true},
		{Outcome{Class: ClassConnectRefused}, true, true},
		{Outcome{Class: ClassConnectTimeout}, true, true},
		{Outcome{Class: ClassTLS}, true, true},
		{Outcome{Class: ClassWrite}, true, true},
		{Outcome{Class: ClassHeaderTimeout}, true, true},
		{Outcome{Class: ClassReset}, true, true},
		{Outcome{Class: ClassMalformed}, true, true},
		{Outcome{Class: ClassBreakerOpen}, true, true},
		{Outcome{Class: ClassStatus, Status: 503}, true, true},
		{Outcome{Class: ClassStatus, Status: 404}, true, false},
		{Outcome{Class: ClassStatus, Status: 429}, true, false},
		{Outcome{Class: ClassStatus, Status: 403}, false, false},
		{Outcome{Class: ClassStatus, Status: 499}, true, false},
		{Outcome{Class: ClassStatus, Status: 500}, true, true},
		{Outcome{Class: ClassStatus, Status: 502}, false, false},
		{Outcome{Class: ClassStatus, Status: 0}, false, false},
		{Outcome{Class: ClassStatus, Status: 999}, false, false},
	}
	for _, tt := range tests {
		if got := p.Failed(tt.give); got != tt.wantFailed {
			t.Errorf("Failed(%v) = %v, want %v", tt.give, got, tt.wantFailed)
		}
		if got := p.CountsAgainst(tt.give); got != tt.wantCounts {
			t.Errorf("CountsAgainst(%v) = %v, want %v", tt.give, got, tt.wantCounts)
		}
	}
}

func TestClassifyAgreesWithTheConfiguredStatuses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := shop
		cfg.Statuses = rapid.SliceOf(rapid.IntRange(400, 599)).Draw(t, "statuses")
		p, err := NewPolicy(cfg)
		if err != nil {
			t.Fatal(err)
		}
		status := rapid.OneOf(rapid.IntRange(100, 999), rapid.SampledFrom(append(cfg.Statuses, 400, 599))).Draw(t, "status")
		failed := slices.Contains(cfg.Statuses, status)

		o := p.Classify(status)
		if o.Status != status || (o.Class == ClassStatus) != failed || p.Failed(o) != failed {
			t.Fatalf("Classify(%d) = %+v, Failed %v; want failed %v", status, o, p.Failed(o), failed)
		}
		if want := failed && status >= 500; p.CountsAgainst(o) != want {
			t.Fatalf("CountsAgainst(%v) = %v, want %v", o, !want, want)
		}
	})
}

func TestNewPolicyReportsEveryProblem(t *testing.T) {
	_, err := NewPolicy(PolicyConfig{
		Methods:     []string{"GET", "POST", "head"},
		Statuses:    []int{399, 503, 600},
		Unsafe:      7,
		ParkTimeout: -time.Second,
	})
	want := strings.Join([]string{
		`method "POST": only GET, HEAD and OPTIONS may fail over`,
		`method "head": only GET, HEAD and OPTIONS may fail over`,
		`status 399: a failure is from 400 to 599`,
		`status 600: a failure is from 400 to 599`,
		`unsafe invalid(7): unknown`,
		`park timeout -1s: negative`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestAPolicyKeepsItsSettings(t *testing.T) {
	tests := []struct {
		name     string
		give     PolicyConfig
		want     Unsafe
		wantPark time.Duration
	}{
		{"the zero value parks for the default time", PolicyConfig{}, UnsafePark, 3 * time.Second},
		{"a park timeout", PolicyConfig{ParkTimeout: time.Second}, UnsafePark, time.Second},
		{"unsent", PolicyConfig{Unsafe: UnsafeUnsent}, UnsafeUnsent, 3 * time.Second},
		{"never", PolicyConfig{Unsafe: UnsafeNever}, UnsafeNever, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPolicy(t, tt.give)
			if p.Unsafe() != tt.want || p.ParkTimeout() != tt.wantPark || p.HasSecondary() {
				t.Errorf("got %v, %v, %v", p.Unsafe(), p.ParkTimeout(), p.HasSecondary())
			}
		})
	}
}

func TestTheHotPathDoesNotAllocate(t *testing.T) {
	p := newPolicy(t, shop)
	g := NewGroup(GroupConfig{PointerConfig: PointerConfig{HasSecondary: true}})
	method := []byte("OPTIONS")
	allocs := testing.AllocsPerRun(100, func() {
		p.Covers(method, false, false)
		p.CountsAgainst(p.Classify(503))
		g.Changed()
		g.Pointer()
	})
	if allocs != 0 {
		t.Errorf("%v allocations a request, want none", allocs)
	}
}

// The words of the configuration and of the logs.
func TestNames(t *testing.T) {
	tests := []struct {
		what string
		give []string
		want string
	}{
		{"unsafe", unsafeNames[:], "park unsent never"},
		{"failback", failbackNames[:], "auto manual"},
		{"both_down", bothDownNames[:], "fail_open stay fail_fast"},
		{"role", roleNames[:], "none primary secondary"},
		{"reason", reasonNames[:], "start primary_down secondary_down both_down recovered failback operator pin follow"},
		{"why_not", whyNotNames[:], "none no_secondary method body failover_attempt committed timeout breaker_open same_endpoint client_left drained"},
	}
	for _, tt := range tests {
		if got := strings.Join(tt.give, " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
	}
	for _, s := range []interface{ String() string }{
		UnsafeNever + 1, FailbackManual + 1, BothDownFailFast + 1, RoleSecondary + 1, ReasonFollow + 1, WhyNotDrained + 1,
	} {
		if got := s.String(); !strings.HasPrefix(got, "invalid(") {
			t.Errorf("%T outside its list: %q", s, got)
		}
	}
}

func TestParseIsTheReverseOfString(t *testing.T) {
	for u := range Unsafe(len(unsafeNames)) {
		if got, err := ParseUnsafe(u.String()); got != u || err != nil {
			t.Errorf("ParseUnsafe(%q) = %v, %v", u, got, err)
		}
	}
	for f := range Failback(len(failbackNames)) {
		if got, err := ParseFailback(f.String()); got != f || err != nil {
			t.Errorf("ParseFailback(%q) = %v, %v", f, got, err)
		}
	}
	for b := range BothDown(len(bothDownNames)) {
		if got, err := ParseBothDown(b.String()); got != b || err != nil {
			t.Errorf("ParseBothDown(%q) = %v, %v", b, got, err)
		}
	}
	_, err := ParseBothDown("fail-open")
	if want := `both_down "fail-open": want one of fail_open, stay, fail_fast`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
