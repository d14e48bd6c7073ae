package failover

import "testing"

func TestClassesAreTheClosedListOfTheSpecification(t *testing.T) {
	tests := []struct {
		give        Class
		want        string
		wantUnsent  bool
		wantTimeout bool
	}{
		{ClassNone, "none", false, false},
		{ClassDNS, "dns", true, false},
		{ClassConnectRefused, "connect_refused", true, false},
		{ClassConnectTimeout, "connect_timeout", true, true},
		{ClassTLS, "tls", true, false},
		{ClassWrite, "write", false, false},
		{ClassHeaderTimeout, "header_timeout", false, true},
		{ClassReset, "reset", false, false},
		{ClassMalformed, "malformed", false, false},
		{ClassStatus, "status", false, false},
		{ClassBreakerOpen, "breaker_open", true, false},
		{Class(200), "invalid(200)", false, false},
	}
	for _, tt := range tests {
		if got := tt.give.String(); got != tt.want {
			t.Errorf("class %d: String %q, want %q", tt.give, got, tt.want)
		}
		if got := tt.give.Unsent(); got != tt.wantUnsent {
			t.Errorf("%v: Unsent %v, want %v", tt.give, got, tt.wantUnsent)
		}
		if got := tt.give.Timeout(); got != tt.wantTimeout {
			t.Errorf("%v: Timeout %v, want %v", tt.give, got, tt.wantTimeout)
		}
	}
	if got, want := len(tests)-1, len(classNames); got != want {
		t.Errorf("%d classes tested, there are %d", got, want)
	}
}

func TestAnOutcomeNamesItsStatusOnlyIfThatIsTheFailure(t *testing.T) {
	tests := []struct {
		give          Outcome
		want          string
		wantResponded bool
	}{
		{Outcome{}, "none", false},
		{Outcome{Status: 200}, "none", true},
		{Outcome{Class: ClassStatus, Status: 503}, "status:503", true},
		{Outcome{Class: ClassReset}, "reset", false},
	}
	for _, tt := range tests {
		if got := tt.give.String(); got != tt.want {
			t.Errorf("%+v: String %q, want %q", tt.give, got, tt.want)
		}
		if got := tt.give.Responded(); got != tt.wantResponded {
			t.Errorf("%+v: Responded %v, want %v", tt.give, got, tt.wantResponded)
		}
	}
}
