package admin

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// counting is a backend that counts how often it was asked, and has a sample
// every two seconds.
type counting struct {
	fake
	asked int
	begun time.Time
}

func (c *counting) Status() adminapi.Status {
	c.asked++
	return adminapi.Status{PID: c.asked}
}

func (c *counting) History() adminapi.History {
	var h adminapi.History
	for at := c.begun; !at.After(time.Now()); at = at.Add(2 * time.Second) {
		h.Samples = append(h.Samples, adminapi.Sample{At: at})
	}
	return h
}

func TestThePulseAsksOnceForAllAndOnlyWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &counting{begun: time.Now()}
		p := newPulse(b, NewJournal(time.Now()), func(err error) { t.Error(err) })
		time.Sleep(time.Hour)
		var leave []func()
		for range 50 {
			_, l := p.join()
			leave = append(leave, l)
		}
		time.Sleep(9*time.Second + time.Second/2)
		synctest.Wait()
		if b.asked != 10 {
			t.Errorf("asked %d times in 9.5 s", b.asked)
		}
		for _, l := range leave {
			l()
		}
		p.wait()
		time.Sleep(time.Hour)
		if b.asked != 10 {
			t.Errorf("asked %d times after all had left", b.asked)
		}
	})
}

func TestAStormOfEventsIsAFewStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := &counting{begun: time.Now()}, NewJournal(time.Now())
		p := newPulse(b, j, func(err error) { t.Error(err) })
		_, leave := p.join()
		for range 1000 {
			j.Add(adminapi.Event{})
			time.Sleep(time.Millisecond)
		}
		leave()
		p.wait()
		if b.asked < 10 || b.asked > 12 {
			t.Errorf("asked %d times in a second", b.asked)
		}
	})
}

func TestAnEventIsFollowedByAStatusSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := &counting{begun: time.Now()}, NewJournal(time.Now())
		p := newPulse(b, j, func(err error) { t.Error(err) })
		woken, leave := p.join()
		<-woken
		time.Sleep(500 * time.Millisecond)
		j.Add(adminapi.Event{})
		begun := time.Now()
		<-woken
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		leave()
		p.wait()
	})
}

// TestEachSampleIsShownOnce has a reader that looks at each beat and one that
// looks seldom.
func TestEachSampleIsShownOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &counting{begun: time.Now()}
		p := newPulse(b, NewJournal(time.Now()), func(err error) { t.Error(err) })
		_, leave := p.join()
		synctest.Wait()
		var often, seldom view
		often.begin(p.now())
		seldom.begin(p.now())
		var seen []int
		for i := range 40 {
			time.Sleep(time.Second)
			synctest.Wait()
			seen = append(seen, samplesOf(&often, p.now())...)
			if i == 19 || i == 39 {
				if n := len(samplesOf(&seldom, p.now())); n != 10 {
					t.Errorf("who looks seldom gets %d", n)
				}
			}
		}
		for i, at := range seen {
			if at != 2*(i+1) {
				t.Fatalf("samples at %v", seen)
			}
		}
		if len(seen) != 20 {
			t.Errorf("%d samples", len(seen))
		}
		leave()
		p.wait()
	})
}

// samplesOf are the seconds of the samples that a beat brings.
func samplesOf(v *view, b *beat) (seconds []int) {
	st := &stream{}
	v.add(st, b)
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where synctest begins
	for _, m := range parse(st.pending.String()) {
		var s adminapi.Sample
		if m.event == "sample" && json.Unmarshal([]byte(m.data), &s) == nil {
			seconds = append(seconds, int(s.At.Sub(epoch)/time.Second))
		}
	}
	return seconds
}

func TestAPanicOfTheBackendLeavesThePulseBeating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fake{panics: true}
		faults := 0
		p := newPulse(b, NewJournal(time.Now()), func(error) { faults++ })
		_, leave := p.join()
		time.Sleep(2500 * time.Millisecond)
		b.set(func(f *fake) { f.panics = false })
		time.Sleep(time.Second)
		if p.now() == nil || p.now().n != 1 || faults != 3 {
			t.Errorf("%+v after %d faults", p.now(), faults)
		}
		leave()
		p.wait()
	})
}
