package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/internal/adminapi"
)

func drawn(v view) string {
	s := outageStatus()
	v.zone = time.UTC
	return "\n" + strings.Join(v.status(&s, ""), "\n") + "\n"
}

// statusTop is how every table of the outage begins, and statusGroups80 how it goes on in 80 columns.
const statusTop = `
fairlead v1.2.3, serving for 3 d, pid 4711, 812 of 32000 connections
/etc/fairlead/fairlead.toml, fingerprint 4f2a9c1b2d3e, loaded 2 h ago
the last reload was refused, 2 problems: fairlead.toml:3:1: unknown key
in trouble: 2 of 3 groups, 1 of 3 origins, 2 of 3 routes

`

const statusGroups80 = `GROUP             TARGET    ROLE        SINCE  REASON        NEXT
shop              us        secondary   4 min  primary_down  fails back at 12:10
checkout…ng-name  us        secondary   1 min  pin           pinned until 14:05…
blog              static    primary       3 d  start         -

ORIGIN        VERDICT     SINCE  LAST PROBE                 ADDRESSES       CONN
eu            down        4 min  connect_refused in 2.4 ms  [2001:…80 +1       0
`

const statusAt80 = statusTop + statusGroups80 + `us            healthy       2 d  204 in 2.4 ms              10.0.0.2:80   31/100
static        unchecked       -  -                          none               0

ROUTE       GROUP         IN USE  QUEUED  PARKED  BREAKER    SHED  FAILED  SAVED
order       check…-name      4/4       5       2  closed        0       0      0
product     shop            2/10       0       0  eu open       7       1  1234k
page        blog            3/50       0       0  off           0       0      0
`

const statusAt200 = statusTop + `GROUP                             TARGET    ROLE        SINCE  REASON        NEXT
shop                              us        secondary   4 min  primary_down  fails back at 12:10
checkout-with-a-rather-long-name  us        secondary   1 min  pin           pinned until 14:05 by token: eu gets a new disk
blog                              static    primary       3 d  start         -

ORIGIN        VERDICT     SINCE  LAST PROBE                 ADDRESSES              CONN
eu            down        4 min  connect_refused in 2.4 ms  [2001:db8::1]:80 +1       0
us            healthy       2 d  204 in 2.4 ms              10.0.0.2:80          31/100
static        unchecked       -  -                          none                      0

ROUTE         GROUP                              IN USE  QUEUED  PARKED  BREAKER    SHED  FAILED  SAVED
order         checkout-with-a-rather-long-name      4/4       5       2  closed        0       0      0
product       shop                                 2/10       0       0  eu open       7       1  1234k
page          blog                                 3/50       0       0  off           0       0      0
`

// statusShort is what fits 17 lines.
const statusShort = statusTop + statusGroups80 + `... and 2 more origins (--all shows them)

ROUTE       GROUP         IN USE  QUEUED  PARKED  BREAKER    SHED  FAILED  SAVED
order       check…-name      4/4       5       2  closed        0       0      0
... and 2 more routes, 1 of them in trouble (--all shows them)
`

func TestTheStatusIsATableThatFits(t *testing.T) {
	tests := []struct {
		name string
		give view
		want string
	}{
		{name: "80 columns", give: view{width: 80}, want: statusAt80},
		{name: "200 columns", give: view{width: 200}, want: statusAt200},
		{name: "a pipe has no width", give: view{}, want: statusAt200},
		{name: "few lines show the worst and count the rest", give: view{width: 80, height: 17}, want: statusShort},
		{name: "unless all are asked for", give: view{width: 80, height: 17, all: true}, want: statusAt80},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := drawn(tt.give); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestColoursAddNothingButColours(t *testing.T) {
	painted := drawn(view{width: 80, paint: true})
	for _, code := range append(tones[1:], "\x1b[0m") {
		if !strings.Contains(painted, code) {
			t.Errorf("no %q in %q", code, painted)
		}
		painted = strings.ReplaceAll(painted, code, "")
	}
	if painted != statusAt80 {
		t.Errorf("without its colours it is\n%s", painted)
	}
}

func TestAllIsWellWhereNothingIsWrong(t *testing.T) {
	s := outageStatus()
	s.Groups, s.Origins, s.Routes = s.Groups[:1], s.Origins[:1], s.Routes[:1]
	s.Config.Failed = nil
	text := strings.Join(view{zone: time.UTC}.status(&s, ""), "\n")
	if !strings.Contains(text, "\nall is well\n") || strings.Contains(text, "trouble") {
		t.Errorf("got\n%s", text)
	}
	if text := strings.Join(view{zone: time.UTC}.status(&s, "NOT REACHABLE"), "\n"); !strings.Contains(text, "\nNOT REACHABLE\n") || strings.Contains(text, "well") {
		t.Errorf("all is said to be well although nobody knows:\n%s", text)
	}
	s.Groups[0].Role, s.Groups[0].Target = "none", ""
	if text = strings.Join(view{zone: time.UTC}.status(&s, ""), "\n"); !strings.Contains(text, "in trouble: 1 of 1 group\n") {
		t.Errorf("a group without a target got\n%s", text)
	}
}

func TestAGroupIsInTroubleUnderBothDownOnlyWhileItsOriginIs(t *testing.T) {
	tests := []struct {
		name    string
		verdict string
		drained bool
		want    string
	}{
		{name: "down", verdict: "down", want: "in trouble: 1 of 1 group, 1 of 1 origin"},
		{name: "drained", verdict: "healthy", drained: true, want: "in trouble: 1 of 1 group, 1 of 1 origin"},
		{name: "well again", verdict: "healthy", want: "all is well"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := adminapi.Status{
				Groups:  []adminapi.Group{{Name: "shop", Primary: "eu", Target: "eu", Role: "primary", Reason: "both_down"}},
				Origins: []adminapi.Origin{{Name: "eu", Verdict: tt.verdict, Drained: tt.drained}},
			}
			text := strings.Join(view{zone: time.UTC}.status(&s, ""), "\n")
			if !strings.Contains(text, "\n"+tt.want+"\n") {
				t.Errorf("got\n%s\nwant the line %q", text, tt.want)
			}
		})
	}
}

// A group that has nowhere else to go stays where it is, and its reason says nothing.
func TestAGroupWhoseTargetCannotServeIsInTroubleWhateverItsReason(t *testing.T) {
	for _, reason := range []string{"start", "failback"} {
		for _, o := range []adminapi.Origin{{Name: "eu", Verdict: "down"}, {Name: "eu", Verdict: "healthy", Drained: true}} {
			s := adminapi.Status{
				Groups:  []adminapi.Group{{Name: "solo", Primary: "eu", Target: "eu", Role: "primary", Reason: reason}},
				Origins: []adminapi.Origin{o},
			}
			if text := strings.Join(view{}.status(&s, ""), "\n"); !strings.Contains(text, "in trouble: 1 of 1 group,") {
				t.Errorf("%s, %+v: got\n%s", reason, o, text)
			}
		}
	}
}

func TestABreakerIsInTroubleWhileItIsOpenAndNotWhileItWaitsForARequest(t *testing.T) {
	for state, want := range map[string]string{"open": "in trouble: 1 of 1 route", "half-open": "all is well"} {
		s := adminapi.Status{Routes: []adminapi.Route{{Name: "r", Breakers: []adminapi.Breaker{{Origin: "us", State: state}}}}}
		text := strings.Join(view{}.status(&s, ""), "\n")
		if !strings.Contains(text, "\n"+want+"\n") || !strings.Contains(text, "us "+state) {
			t.Errorf("%s: got\n%s", state, text)
		}
	}
}

func TestAPinThatIsOverIsToldAsPast(t *testing.T) {
	g := adminapi.Group{Reason: "pin"}
	if got := reasonOf(&g); got != "was pinned" {
		t.Errorf("without a pin: %q", got)
	}
	g.Pin = &adminapi.Pin{Target: "us"}
	if got := reasonOf(&g); got != "pin" {
		t.Errorf("with a pin: %q", got)
	}
}

// anyText is what a hostile server may call something.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(), rapid.StringMatching(`[a-z-]{0,80}`),
		rapid.SampledFrom([]string{"\x1b[2J\x1b[H", "\x1b]0;title\a", "a\r\nb", "\u202egnp.exe", "\x9b31m", "\u009b31m", "名前の長いサーバー", "é\u0301\u0301", "\xff\xfe", "\x00"}),
	)
}

func anyStatus(t *rapid.T) *adminapi.Status {
	text := anyText()
	number := rapid.Uint64()
	draw := func() string { return text.Draw(t, "text") }
	n := func() int { return int(number.Draw(t, "number")) }
	at := func() time.Time { return time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "time"), 0) }
	s := &adminapi.Status{Now: at(), Version: draw(), PID: n(), UptimeS: float64(n()), State: draw()}
	s.Config = adminapi.ConfigInfo{File: draw(), Fingerprint: draw(), Failed: []string{draw()}}
	for range rapid.IntRange(0, 4).Draw(t, "rows") {
		s.Groups = append(s.Groups, adminapi.Group{
			Name: draw(), Target: draw(), Role: draw(), Since: at(), Reason: draw(), Follow: draw(),
			Pin: rapid.SampledFrom([]*adminapi.Pin{nil, {Until: new(at()), Reason: draw(), By: draw()}}).Draw(t, "pin"),
		})
		s.Origins = append(s.Origins, adminapi.Origin{
			Name: draw(), Verdict: draw(), Drained: n()%2 == 0, Addresses: []string{draw(), draw()}, Connections: n(), Limit: n(),
			Probes: []adminapi.Probe{{Error: draw(), TookMS: float64(n())}},
		})
		s.Routes = append(s.Routes, adminapi.Route{
			Name: draw(), Group: draw(), Bulkhead: adminapi.Bulkhead{MaxConcurrent: n(), InUse: n(), Queued: n(), Parked: n()},
			Breakers: []adminapi.Breaker{{Origin: draw(), State: draw()}},
			Totals:   adminapi.Totals{Shed: number.Draw(t, "shed"), Failed: number.Draw(t, "failed"), Saved: number.Draw(t, "saved")},
		})
	}
	return s
}

// isPlain reports whether text can do nothing to a terminal but stand there.
func isPlain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && notPlain(r) })
}

func TestNoLineOfAStatusIsLongerThanItsWidthNorHoldsWhatIsNotPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyStatus(t)
		makePlain(s)
		v := view{width: rapid.IntRange(1, 250).Draw(t, "width"), height: rapid.IntRange(0, 60).Draw(t, "height"), zone: time.UTC}
		lines := v.status(s, "")
		for _, line := range lines {
			if columns(line) > v.width || !isPlain(line) {
				t.Fatalf("%d columns in %d: %q", columns(line), v.width, line)
			}
		}
		if least := 4 + 1 + 9; v.height > least && len(lines) > v.height {
			t.Fatalf("%d lines in %d", len(lines), v.height)
		}
	})
}

func TestAHostileNameNeverReachesTheTerminalRaw(t *testing.T) {
	const evil = "\x1b]0;owned\a\x1b[2J\u009b31m\u202eevil\r\n"
	api := newFakeAPI()
	events := []adminapi.Event{{Seq: 1, Time: noon, Kind: evil, Text: evil, Cause: evil, By: evil, Evidence: []adminapi.Probe{{Error: evil}}}}
	request := adminapi.Request{Method: evil, Target: evil, Host: evil, Result: "failed", WhyNot: evil, Error: evil, ID: evil, Attempts: []adminapi.Attempt{{Origin: evil, Role: evil, Class: evil, Why: evil, Address: evil}}}
	explanation := adminapi.Explanation{Method: evil, Host: evil, Target: evil, Route: evil, Group: evil, Outcome: evil, WhyNot: evil, Steps: []adminapi.Step{{Rule: evil, Result: evil, Text: evil, Key: evil}}}
	api.HandleFunc("GET /v1/events", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, events) })
	api.HandleFunc("GET /v1/requests", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, []adminapi.Request{request}) })
	api.HandleFunc("GET /v1/explain", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, explanation) })
	api.HandleFunc("POST /v1/reload", refuse(409, adminapi.Error{Code: evil, Text: evil, Problems: []string{evil}}))
	api.HandleFunc("POST /v1/groups/shop/pin", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, adminapi.Group{Name: evil, Target: evil, Reason: evil, Pin: &adminapi.Pin{Reason: evil, By: evil}})
	})
	api.set(func(s *adminapi.Status) {
		s.Version, s.State, s.Config.File, s.Config.Failed[0] = evil, evil, evil, evil
		s.Groups[0].Name, s.Groups[0].Reason, s.Groups[2].Pin.Reason = evil, evil, evil
		s.Origins[0].Name, s.Origins[0].Verdict, s.Origins[0].Addresses[0], s.Origins[2].Probes[1].Error = evil, evil, evil, evil
		s.Routes[0].Name, s.Routes[0].Group, s.Routes[1].Breakers[0].Origin = evil, evil, evil
	})
	serveAPI(t, api)
	commands := [][]string{
		{"status"}, {"status", "--json"}, {"events"}, {"events", "--json"}, {"requests"}, {"requests", "--json"},
		{"explain", "GET", "/"}, {"explain", "GET", "/", "--json"}, {"reload"}, {"pin", "shop", "us"},
		{"pin", evil, evil}, {"unpin", "none" + evil}, {"drain", evil}, {"explain", evil, evil}, {"status", evil},
		{completeCommand, "pin", ""}, {completeCommand, "drain", ""},
	}
	for _, args := range commands {
		t.Run(strings.Join(args[:min(2, len(args))], " "), func(t *testing.T) {
			_, stdout, stderr := command(t, args...)
			if !isPlain(stdout) || !isPlain(stderr) {
				t.Errorf("stdout %q, stderr %q", stdout, stderr)
			}
			if stdout+stderr == "" && args[0] != completeCommand {
				t.Error("it says nothing")
			}
		})
	}
}

func TestStatusJSONIsTheDocumentOfTheAPI(t *testing.T) {
	api := newFakeAPI()
	serveAPI(t, api)
	code, stdout, stderr := command(t, "status", "--json")
	var got adminapi.Status
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != exitDone || stderr != "" {
		t.Fatalf("exit code %d, stderr %q, %v", code, stderr, err)
	}
	want, _ := json.Marshal(outageStatus())
	if again, _ := json.Marshal(got); !bytes.Equal(again, want) {
		t.Errorf("got %s, want %s", again, want)
	}
}

func TestAStatusInAPipeListensToCOLUMNS(t *testing.T) {
	serveAPI(t, newFakeAPI())
	t.Setenv("COLUMNS", "80")
	t.Setenv("LINES", "12")
	_, stdout, _ := command(t, "status")
	for line := range strings.Lines(stdout) {
		if columns(strings.TrimSuffix(line, "\n")) > 80 {
			t.Errorf("%q is longer than 80 columns", line)
		}
	}
	if !strings.Contains(stdout, "(--all shows them)") {
		t.Errorf("nothing was left out:\n%s", stdout)
	}
	if _, all, _ := command(t, "status", "--all"); strings.Contains(all, "--all") || !strings.Contains(all, "\nblog ") {
		t.Errorf("--all left something out:\n%s", all)
	}
}

func TestNumbersThatChangeMoveNothingBesideThem(t *testing.T) {
	s := outageStatus()
	v := view{width: 100, zone: time.UTC}
	before := v.status(&s, "")
	s.Now = s.Now.Add(7 * time.Minute)
	s.Routes[1].Totals = adminapi.Totals{Shed: 99_999, Failed: 123, Saved: 9_876_543_210}
	s.Routes[1].Bulkhead.InUse = 9
	s.Origins[0].Connections = 5
	after := v.status(&s, "")
	for i, line := range before {
		if titles := []string{"GROUP ", "ORIGIN ", "ROUTE "}; slices.ContainsFunc(titles, func(t string) bool { return strings.HasPrefix(line, t) }) && after[i] != line {
			t.Errorf("the titles moved from\n%s to\n%s", line, after[i])
		}
	}
}

func TestShortKeepsFiveCharacters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64().Draw(t, "n")
		if s := short(n); len(s) > 5 || s == "" {
			t.Fatalf("%d is %q", n, s)
		}
	})
	for n, want := range map[uint64]string{0: "0", 99_999: "99999", 100_000: "100k", 9_999_999: "9999k", 10_000_000: "10M", 1<<64 - 1: "18E"} {
		if got := short(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// liveAPI streams statuses, one for each value that a test sends; false breaks
// the stream off.
func liveAPI(api *fakeAPI) chan<- bool {
	next := make(chan bool)
	api.HandleFunc("GET /v1/live", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		for {
			select {
			case on := <-next:
				if !on {
					panic(http.ErrAbortHandler)
				}
				fmt.Fprint(w, ": a comment\n\n")
				send(w, 0, "sample", adminapi.Sample{})
				send(w, 0, "status", api.state)
			case <-r.Context().Done():
				return
			}
		}
	})
	return next
}

func TestWatchDrawsEachStatusAndSurvivesALostConnection(t *testing.T) {
	api := newFakeAPI()
	next := liveAPI(api)
	serveAPI(t, api)
	p, out := inBackground(t, "status", "--watch")
	next <- true
	out.await(t, "us        secondary   4 min")
	next <- false
	out.await(t, "NOT REACHABLE, this is of")
	api.set(func(s *adminapi.Status) {
		s.Groups[1].Target, s.Groups[1].Role, s.Groups[1].Reason = "eu", "primary", "primary_recovered"
	})
	next <- true
	out.await(t, "primary_recovered")
	p.stop()
	if err := <-p.ended; err != nil {
		t.Errorf("Ctrl-C ended it with %v", err)
	}
}

func TestWatchWithJSONIsOneDocumentALine(t *testing.T) {
	api := newFakeAPI()
	next := liveAPI(api)
	serveAPI(t, api)
	p, out := inBackground(t, "status", "--watch", "--json")
	next <- true
	next <- true
	for range 2 {
		var s adminapi.Status
		if err := json.Unmarshal([]byte(out.line(t)), &s); err != nil || s.PID != 4711 {
			t.Fatalf("got %+v, %v", s, err)
		}
	}
	p.stop()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}

func TestWatchOnATerminalDrawsInPlaceAndLeavesTheLastPicture(t *testing.T) {
	var out bytes.Buffer
	s := screen{out: &out, alive: true}
	for _, lines := range [][]string{{"one", "two", "three"}, {"four"}} {
		if err := s.draw(lines, 2); err != nil {
			t.Fatal(err)
		}
	}
	s.leave()
	want := enterScreen + home + "one" + restOfLine + "\ntwo" + restOfLine + restBelow + home + "four" + restOfLine + restBelow + leaveScreen + "four\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestWatchEndsWhereNobodyReads(t *testing.T) {
	api := newFakeAPI()
	next := liveAPI(api)
	serveAPI(t, api)
	p := program{stdout: brokenWriter{}, stderr: brokenWriter{}}
	ended := make(chan error, 1)
	go func() { ended <- p.run(t.Context(), []string{"status", "--watch"}) }()
	next <- true
	if err := <-ended; err == nil {
		t.Error("it ended without an error")
	}
}

func TestAHangupEndsWhatFollows(t *testing.T) {
	api := newFakeAPI()
	next := liveAPI(api)
	serveAPI(t, api)
	hangup := make(chan struct{}, 1)
	p := program{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, reload: hangup}
	ended := make(chan error, 1)
	go func() { ended <- p.run(t.Context(), []string{"status", "--watch"}) }()
	next <- true
	hangup <- struct{}{}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
