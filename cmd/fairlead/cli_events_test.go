package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// story are events, newest first.
func story() []adminapi.Event {
	return []adminapi.Event{
		{Seq: 12, Time: noon.Add(2 * time.Second), Kind: "pin", Level: "warn", Group: "shop", Text: "shop is pinned to us for 30m", By: "token", Cause: "eu gets a new disk"},
		{Seq: 11, Time: noon.Add(time.Second), Kind: "flip", Level: "warn", Group: "shop", From: "eu", To: "us", Cause: "primary_down", Text: "the pointer of shop moved from eu to us: primary_down"},
		{Seq: 10, Time: noon, Kind: "verdict", Level: "warn", Origin: "eu", Text: "eu is down", Cause: "connect_refused", Evidence: []adminapi.Probe{
			{TookMS: 1, OK: true, Status: 200}, {TookMS: 0.5, Error: "connect_refused"}, {TookMS: 0.5, Error: "connect_refused"},
		}},
	}
}

func TestEventsArePrintedOldestFirstWithTheirCauses(t *testing.T) {
	api := newFakeAPI()
	api.HandleFunc("GET /v1/events", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, story()) })
	serveAPI(t, api)
	code, stdout, stderr := command(t, "events", "--kind", "verdict,flip", "-n", "3", "--kind=pin")
	want := `Nov 23 12:00:00  verdict        eu is down (connect_refused)
                                probes: 200 in 1 ms, connect_refused in 0.5 ms, connect_refused in 0.5 ms
Nov 23 12:00:01  flip           the pointer of shop moved from eu to us: primary_down
Nov 23 12:00:02  pin            shop is pinned to us for 30m (eu gets a new disk), by token
`
	if code != exitDone || stderr != "" || stdout != want {
		t.Errorf("exit code %d, stderr %q, got\n%swant\n%s", code, stderr, stdout, want)
	}
	if got := api.last().line; got != "GET /v1/events?kind=verdict&kind=flip&kind=pin&limit=3" {
		t.Errorf("it asked for %s", got)
	}
	t.Setenv("COLUMNS", "60")
	_, stdout, _ = command(t, "events")
	for line := range strings.Lines(stdout) {
		if columns(line) > 61 {
			t.Errorf("%q is longer than 60 columns", line)
		}
	}
}

func TestEventsInJSONAreOneALine(t *testing.T) {
	api := newFakeAPI()
	api.HandleFunc("GET /v1/events", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, story()) })
	serveAPI(t, api)
	_, stdout, _ := command(t, "events", "--json")
	var seqs []uint64
	for line := range strings.Lines(stdout) {
		var e adminapi.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, e.Seq)
	}
	if len(seqs) != 3 || seqs[0] != 10 || seqs[2] != 12 {
		t.Errorf("got %d", seqs)
	}
}

func TestEventsOfAGroupThatIsNotThereSaySo(t *testing.T) {
	api := newFakeAPI()
	api.HandleFunc("GET /v1/events", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, []adminapi.Event{}) })
	serveAPI(t, api)
	code, _, stderr := command(t, "events", "--group", "sho")
	if code != exitWrong || !strings.Contains(stderr, `there is no group "sho": there are blog, shop, checkout`) {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if code, _, stderr := command(t, "events", "--group", "shop"); code != exitDone || stderr != "" {
		t.Errorf("of a group without events: exit code %d, stderr %q", code, stderr)
	}
}

// eventStream streams what a test sends; an event of Seq 0 breaks it off. It says
// behind which event each stream was asked to begin.
func eventStream(api *fakeAPI, past []adminapi.Event) (next chan<- adminapi.Event, behind <-chan string) {
	events, began := make(chan adminapi.Event), make(chan string, 10)
	api.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "text/event-stream" {
			answer(w, 200, past)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		began <- r.Header.Get("Last-Event-ID")
		for {
			select {
			case e := <-events:
				if e.Seq == 0 {
					panic(http.ErrAbortHandler)
				}
				send(w, e.Seq, "event", e)
			case <-r.Context().Done():
				return
			}
		}
	})
	return events, began
}

func TestFollowingResumesBehindTheLastEventThatWasSeen(t *testing.T) {
	api := newFakeAPI()
	next, behind := eventStream(api, story())
	serveAPI(t, api)
	p, out := inBackground(t, "events", "-f", "-n", "1")
	out.await(t, "shop is pinned")
	if got := <-behind; got != "12" {
		t.Errorf("the first stream begins behind %q", got)
	}
	next <- adminapi.Event{Seq: 13, Time: noon, Kind: "unpin", Text: "thirteen"}
	out.await(t, "thirteen")
	next <- adminapi.Event{}
	out.await(t, "the connection was closed, trying again")
	if got := <-behind; got != "13" {
		t.Errorf("the second stream begins behind %q", got)
	}
	next <- adminapi.Event{Seq: 14, Time: noon, Kind: "flip", Text: "fourteen"}
	out.await(t, "fourteen")
	p.stop()
	if err := <-p.ended; err != nil {
		t.Errorf("Ctrl-C ended it with %v", err)
	}
}

func TestFollowingSurvivesAnAPIThatIsBusyAndEndsWhereItIsRefused(t *testing.T) {
	api := newFakeAPI()
	var tries atomic.Int32
	api.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		switch tries.Add(1) {
		case 1:
			answer(w, 200, story()[:0])
		case 2:
			w.Header().Set("Content-Type", "text/event-stream") // and ends at once
		case 3, 4:
			refuse(503, adminapi.Error{Code: "busy", Text: "64 streams are open"})(w, r)
		default:
			refuse(401, adminapi.Error{Code: "unauthorized", Text: "the token has changed"})(w, r)
		}
	})
	serveAPI(t, api)
	code, _, stderr := command(t, "events", "-f")
	if code != exitWrong || strings.Count(stderr, "64 streams are open, trying again") != 1 || !strings.Contains(stderr, "fairlead: the token has changed") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestEachOutageOfAStreamIsToldOnce(t *testing.T) {
	var out strings.Builder
	c := complaint{out: &out}
	c.lost(io.EOF)
	c.lost(io.EOF)
	c.over()
	c.lost(io.EOF)
	if text := out.String(); strings.Count(text, ", trying again\n") != 2 {
		t.Errorf("got %q", text)
	}
}

func TestFollowingNothingEndsAtOnce(t *testing.T) {
	nowhere(t)
	if code, _, stderr := command(t, "events", "-f", "--admin", "127.0.0.1:1"); code != exitWrong || !strings.Contains(stderr, "Is fairlead running") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}
