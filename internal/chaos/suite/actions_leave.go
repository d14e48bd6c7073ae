package suite

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
)

// Departure is a point in the life of a request at which its client leaves.
type Departure struct {
	Name   string // of the point
	Method string // "": GET
	// Send is what the client sends, in which PATH and ID stand for the request's.
	// "": a whole request without a body.
	Send string
	// Take is how many bytes of the answer the client takes before it leaves.
	Take int
	// Reached reports whether n clients have come to the point, as the proxy's
	// status and the origins tell. Nil: nobody waits for it.
	Reached func(s *Stage, away *adminapi.Route, n int) bool
}

// awayPath is that of the requests whose clients leave, by a route of its own.
const awayPath = "/away/"

// Leave lets n clients come to the point, and leave: every other one by a reset.
// Within a second nothing of them is left: no permit, no place in the queue, none
// parked, no connection to an origin.
func Leave(d Departure, n int) Action {
	return Action{fmt.Sprintf("%d clients leave %s", n, d.Name), func(s *Stage) error {
		clients := make([]*chaos.Raw, n)
		results := make([]chaos.Result, n)
		for i := range clients {
			var err error
			if clients[i], err = chaos.Open("tcp", s.listen, patience); err != nil {
				return err
			}
			s.later(clients[i].Close)
			if results[i], err = d.come(clients[i]); err != nil {
				return err
			}
		}
		come := func() bool {
			away, err := s.away()
			return err == nil && d.Reached(s, away, n)
		}
		if d.Reached != nil {
			if err := s.await(patience, "clients that are "+d.Name, come); err != nil {
				return err
			}
		}
		s.mark("leave")
		for i, c := range clients {
			if i%2 == 1 {
				c.Reset()
			} else {
				c.Close()
			}
			results[i].Latency = time.Since(results[i].Start)
		}
		s.own.Add(results...)
		return s.await(time.Second, "the end of what they left", func() bool {
			away, err := s.away()
			b := &away.Bulkhead
			return err == nil && b.InUse+b.Queued+b.Parked == 0 && s.working() < n/2
		})
	}}
}

// come sends the request and takes what the client is to take of its answer.
func (d *Departure) come(c *chaos.Raw) (chaos.Result, error) {
	id := chaos.NewID()
	r := chaos.Result{Request: chaos.Request{ID: id, Method: d.Method, Path: awayPath + id}, Kind: chaos.Left, Start: time.Now()}
	if r.Method == "" {
		r.Method = "GET"
	}
	r.Covered = r.Method == "GET"
	text := d.Send
	if text == "" {
		text = r.Method + " PATH HTTP/1.1\r\nHost: chaos.test\r\nChaos-Id: ID\r\n\r\n"
	}
	if err := c.Send(strings.NewReplacer("PATH", r.Path, "ID", id).Replace(text)); err != nil {
		return r, err
	}
	if _, err := c.Read(d.Take); err != nil {
		return r, fmt.Errorf("the answer ended before its client: %w", err)
	}
	return r, nil
}

// away is the state of the route of those who leave. It is never nil.
func (s *Stage) away() (*adminapi.Route, error) {
	status, err := s.admin.status()
	if err != nil {
		return &adminapi.Route{}, err
	}
	for i := range status.Routes {
		if status.Routes[i].Name == "away" {
			return &status.Routes[i], nil
		}
	}
	return &adminapi.Route{}, errors.New("there is no route away")
}

// working is how many connections to origins are not idle in a pool: those of
// probes, of the load beside, and those that were not given up.
func (s *Stage) working() (n int) {
	m, err := s.admin.metrics()
	if err != nil {
		return 1 << 20
	}
	for _, o := range s.order {
		n += o.OpenConns()
	}
	return n - int(m["fairlead_idle_connections"])
}
