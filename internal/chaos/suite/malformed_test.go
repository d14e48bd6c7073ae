package suite

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// malformed is a request that must be refused.
type malformed struct {
	name, send string
	status     int
}

// smuggled is what stands behind each of them on the wire.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: chaos.test\r\n\r\n"

// evil is a POST with these lines in its head.
func evil(lines ...string) string {
	return "POST /evil HTTP/1.1\r\nHost: chaos.test\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func evilPath(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: chaos.test\r\n\r\n" }

var malformedRequests = []malformed{
	{"both framings", evil("Content-Length: 4", "Transfer-Encoding: chunked") + "0\r\n\r\n", 400},
	{"both framings, the other way round", evil("Transfer-Encoding: chunked", "Content-Length: 4") + "0\r\n\r\n", 400},
	{"two lengths", evil("Content-Length: 0", "Content-Length: 4"), 400},
	{"a length with a sign", evil("Content-Length: +4"), 400},
	{"another coding", evil("Transfer-Encoding: chunked, identity"), 501},
	{"a hidden coding", evil("Transfer-Encoding: \x0bchunked"), 400},
	{"a twin of the length", evil("Content_Length: 4"), 400},
	{"a twin of an identity", evil("X_Forwarded_For: 192.0.2.66"), 400},
	{"a bad chunk", evil("Transfer-Encoding: chunked") + "zz\r\n", 400},
	{"a chunk longer than it says", evil("Transfer-Encoding: chunked") + "3\r\nabcd\r\n0\r\n\r\n", 400},
	{"a folded line", evil("X-A: b", " c"), 400},
	{"a space before the colon", evil("Content-Length : 4"), 400},
	{"a NUL", evil("X-A: b\x00c"), 400},
	{"a bare LF", evil("X-A: b\nX-C: d"), 400},
	{"a bare CR", evil("X-A: b\rX-C: d"), 400},
	{"two Hosts", "GET /evil HTTP/1.1\r\nHost: chaos.test\r\nHost: evil.test\r\n\r\n", 400},
	{"no Host", "GET /evil HTTP/1.1\r\n\r\n", 400},
	{"TRACE", "TRACE /evil HTTP/1.1\r\nHost: chaos.test\r\n\r\n", 405},
	{"CONNECT", "CONNECT evil.test:80 HTTP/1.1\r\nHost: evil.test:80\r\n\r\n", 405},
	{"a path that climbs", evilPath("/evil/../../etc/passwd"), 400},
	{"a path that climbs, encoded", evilPath("/evil/%2e%2E/x"), 400},
	{"a backslash", evilPath("/evil\\x"), 400},
	{"an encoded slash", evilPath("/evil%2fx"), 400},
	{"a NUL in the path", evilPath("/evil%00"), 400},
	{"a head over the limit", evil("X-A: " + strings.Repeat("a", 40<<10)), 431},
	{"a target over the limit", evilPath("/evil/" + strings.Repeat("a", 40<<10)), 414},
}

var malformedScenarios = []Scenario{{
	Name: "malformed_requests", Proves: []string{"refused", "responses"},
	Text:  "Smuggled, folded, climbing, giant and otherwise malformed requests come in the midst of a load, each with a second request hidden behind it: each is refused with its status, its connection ends, no origin sees anything of it, and nobody else notices.",
	Load:  []chaos.Load{Shopping(80), {Conns: 2, Rate: 40, Mix: []chaos.Shot{{Path: "/product/"}, {Method: "POST", Path: "/order/", BodySize: 64, Chunked: true}}}},
	Steps: Now(Served("eu", 20), RefuseEach(5, malformedRequests), Served("eu", 20)),
	Want:  []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), Arrivals("us", 0, 0), AttemptsPerRequest(1), OnlyOurs()},
}}

// RefuseEach sends each of the requests several times, on connections of their
// own: it must be answered once, with its status, and the connection must end.
func RefuseEach(times int, all []malformed) Action {
	return Do(fmt.Sprintf("%d malformed requests, %d times each", len(all), times), func(s *Stage) error {
		var failed []error
		for range times {
			for i := range all {
				if err := all[i].refused(s.listen); err != nil {
					failed = append(failed, fmt.Errorf("%s: %w", all[i].name, err))
				}
			}
		}
		return errors.Join(failed[:min(5, len(failed))]...)
	})
}

// refused sends the request and something behind it, and judges what comes back.
func (m *malformed) refused(address string) error {
	c, err := chaos.Open("tcp", address, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Send(m.send + smuggled); err != nil {
		return err
	}
	r, err := c.ReadResponse("POST")
	if err != nil || r.Status != m.status || r.Get("Connection") != "close" {
		return fmt.Errorf("status %d, not %d, Connection %q, %w", r.Status, m.status, r.Get("Connection"), err)
	}
	if rest, err := c.ReadAll(); rest != "" || err != nil {
		return fmt.Errorf("then came %q, %w", rest, err)
	}
	return nil
}

// OnlyOurs claims that all that reached an origin are the load's requests, the
// scenario's own, and probes.
func OnlyOurs() Expectation {
	return Holds("no origin sees what was refused", func(o *Outcome) error {
		for _, at := range o.Origins {
			all := at.AllArrivals()
			if i := slices.IndexFunc(all, func(a chaos.Arrival) bool { return a.ID == "" && a.Target != healthPath }); i >= 0 {
				return fmt.Errorf("%s saw %.300q at %v", at.Name(), all[i].Raw, all[i].Time.Sub(o.Begun).Round(time.Millisecond))
			}
		}
		return nil
	})
}
