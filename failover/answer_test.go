package failover

import "testing"

func TestBothFailed(t *testing.T) {
	status := func(n int) Outcome { return Outcome{Class: ClassStatus, Status: n} }
	class := func(c Class) Outcome { return Outcome{Class: c} }
	none := Outcome{}

	tests := []struct {
		name          string
		first, second Outcome
		want          Answer
		wantStatus    int
	}{
		{"the second response goes before the first", status(500), status(503), AnswerSecond, 0},
		{"a good second response is relayed too", class(ClassReset), Outcome{Status: 200}, AnswerSecond, 0},
		{"the held response stands in for a second reset", status(500), class(ClassReset), AnswerFirst, 0},
		{"the held response stands in for a second time-out", status(500), class(ClassHeaderTimeout), AnswerFirst, 0},
		{"the held response stands in for an open breaker", status(500), class(ClassBreakerOpen), AnswerFirst, 0},
		{"the held response is all there was", status(503), none, AnswerFirst, 0},
		{"a response too large to hold leaves the second's class", class(ClassStatus), class(ClassConnectTimeout), AnswerGatewayTimeout, 504},
		{"a response too large to hold and nothing else", class(ClassStatus), none, AnswerBadGateway, 502},
		{"the last class decides: a time-out", class(ClassReset), class(ClassHeaderTimeout), AnswerGatewayTimeout, 504},
		{"the last class decides: a refusal after a time-out", class(ClassHeaderTimeout), class(ClassConnectRefused), AnswerBadGateway, 502},
		{"connect_timeout is a time-out", class(ClassDNS), class(ClassConnectTimeout), AnswerGatewayTimeout, 504},
		{"one attempt, reset", class(ClassReset), none, AnswerBadGateway, 502},
		{"one attempt, timed out", class(ClassHeaderTimeout), none, AnswerGatewayTimeout, 504},
		{"an open breaker is no attempt: the first class counts", class(ClassHeaderTimeout), class(ClassBreakerOpen), AnswerGatewayTimeout, 504},
		{"an open breaker first, a reset after", class(ClassBreakerOpen), class(ClassReset), AnswerBadGateway, 502},
		{"both breakers open", class(ClassBreakerOpen), class(ClassBreakerOpen), AnswerUnavailable, 503},
		{"the only breaker open", class(ClassBreakerOpen), none, AnswerUnavailable, 503},
		{"nothing at all", none, none, AnswerUnavailable, 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := BothFailed(tt.first, tt.second)
			if got != tt.want {
				t.Errorf("BothFailed(%v, %v) = %d, want %d", tt.first, tt.second, got, tt.want)
			}
			if got.Status() != tt.wantStatus {
				t.Errorf("status %d, want %d", got.Status(), tt.wantStatus)
			}
		})
	}
}

// Every pair of outcomes, so that no combination relays a response that nobody
// gave, or gives up on one that somebody did.
func TestBothFailedRelaysAResponseIfAndOnlyIfThereIsOne(t *testing.T) {
	outcomes := []Outcome{{Status: 204}, {Class: ClassStatus, Status: 404}, {Class: ClassStatus, Status: 500}}
	for c := range classNames {
		outcomes = append(outcomes, Outcome{Class: Class(c)})
	}
	for _, first := range outcomes {
		for _, second := range outcomes {
			got := BothFailed(first, second)
			if want := second.Responded(); (got == AnswerSecond) != want {
				t.Errorf("BothFailed(%v, %v) = %d, relay the second: want %v", first, second, got, want)
			}
			if want := first.Responded() && !second.Responded(); (got == AnswerFirst) != want {
				t.Errorf("BothFailed(%v, %v) = %d, relay the first: want %v", first, second, got, want)
			}
			if relayed := first.Responded() || second.Responded(); (got.Status() == 0) != relayed {
				t.Errorf("BothFailed(%v, %v) = %d with status %d", first, second, got, got.Status())
			}
		}
	}
}
