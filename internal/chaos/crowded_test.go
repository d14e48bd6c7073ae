package chaos

import (
	"testing"
	"time"
)

// A crowded origin refuses who is one too many, at once, and serves the next when there is room again.
func TestCrowded(t *testing.T) {
	o := NewOrigin(t, "eu")
	release := make(chan struct{})
	o.Set(Crowded(1, OK(64).When(release)))
	first := make(chan Result, 1)
	go func() {
		c := &Client{Address: o.Addr()}
		defer c.Close()
		first <- c.Do(t.Context(), Request{})
	}()
	Await(t, time.Second, "the first request", func() bool { return o.Arrived() == 1 })
	c := &Client{Address: o.Addr()}
	defer c.Close()
	if r := c.Do(t.Context(), Request{}); r.Status != 503 {
		t.Errorf("one too many: %v", r)
	}
	close(release)
	if r := <-first; r.Kind != Served {
		t.Errorf("the first: %v", r)
	}
	// The client has the first answer a moment before the origin has its room back.
	Await(t, time.Second, "room again", func() bool { return c.Do(t.Context(), Request{}).Kind == Served })
}

// A stream comes whole, and not before all of its pauses are over.
func TestTrickle(t *testing.T) {
	o := NewOrigin(t, "eu")
	const pause = 5 * time.Millisecond
	o.Set(Trickle(1000, 10, pause))
	c := &Client{Address: o.Addr()}
	defer c.Close()
	for range 2 { // the second on the same connection
		if r := c.Do(t.Context(), Request{}); r.Kind != Served || r.Latency < 10*pause {
			t.Errorf("%v", r)
		}
	}
}

// An upload with a pace takes its time, and is the same upload.
func TestPacedUpload(t *testing.T) {
	o := NewOrigin(t, "eu")
	const pace = 2 * time.Millisecond
	c := &Client{Address: o.Addr()}
	defer c.Close()
	r := c.Do(t.Context(), Request{Method: "POST", BodySize: 20 * paced, Pace: pace})
	if r.Kind != Served || r.Latency < 20*pace {
		t.Errorf("%v", r)
	}
	ledger := &Ledger{}
	ledger.Add(r)
	if err := Check(ledger, o); err != nil {
		t.Error(err)
	}
}
