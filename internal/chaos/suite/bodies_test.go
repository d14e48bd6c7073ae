package suite

import (
	"fmt"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// bodyRow is a fault after a response's head: the response is committed, so
// nobody can mend it.
type bodyRow struct {
	fault string
	class string // "": it is the proxy that gave up
	size  int64  // of bodies; 0: 1 KiB
	rate  float64
	name  string // "": the fault's
}

var bodyRows = []bodyRow{
	{fault: "reset_after_head", class: "reset"},
	{fault: "reset_mid_body", class: "reset"},
	{fault: "truncated", class: "reset"},
	{fault: "truncated_chunked", class: "reset"},
	{fault: "broken_chunk", class: "malformed"},
	{fault: "stalled_body"},
	// Bodies that are moved by splice.
	{name: "truncated_large", fault: "truncated", class: "reset", size: 2 << 20, rate: 20},
	{name: "reset_mid_body_large", fault: "reset_mid_body", class: "reset", size: 2 << 20, rate: 20},
	{name: "stalled_body_large", fault: "stalled_body", size: 2 << 20, rate: 20},
}

// bodyScenarios are one for each row, and what is odd but whole.
var bodyScenarios = func() (all []Scenario) {
	for i := range bodyRows {
		all = append(all, bodyRows[i].scenario())
	}
	return append(all, wholeBodies...)
}()

const bodyIdle = 300 * time.Millisecond

// scenario lets requests, and no probes, meet the fault for a while. Each
// response of that time is an abort, of reads and writes alike, and not one
// request goes elsewhere; before and after it all is well.
func (r *bodyRow) scenario() Scenario {
	f, ok := chaos.FaultByName(r.fault)
	if !ok || !f.Aborts {
		panic("there is no fault of bodies " + r.fault)
	}
	name, rate := r.name, r.rate
	if name == "" {
		name, rate = r.fault, 100
	}
	load := Shopping(rate)
	for i := range load.Mix {
		load.Mix[i].WantSize = r.size
	}
	want := []Expectation{NotServedOnly(0), Some("aborts", 12, Aborted), None("abort of the secondary", func(q *chaos.Result) bool { return Aborted(q) && q.Origin == "us" }),
		NoFlip(), NoFailover(), NotParked(), BreakerOpened("eu", 0, 0), Arrivals("us", 0, 0), AttemptsPerRequest(1), AbortsTold(r.class)}
	if r.class == "" {
		want = append(want, Quickly("aborts", 0.95, bodyIdle+700*time.Millisecond, Aborted),
			None("abort before body_idle_timeout", func(q *chaos.Result) bool { return Aborted(q) && q.Latency < bodyIdle }))
	} else {
		want = append(want, Quickly("aborts", 0.95, 300*time.Millisecond, Aborted))
	}
	return Scenario{
		Name: name, Proves: []string{"commit", "once", "classes"},
		Text:  "The primary breaks responses off after the head: " + f.Text + ". Clients get an abort that can't be taken for a whole response, and nothing is retried.",
		Setup: Setup{Server: fmt.Sprintf("body_idle_timeout = %q\n", bodyIdle)},
		Load:  []chaos.Load{load},
		Steps: []Step{
			{At: 200 * time.Millisecond, Do: FaultOfRequests("eu", r.fault)},
			{Do: AwaitResults("aborts", 12, Aborted)},
			{Do: Mend("eu", r.fault)},
			{Do: Served("eu", 12)},
		},
		Want: want,
	}
}

// wholeBodies are odd, and every one of them is to arrive.
var wholeBodies = []Scenario{
	{
		Name: "overlong_body", Proves: []string{"responses"},
		Text:  "The primary sends a hundred bytes more than Content-Length says, and keeps the connection: every response is whole, and what follows it is given to nobody.",
		Steps: Now(Pass(100*time.Millisecond), Fault("eu", "overlong_body"), Served("eu", 80), Mend("eu", "overlong_body"), Served("eu", 20)),
		Want:  []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), Arrivals("us", 0, 0), AttemptsPerRequest(1), NotReusedAfter("eu", "Overlong")},
	},
	{
		Name: "extra_response", Proves: []string{"responses"},
		Text:  "The primary sends a second response that nobody asked for behind each: no request gets it.",
		Steps: Now(Behave("eu", chaos.ExtraResponse()), Served("eu", 80), Well("eu"), Served("eu", 20)),
		Want:  []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), Arrivals("us", 0, 0), NotReusedAfter("eu", "ExtraResponse")},
	},
	{
		Name: "bodies_of_every_framing", Proves: []string{"responses", "interim"},
		Text:  "Chunks with trailers, bodies that end with the connection, a head byte by byte, nine interim responses, an early answer and no body at all: each arrives whole.",
		Steps: Now(Behave("eu", chaos.InTurn(chaos.Sound()...)), Served("eu", 110)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), Arrivals("us", 0, 0), AttemptsPerRequest(1),
			Some("responses with nine interim ones", 5, func(r *chaos.Result) bool { return r.Interim == 9 }),
			None("responses with another number of interim ones", func(r *chaos.Result) bool { return r.Interim != 9 && r.Interim != 0 })},
	},
}
