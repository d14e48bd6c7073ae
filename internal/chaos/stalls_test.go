package chaos

import (
	"testing"
	"testing/synctest"
	"time"
)

// In a bubble nothing is ever late, so that nothing is counted; Stop may be called twice.
func TestAnIdleMachineTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := MeasureStalls()
		time.Sleep(time.Minute)
		s.Stop()
		s.Stop()
		if s.Total() != 0 || s.Worst() != 0 || s.Allowance() != 0 {
			t.Errorf("took %v, %v at once", s.Total(), s.Worst())
		}
	})
}
