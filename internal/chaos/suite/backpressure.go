package suite

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// A transfer that is held still may fill the kernel's buffers of four sockets,
// and the proxy's one.
const (
	large     = 64 << 20
	inBetween = large * 3 / 8
	flat      = 16 << 20
)

// heldPath is that of transfers, where an origin does what it is told.
const heldPath = "/held/"

// HeldDownload asks for a large body and takes none of it until it has stood still
// for a while: by then its origin must have been held back, and the proxy's memory
// be what it was. Then the rest is taken, and must be whole.
func HeldDownload(by func(chaos.Load) chaos.Load) Action {
	return Action{"a slow reader of 64 MB", func(s *Stage) error {
		from := s.origins["eu"]
		release := make(chan struct{})
		before := from.BytesOut()
		taken := func() int64 { return from.BytesOut() - before }
		q := chaos.Request{ID: chaos.NewID(), WantSize: large, Hold: release}
		q.Path = heldPath + q.ID
		return s.transfer(by, q, release, taken)
	}}
}

// HeldUpload sends a large body to an origin that reads nothing of it for a while.
func HeldUpload(by func(chaos.Load) chaos.Load) Action {
	return Action{"64 MB for a slow origin", func(s *Stage) error {
		release := make(chan struct{})
		s.origins["eu"].SetPath(heldPath, chaos.OK(64).When(release))
		defer s.origins["eu"].ClearPath(heldPath)
		var sent atomic.Int64
		q := chaos.Request{ID: chaos.NewID(), Method: "POST", BodySize: large, Progress: &sent}
		q.Path = heldPath + q.ID
		return s.transfer(by, q, release, sent.Load)
	}}
}

// transfer makes the transfer: taken is how much of it has been taken from who sends.
func (s *Stage) transfer(by func(chaos.Load) chaos.Load, q chaos.Request, release chan struct{}, taken func() int64) error {
	rest := s.resident()
	c := s.client(by)
	defer c.Close()
	done := make(chan chaos.Result, 1)
	go func() { done <- c.Do(context.Background(), q) }()
	err := s.still(taken)
	n, grown := taken(), s.resident()-rest
	s.mark(fmt.Sprintf("%d MiB are on the way", n>>20))
	close(release)
	r := <-done
	s.own.Add(r)
	switch {
	case err != nil:
		return err
	case n > inBetween:
		return fmt.Errorf("%d MiB were taken of %d while nobody read them", n>>20, large>>20)
	case grown > flat:
		return fmt.Errorf("the proxy's memory grew by %d MiB", grown>>20)
	case r.Kind != chaos.Served:
		return fmt.Errorf("%v", r)
	}
	return nil
}

// still waits until a transfer has begun and then stands still for a while.
func (s *Stage) still(taken func() int64) error {
	const beside = 64 << 10 // what the load may send meanwhile
	last, since := int64(0), time.Now()
	return s.await(patience, "the transfer to stand still", func() bool {
		if n := taken(); n > last+beside {
			last, since = n, time.Now()
		}
		return last > 1<<20 && time.Since(since) > 300*time.Millisecond
	})
}

// client is one of the scenario's own that comes by a door, with patience.
func (s *Stage) client(by func(chaos.Load) chaos.Load) *chaos.Client {
	l := s.addressed(by(chaos.Load{}))
	return &chaos.Client{Address: l.Address, TLS: l.TLS, HTTP2: l.HTTP2, Preface: l.Preface, Timeout: 2 * patience}
}
