package resolver

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A server that answered in another's place is asked first for half a minute,
// and no longer, however often it answers.
func TestAStandInLeadsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := []string{"a", "b", "c"}
		var q querier
		check := func(want ...string) {
			t.Helper()
			if got := q.order(servers); !slices.Equal(got, want) {
				t.Fatalf("asked in the order %v, want %v", got, want)
			}
		}
		check("a", "b", "c")
		q.answered(servers, "b")
		check("b", "a", "c")
		time.Sleep(leadFor - time.Second)
		q.answered(servers, "b")
		check("b", "a", "c")
		time.Sleep(time.Second + 1)
		check("a", "b", "c")
		q.answered(servers, "b") // a is still silent
		check("b", "a", "c")
		q.answered(servers, "c")
		check("c", "a", "b")
		q.answered(servers, "a")
		check("a", "b", "c")
	})
}
