package suite

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Tunnels opens n upgraded connections at an origin that echoes, as with
// [chaos.Upgrade], and keeps on asking each of them for an echo. It is for
// [Meanwhile], and fails if a tunnel leads elsewhere than to the origin or ends.
func Tunnels(n int, origin string) func(s *Stage, stop <-chan struct{}) error {
	return func(s *Stage, stop <-chan struct{}) error {
		var all sync.WaitGroup
		failed := make([]error, n)
		for i := range n {
			all.Go(func() { failed[i] = s.tunnel(origin, stop) })
		}
		all.Wait()
		return errors.Join(failed...)
	}
}

func (s *Stage) tunnel(origin string, stop <-chan struct{}) error {
	c, err := chaos.Open("tcp", s.listen, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	id := chaos.NewID()
	r := chaos.Result{Request: chaos.Request{ID: id, Method: "GET", Path: "/tunnel/" + id}, Covered: true, Kind: chaos.Aborted, Start: time.Now()}
	defer func() {
		r.Latency = time.Since(r.Start)
		s.own.Add(r)
	}()
	p, err := c.Do(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: chaos.test\r\nConnection: Upgrade\r\nUpgrade: chaos\r\n%s: %s\r\n\r\n", r.Path, chaos.FieldID, id))
	if err != nil || p.Status != 101 || p.Get(chaos.FieldOrigin) != origin {
		return errors.Join(fmt.Errorf("a tunnel to %s could not be opened: %d from %q", origin, p.Status, p.Get(chaos.FieldOrigin)), err)
	}
	r.Status, r.Origin = p.Status, origin
	for i := 0; !stopped(stop); i++ {
		said := fmt.Sprintf("%s %08d\n", id, i)
		if err := c.Send(said); err != nil {
			return fmt.Errorf("the tunnel ended at echo %d: %w", i, err)
		}
		if heard, err := c.Read(len(said)); err != nil || heard != said {
			return errors.Join(fmt.Errorf("echo %d was %q", i, heard), err)
		}
		time.Sleep(10 * time.Millisecond) // between two echoes
	}
	r.Kind = chaos.Served
	return nil
}

// Requesting sends n requests at once, each on a connection of its own, and waits
// for their answers: of long uploads, downloads and streams, beside the steps. It
// is for [Meanwhile]; what became of them is judged with the others, and must be
// answers of the origin. To a path that ends in a slash each adds its id.
func Requesting(n int, origin string, q chaos.Request) func(s *Stage, stop <-chan struct{}) error {
	return func(s *Stage, _ <-chan struct{}) error {
		var all sync.WaitGroup
		failed := make([]error, n)
		for i := range n {
			q := q
			if q.ID = chaos.NewID(); strings.HasSuffix(q.Path, "/") {
				q.Path += q.ID
			}
			all.Go(func() {
				if r := s.ask(q); r.Kind != chaos.Served || r.Origin != origin {
					failed[i] = fmt.Errorf("it was to be served by %s: %v", origin, r)
				}
			})
		}
		all.Wait()
		return errors.Join(failed...)
	}
}
