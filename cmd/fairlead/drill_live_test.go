package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// drilling is an API with a group, well, of eu and us, whose drill does what a test
// wants: look is called before each status while one runs.
type drilling struct {
	*fakeAPI
	mu   sync.Mutex
	look func(looks int, d *adminapi.Drill) // guarded by mu
	n    int                                // guarded by mu
}

func newDrilling(t *testing.T, look func(looks int, d *adminapi.Drill)) *drilling {
	t.Helper()
	api := &drilling{fakeAPI: newFakeAPI(), look: look}
	api.set(func(s *adminapi.Status) {
		s.Groups = []adminapi.Group{{Name: "well", Primary: "eu", Secondary: "us", Target: "eu", Role: "primary", Generation: 3}}
	})
	api.HandleFunc("POST /v1/groups/well/drill", func(w http.ResponseWriter, _ *http.Request) {
		api.set(func(s *adminapi.Status) {
			s.Groups[0].Drill = &adminapi.Drill{Running: true, Since: noon, Until: noon.Add(time.Minute), Share: 0.05, StopAt: 0.01}
			answer(w, 200, s.Groups[0])
		})
	})
	api.HandleFunc("DELETE /v1/groups/well/drill", func(w http.ResponseWriter, _ *http.Request) {
		api.set(func(s *adminapi.Status) {
			s.Groups[0].Drill.Running, s.Groups[0].Drill.Why = false, "operator"
			answer(w, 200, s.Groups[0])
		})
	})
	serveAPI(t, api)
	return api
}

func (a *drilling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		a.mu.Lock()
		a.set(func(s *adminapi.Status) {
			if len(s.Groups) > 0 && s.Groups[0].Drill != nil && s.Groups[0].Drill.Running {
				d := *s.Groups[0].Drill
				a.n++
				a.look(a.n, &d)
				s.Groups[0].Drill = &d
			}
		})
		a.mu.Unlock()
	}
	a.fakeAPI.ServeHTTP(w, r)
}

// liveCommand runs a live drill of the group and gives what it printed.
func liveCommand(ctx context.Context, l *liveDrill) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	p := program{stdout: &out, stderr: &errs}
	l.every = time.Millisecond
	if l.group == "" {
		l.group = "well"
	}
	code = exitCode(p.drillLive(ctx, l), &errs)
	return code, out.String(), errs.String()
}

// ended ends a drill that has picked a thousand requests.
func ended(why string, errors uint64) func(int, *adminapi.Drill) {
	return func(looks int, d *adminapi.Drill) {
		if looks < 25 {
			return
		}
		d.Running, d.Why = false, why
		d.Picked = adminapi.DrillCounts{Requests: 1000, Errors: errors, Left: 2, P50MS: 12, P99MS: 80}
		d.Others = adminapi.DrillCounts{Requests: 19000, Errors: 19, P50MS: 10, P99MS: 70}
		d.Secondary, d.Rescued = 1000-errors, errors
	}
}

func TestALiveDrillIsAskedForFollowedAndJudged(t *testing.T) {
	api := newDrilling(t, ended("time", 0))
	code, stdout, stderr := liveCommand(t.Context(), &liveDrill{share: 0.1, stopAt: 0.02, lasting: time.Minute, reason: "game day", force: true})
	if code != exitDone {
		t.Errorf("exit code %d", code)
	}
	var body adminapi.DrillRequest
	asked := api.last()
	if err := json.Unmarshal([]byte(asked.body), &body); err != nil {
		t.Fatal(err)
	}
	want := adminapi.DrillRequest{Share: 0.1, StopAt: 0.02, For: "1m0s", Reason: "game day", Change: adminapi.Change{Generation: 3, Force: true}}
	if body != want || asked.line != "POST /v1/groups/well/drill" {
		t.Errorf("it asked with %s for %+v, want %+v", asked.line, body, want)
	}
	wantOut := `REQUESTS  ASKED FIRST  NUMBER  ERRORS  SHARE  LEFT    P50    P99
picked    us             1000       0    0 %     2  12 ms  80 ms
others    eu            19000      19  0.1 %     0  10 ms  70 ms
Of the picked, 1000 were answered by us, 0 by eu after that had failed, and 0 clients got an error or gave up.
us stands in for eu: it answered all of 1000 requests well.
`
	if stdout != wantOut {
		t.Errorf("stdout\n%swant\n%s", stdout, wantOut)
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if !strings.HasPrefix(lines[0], "fairlead: well: 5 % of the requests that may fail over go to us, as if eu had failed, until ") || len(lines) != 3 ||
		!strings.Contains(lines[1], " left; picked 0: ") {
		t.Errorf("stderr\n%s", stderr)
	}
}

func TestALiveDrillThatErrorsStoppedFails(t *testing.T) {
	newDrilling(t, ended("errors", 30))
	code, stdout, stderr := liveCommand(t.Context(), &liveDrill{})
	if code != exitWrong || !strings.Contains(stderr, "the drill of well did not run its course: errors rose among the picked requests") ||
		!strings.Contains(stdout, "us does not stand in for eu: errors rose to 3 % of what it was asked, against 0.1 % at eu") {
		t.Errorf("exit code %d, stdout\n%s\nstderr\n%s", code, stdout, stderr)
	}
}

func TestALiveDrillGivesItsDocument(t *testing.T) {
	newDrilling(t, ended("time", 0))
	_, stdout, _ := liveCommand(t.Context(), &liveDrill{asJSON: true})
	var d adminapi.Drill
	if err := json.Unmarshal([]byte(stdout), &d); err != nil || d.Why != "time" || d.Picked.Requests != 1000 || !d.Since.Equal(noon) {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestCtrlCStopsALiveDrill(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	api := newDrilling(t, func(looks int, d *adminapi.Drill) {
		if d.Secondary = uint64(looks); looks == 3 {
			cancel()
		}
	})
	code, stdout, stderr := liveCommand(ctx, &liveDrill{})
	if code != exitDone || api.last().line != "DELETE /v1/groups/well/drill" || !strings.Contains(stdout, "REQUESTS") {
		t.Errorf("exit code %d, last asked %q, stdout\n%s\nstderr\n%s", code, api.last().line, stdout, stderr)
	}
}

// The answer to the start never came: whether it runs nobody knows, so it is stopped.
func TestADrillWhoseStartWasNotAnsweredIsTakenBack(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	api := newFakeAPI()
	stopped := make(chan struct{}, 1)
	api.HandleFunc("POST /v1/groups/shop/drill", func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	api.HandleFunc("DELETE /v1/groups/shop/drill", func(w http.ResponseWriter, _ *http.Request) {
		stopped <- struct{}{}
		answer(w, 200, adminapi.Group{Name: "shop"})
	})
	serveAPI(t, api)
	code, _, stderr := liveCommand(ctx, &liveDrill{group: "shop"})
	if code != exitWrong || len(stopped) != 1 {
		t.Errorf("exit code %d, stopped %d times, stderr\n%s", code, len(stopped), stderr)
	}
}

func TestALiveDrillOutlivesALostConnection(t *testing.T) {
	api := newDrilling(t, ended("time", 0))
	broken := 0
	flaky := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.mu.Lock()
		n := api.n
		api.mu.Unlock()
		if r.Method == http.MethodGet && n == 5 && broken < 3 {
			broken++
			panic(http.ErrAbortHandler)
		}
		api.ServeHTTP(w, r)
	})
	serveAPI(t, flaky)
	code, stdout, stderr := liveCommand(t.Context(), &liveDrill{})
	if code != exitDone || strings.Count(stderr, "trying again. Whatever comes of that, fairlead ends the drill by itself at") != 1 || !strings.Contains(stdout, "stands in for") {
		t.Errorf("exit code %d, stdout\n%s\nstderr\n%s", code, stdout, stderr)
	}
}

func TestALiveDrillIsGivenUpOnceItMustBeOver(t *testing.T) {
	api := newDrilling(t, func(int, *adminapi.Drill) {})
	serveAPI(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.mu.Lock()
		n := api.n
		api.mu.Unlock()
		if n > 2 {
			panic(http.ErrAbortHandler)
		}
		api.ServeHTTP(w, r)
	}))
	code, _, stderr := liveCommand(t.Context(), &liveDrill{lasting: time.Second, patience: time.Millisecond})
	if code != exitWrong || !strings.Contains(stderr, "out of reach since before the drill's end, at which fairlead ends it by itself") {
		t.Errorf("exit code %d, stderr\n%s", code, stderr)
	}
}

func TestALiveDrillThatIsNotKnownAnyMoreFails(t *testing.T) {
	gone := map[string]func(s *adminapi.Status){
		"another process": func(s *adminapi.Status) { s.Groups[0].Drill = nil },
		"another drill": func(s *adminapi.Status) {
			s.Groups[0].Drill = &adminapi.Drill{Running: true, Since: noon.Add(time.Hour)}
		},
		"no such group": func(s *adminapi.Status) { s.Groups = nil },
	}
	for name, change := range gone {
		t.Run(name, func(t *testing.T) {
			api := newDrilling(t, func(int, *adminapi.Drill) {})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			go func() {
				for ctx.Err() == nil {
					api.mu.Lock()
					n := api.n
					api.mu.Unlock()
					if n > 2 {
						api.set(change)
						return
					}
				}
			}()
			code, _, stderr := liveCommand(ctx, &liveDrill{})
			if code != exitWrong || !strings.Contains(stderr, "the drill of well is not known there any more") {
				t.Errorf("exit code %d, stderr\n%s", code, stderr)
			}
		})
	}
}

func TestRefusedLiveDrillsSayWhatToDo(t *testing.T) {
	for code, want := range map[string]string{
		"drill_runs": "says until when", "not_on_primary": "is elsewhere", "stale": "the pointer has moved in between", "not_found": "as new as this command",
	} {
		api := newFakeAPI()
		api.HandleFunc("POST /v1/groups/shop/drill", refuse(409, adminapi.Error{Code: code, Text: "is elsewhere"}))
		serveAPI(t, api)
		if exit, stdout, stderr := liveCommand(t.Context(), &liveDrill{group: "shop"}); exit != exitWrong || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", code, exit, stdout, stderr)
		}
	}
	if exit, _, stderr := liveCommand(t.Context(), &liveDrill{group: "none"}); exit != exitWrong || !strings.Contains(stderr, `there is no group "none": there are blog, shop`) {
		t.Errorf("exit code %d, stderr %q", exit, stderr)
	}
	for _, lasting := range []time.Duration{time.Millisecond, 2 * time.Hour, -1} {
		if exit, _, stderr := liveCommand(t.Context(), &liveDrill{lasting: lasting}); exit != exitUsage || !strings.Contains(stderr, "write a time from 1s to 1h") {
			t.Errorf("%v: exit code %d, stderr %q", lasting, exit, stderr)
		}
	}
}

func TestSharesAreWrittenInPercent(t *testing.T) {
	for give, want := range map[string]float64{"5%": 0.05, "0.5 %": 0.005, "100%": 1, "5": 0, "0%": 0, "101%": 0, "-1%": 0, "NaN%": 0, "%": 0, "much": 0} {
		var l liveDrill
		flags := flag.NewFlagSet("drill", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		l.register(flags)
		err := flags.Parse([]string{"--share", give, "--live", "shop"})
		if l.share != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %v, %v; want %v", give, l.share, err, want)
		}
		if err == nil && strings.Join(l.given(flags), " ") != "--share" {
			t.Errorf("given: %v", l.given(flags))
		}
	}
}

func TestTheVerdictOfALiveDrill(t *testing.T) {
	g := &adminapi.Group{Name: "shop", Primary: "eu", Secondary: "us"}
	counts := func(n, errors uint64, p99 float64) adminapi.DrillCounts {
		return adminapi.DrillCounts{Requests: n, Errors: errors, P99MS: p99}
	}
	for want, give := range map[string]adminapi.Drill{
		"us stands in for eu: it answered all of 500 requests well.":                                             {Why: "time", Picked: counts(500, 0, 90), Others: counts(900, 3, 80)},
		"us stands in for eu: it answered all of 500 requests well, but slower: a p99 of 300 ms against 80 ms.":  {Why: "operator", Picked: counts(500, 0, 300), Others: counts(900, 0, 80)},
		"us stands in for eu within --stop-at: 0.4 % of what it was asked failed, against 0.333 % at eu.":        {Why: "time", Picked: counts(500, 2, 90), Others: counts(900, 3, 80)},
		"us stands in for eu: it answered all of 7 requests well. 7 requests are few: a longer drill says more.": {Why: "time", Picked: counts(7, 0, 1)},
		"eu itself fails 100 % of what it is asked, so nothing is proved of us, which failed 100 %: mend eu, then drill again. \"fairlead requests --failed\" has the last ones.": {
			Why: "time", Picked: counts(50, 50, 1), Others: counts(900, 900, 1)},
		"us stands in for eu: it answered all of 600 requests well.":                                           {Why: "time", Picked: counts(600, 0, 1), Others: counts(900, 900, 1)},
		"us stands in for eu within --stop-at: 0.4 % of what it was asked failed, while eu was asked nothing.": {Why: "time", Picked: counts(500, 2, 90)},
		"us does not stand in for eu: errors rose to 20 % of what it was asked, while eu was asked nothing, and the drill stopped itself. \"fairlead requests --failed\" has the last ones.": {
			Why: "errors", Picked: counts(20, 4, 90)},
		"The clients of all 3 requests that were picked left before they were answered, so nothing is proved: drill for longer or with a larger --share.": {
			Why: "time", Picked: adminapi.DrillCounts{Left: 3}, Others: counts(900, 0, 1)},
		"No request was picked, so nothing is proved: drill at a busier time, for longer or with a larger --share.": {Why: "time", Others: counts(3, 0, 1)},
		"No request could be picked, so nothing is proved: no request of route quick is ever picked, since its timeout is under 400ms, too little for both origins. Write a longer timeout, or drill while other routes are asked, too.": {
			Why: "time", NeverPicked: []string{"quick"}},
		"No request could be picked, so nothing is proved: no request of the routes a, b is ever picked, since their timeout is under 400ms, too little for both origins. Write a longer timeout, or drill while other routes are asked, too.": {
			Why: "operator", NeverPicked: []string{"a", "b"}},
		"us stands in for eu: it answered all of 500 requests well. It proves nothing of some routes: no request of route quick is ever picked, since its timeout is under 400ms, too little for both origins.": {
			Why: "time", Picked: counts(500, 0, 90), NeverPicked: []string{"quick"}},
		"The drill ended early, since the secondary is down: it proves nothing either way.": {Why: "secondary_down", Picked: counts(500, 0, 1)},
		"The drill ended early, since something_new: it proves nothing either way.":         {Why: "something_new"},
	} {
		if got, _ := liveVerdict(g, &give); got != want {
			t.Errorf("%+v\n got %s\nwant %s", give, got, want)
		}
	}
}

func TestAStatusShowsADrillThatRuns(t *testing.T) {
	v := view{zone: time.UTC}
	g := &adminapi.Group{Drill: &adminapi.Drill{Running: true, Share: 0.05, Until: noon.Add(time.Minute), By: "token", Reason: "game day"}}
	if got := v.next(g, noon); got != "drill 5 % until 12:01 by token: game day" {
		t.Errorf("got %q", got)
	}
	g.Drill.Running = false
	if got := v.next(g, noon); got != "-" {
		t.Errorf("of one that is over: %q", got)
	}
	g.Drill.Running = true
	s := adminapi.Status{Groups: []adminapi.Group{*g}}
	if trouble := v.groups(&s).trouble; trouble != 1 {
		t.Errorf("%d groups are to be looked at, want 1", trouble)
	}
}

func TestAnAttemptThatADrillLeftOutIsToldAsSuch(t *testing.T) {
	got := attemptText(&adminapi.Attempt{Origin: "eu", Role: "primary", Class: "connect_refused", Why: "a drill: the origin was not asked", Simulated: true})
	if want := "eu, the primary: connect_refused, a drill: the origin was not asked"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheDrillCommandKnowsALiveDrill(t *testing.T) {
	newDrilling(t, ended("time", 0))
	if code, _, stderr := command(t, "drill", "--live", "none", "--share", "5%"); code != exitWrong || !strings.Contains(stderr, `there is no group "none"`) {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if code, _, stderr := command(t, "drill", "--live", "well", "--share", "5"); code != exitUsage || !strings.Contains(stderr, "such as 5%") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestOnATerminalALiveDrillIsOneLineDrawnAnew(t *testing.T) {
	var out strings.Builder
	f := &liveFollower{out: &out, alive: true}
	f.draw("one")
	f.draw("two")
	f.note("lost")
	f.clear() // of nothing
	if want := "\rone\x1b[K\rtwo\x1b[K\r\x1b[Kfairlead: lost\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
