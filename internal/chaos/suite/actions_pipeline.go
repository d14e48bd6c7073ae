package suite

import (
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Pipeline is a client that sends so many GETs in one write and reads as many
// answers, again and again, as HTTP/1.1 allows (RFC 9112, section 9.3.2). It is
// for [Meanwhile]. That answers come in the order of the requests, each whole and
// each its own, is judged at once; what it got is judged with the others.
func Pipeline(clients, depth int) func(s *Stage, stop <-chan struct{}) error {
	return func(s *Stage, stop <-chan struct{}) error {
		failed := make(chan error, clients)
		for range clients {
			go func() { failed <- s.pipeline(depth, stop) }()
		}
		var first error
		for range clients {
			if err := <-failed; first == nil {
				first = err
			}
		}
		return first
	}
}

func (s *Stage) pipeline(depth int, stop <-chan struct{}) error {
	var c *chaos.Raw
	for !stopped(stop) {
		if c == nil {
			var err error
			if c, err = chaos.Open("tcp", s.listen, patience); err != nil {
				return err
			}
		}
		again, err := s.batch(c, depth)
		if err != nil {
			c.Close()
			return err
		}
		if !again {
			c.Close()
			c = nil
		}
		time.Sleep(20 * time.Millisecond) // between two batches, so that others get their turn
	}
	if c != nil {
		c.Close()
	}
	return nil
}

// batch sends requests in one write and reads the answers. It reports whether the
// connection goes on.
func (s *Stage) batch(c *chaos.Raw, depth int) (again bool, err error) {
	var text strings.Builder
	results := make([]chaos.Result, depth)
	for i := range results {
		id := chaos.NewID()
		results[i] = chaos.Result{Request: chaos.Request{ID: id, Method: "GET", Path: "/pipe/" + id}, Covered: true, Kind: chaos.Aborted, Start: time.Now()}
		fmt.Fprintf(&text, "GET /pipe/%s HTTP/1.1\r\nHost: chaos.test\r\n%s: %s\r\n\r\n", id, chaos.FieldID, id)
	}
	defer func() { s.own.Add(results...) }()
	if err := c.Send(text.String()); err != nil {
		return false, nil // the proxy has closed the connection, which it may
	}
	for i := range results {
		r := &results[i]
		p, err := c.ReadResponse("GET")
		r.Latency = time.Since(r.Start)
		if err != nil {
			return false, nil // as an abort it stands in the ledger
		}
		if err := take(r, &p); err != nil {
			r.Kind = chaos.Wrong
			return false, fmt.Errorf("answer %d of %d: %w", i+1, depth, err)
		}
		if strings.EqualFold(p.Get("Connection"), "close") {
			return false, nil
		}
	}
	return true, nil
}
