package page

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// The policy that the admin listener sends with the page.
const policy = "default-src 'self'"

// fake is an admin listener that speaks internal/adminapi and plays whatever a
// test wants of it.
type fake struct {
	t   *testing.T
	url string

	mu       sync.Mutex
	status   adminapi.Status
	events   []adminapi.Event // newest first
	samples  []adminapi.Sample
	requests []adminapi.Request
	outage   time.Time // when eu broke, zero: not at all
	shift    time.Duration
	muted    bool   // streams say nothing
	token    string // wanted, if not empty
	session  string // the cookie of who gave it; browsers share cookies among ports
	streams  map[chan string]bool
	changes  chan change
}

// change is a write that the page asked for.
type change struct {
	path string
	body string
}

func newFake(t *testing.T, status adminapi.Status) *fake {
	t.Helper()
	f := &fake{t: t, status: status, session: rand.Text(), streams: make(map[chan string]bool), changes: make(chan change, 16)}
	f.events = []adminapi.Event{{Seq: 1, Time: status.Started, Kind: "start", Level: "info", Text: "Fairlead v0.6.0 started."}}
	server := httptest.NewServer(f.handler())
	stop := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() { f.beat(stop) })
	t.Cleanup(func() {
		close(stop)
		beating.Wait()
		f.mu.Lock()
		for s := range f.streams {
			close(s)
		}
		f.streams = nil
		f.mu.Unlock()
		server.CloseClientConnections()
		server.Close()
	})
	f.url = server.URL
	return f
}

// beat sends what the listener sends each second.
func (f *fake) beat(stop chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			f.mu.Lock()
			if !f.muted {
				f.sampleLocked(f.nowLocked())
				f.tellStatusLocked()
			}
			f.mu.Unlock()
		}
	}
}

func (f *fake) nowLocked() time.Time { return time.Now().Add(f.shift).UTC() }

func (f *fake) sampleLocked(at time.Time) {
	s := sampleAt(f.status.Groups, at, f.outage)
	f.samples = append(f.samples, s)
	if len(f.samples) > 600 {
		f.samples = f.samples[1:]
	}
	f.sendLocked("sample", s)
}

func (f *fake) statusLocked() adminapi.Status {
	s := f.status
	s.Now = f.nowLocked()
	s.UptimeS = s.Now.Sub(s.Started).Seconds()
	return s
}

func (f *fake) tellStatusLocked() { f.sendLocked("status", f.statusLocked()) }

// sendLocked gives a message to each stream; one that does not read loses it.
func (f *fake) sendLocked(kind string, v any) {
	m := message(kind, v)
	for s := range f.streams {
		select {
		case s <- m:
		default:
		}
	}
}

func message(kind string, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return "event: " + kind + "\ndata: " + string(b) + "\n\n"
}

// happen adds an event, tells it, and tells the status after it.
func (f *fake) happenLocked(e adminapi.Event) {
	e.Seq = f.events[0].Seq + 1
	if e.Time.IsZero() {
		e.Time = f.nowLocked()
	}
	f.events = append([]adminapi.Event{e}, f.events...)
	if len(f.events) > 1000 {
		f.events = f.events[:1000]
	}
	f.sendLocked("event", e)
	f.tellStatusLocked()
}

// do changes the state under the lock.
func (f *fake) do(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) group(name string) *adminapi.Group {
	i := slices.IndexFunc(f.status.Groups, func(g adminapi.Group) bool { return g.Name == name })
	if i < 0 {
		return nil
	}
	return &f.status.Groups[i]
}

func (f *fake) origin(name string) *adminapi.Origin {
	i := slices.IndexFunc(f.status.Origins, func(o adminapi.Origin) bool { return o.Name == name })
	if i < 0 {
		return nil
	}
	return &f.status.Origins[i]
}

func (f *fake) moveLocked(g *adminapi.Group, target, reason string) {
	if g.Target == target {
		return
	}
	from := g.Target
	g.Target, g.Reason, g.Since = target, reason, f.nowLocked()
	g.Role = "secondary"
	if target == g.Primary {
		g.Role = "primary"
	}
	g.Generation++
	f.happenLocked(adminapi.Event{
		Kind: "flip", Level: "warn", Group: g.Name, From: from, To: target, Generation: g.Generation, Cause: reason,
		Text: fmt.Sprintf("%s moved from %s to %s.", g.Name, from, target),
	})
}

// breakEu lets eu fall and shop move to us.
func (f *fake) breakEu() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.nowLocked()
	f.outage = now
	eu := f.origin("eu")
	eu.Verdict, eu.Since = "down", &now
	eu.Probes = probesAt(now, 60, 3)
	f.happenLocked(adminapi.Event{
		Kind: "verdict", Level: "error", Origin: "eu", From: "healthy", To: "down", Cause: "connect_refused",
		Text: "eu is down: 3 probes in a row failed.", Evidence: eu.Probes[57:],
	})
	f.moveLocked(f.group("shop"), "us", "primary_down")
}

func (f *fake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(Files))
	mux.HandleFunc("GET /v1/live", f.live)
	mux.HandleFunc("GET /v1/history", f.read(func(*http.Request) any { return adminapi.History{StepS: 1, Samples: f.samples} }))
	mux.HandleFunc("GET /v1/status", f.read(func(*http.Request) any { return f.statusLocked() }))
	mux.HandleFunc("GET /v1/events", f.read(func(r *http.Request) any {
		limit, err := strconv.Atoi(r.FormValue("limit"))
		if err != nil || limit < 1 {
			limit = 100
		}
		return f.events[:min(limit, len(f.events))]
	}))
	mux.HandleFunc("GET /v1/requests", f.read(func(r *http.Request) any {
		found := []adminapi.Request{}
		for _, q := range f.requests {
			failed := q.Result == "failed" || q.Result == "shed"
			if q.Route == r.FormValue("route") && (failed || r.FormValue("failed") != "true") {
				found = append(found, q)
			}
		}
		return found
	}))
	mux.HandleFunc("POST /v1/session", f.signIn)
	mux.HandleFunc("POST /v1/groups/{name}/{verb}", f.changeGroup)
	mux.HandleFunc("DELETE /v1/groups/{name}/drill", f.stopDrill)
	mux.HandleFunc("POST /v1/origins/{name}/{verb}", f.changeOrigin)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if strings.HasPrefix(r.URL.Path, "/v1/") && r.URL.Path != "/v1/session" && !f.signedIn(r) {
			answer(w, http.StatusUnauthorized, adminapi.Error{Code: "unauthorized", Text: "This listener wants a token."})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (f *fake) signedIn(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := r.Cookie("session")
	return f.token == "" || err == nil && c.Value == f.session
}

func (f *fake) signIn(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Token string `json:"token"`
	}
	if !f.decode(w, r, &body) {
		return
	}
	if body.Token != f.token {
		answer(w, http.StatusUnauthorized, adminapi.Error{Code: "unauthorized", Text: "Wrong token."})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: f.session, HttpOnly: true, SameSite: http.SameSiteStrictMode, Path: "/"})
	w.WriteHeader(http.StatusNoContent)
}

func (f *fake) read(say func(*http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		answer(w, http.StatusOK, say(r))
	}
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func (f *fake) live(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	stream := make(chan string, 8192)
	f.mu.Lock()
	if f.streams == nil {
		f.mu.Unlock()
		return
	}
	stream <- message("status", f.statusLocked())
	f.streams[stream] = true
	f.mu.Unlock()
	defer f.do(func() { delete(f.streams, stream) })
	control := http.NewResponseController(w)
	for {
		select {
		case m, more := <-stream:
			if !more {
				return
			}
			if _, err := w.Write([]byte(m)); err != nil {
				return
			}
			if err := control.Flush(); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// decode reads a write's body strictly, as the listener does, and remembers it.
func (f *fake) decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if r.Header.Get("Content-Type") != "application/json" {
		answer(w, http.StatusUnsupportedMediaType, adminapi.Error{Code: "unsupported_media_type", Text: "Send JSON."})
		return false
	}
	var raw json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
		answer(w, http.StatusBadRequest, adminapi.Error{Code: "bad_request", Text: err.Error()})
		return false
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		answer(w, http.StatusBadRequest, adminapi.Error{Code: "bad_request", Text: err.Error()})
		return false
	}
	f.changes <- change{path: r.URL.Path, body: string(raw)}
	return true
}

func (f *fake) changeGroup(w http.ResponseWriter, r *http.Request) {
	var body adminapi.PinRequest
	if !f.decode(w, r, &body) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.group(r.PathValue("name"))
	switch {
	case g == nil:
		answer(w, http.StatusNotFound, adminapi.Error{Code: "not_found", Text: "There is no such group."})
		return
	case body.Generation != 0 && body.Generation != g.Generation:
		answer(w, http.StatusConflict, adminapi.Error{Code: "stale", Text: "The generation is another.", Generation: g.Generation})
		return
	case r.PathValue("verb") == "pin" && f.origin(body.Target).Verdict == "down" && !body.Force:
		answer(w, http.StatusConflict, adminapi.Error{Code: "no_healthy_origin", Text: body.Target + " is down."})
		return
	}
	switch r.PathValue("verb") {
	case "pin":
		g.Pin = &adminapi.Pin{Target: body.Target, Reason: body.Reason, By: "127.0.0.1"}
		if d, err := time.ParseDuration(body.For); err == nil {
			until := f.nowLocked().Add(d)
			g.Pin.Until = &until
		}
		f.happenLocked(adminapi.Event{Kind: "pin", Level: "info", Group: g.Name, To: body.Target, By: "127.0.0.1", Cause: body.Reason, Text: g.Name + " was pinned to " + body.Target + "."})
		f.moveLocked(g, body.Target, "pin")
	case "unpin":
		g.Pin = nil
		f.moveLocked(g, g.Primary, "recovered")
	case "failback":
		f.moveLocked(g, g.Primary, "operator")
	}
	f.tellStatusLocked()
	answer(w, http.StatusOK, g)
}

func (f *fake) stopDrill(w http.ResponseWriter, r *http.Request) {
	f.changes <- change{path: r.Method + " " + r.URL.Path, body: "{}"}
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.group(r.PathValue("name"))
	g.Drill.Running, g.Drill.Why = false, "operator"
	f.happenLocked(adminapi.Event{Kind: "drill_stopped", Level: "info", Group: g.Name, By: "127.0.0.1", Text: "the drill of " + g.Name + " is over."})
	f.tellStatusLocked()
	answer(w, http.StatusOK, g)
}

func (f *fake) changeOrigin(w http.ResponseWriter, r *http.Request) {
	var body adminapi.Change
	if !f.decode(w, r, &body) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.origin(r.PathValue("name"))
	o.Drained = r.PathValue("verb") == "drain"
	f.tellStatusLocked()
	answer(w, http.StatusOK, o)
}

// sampleAt is the traffic of a moment: gentle waves, and an outage's second of
// errors before the other origin takes over.
func sampleAt(groups []adminapi.Group, at, outage time.Time) adminapi.Sample {
	t := float64(at.UnixMilli()) / 1000
	s := adminapi.Sample{At: at}
	for i, g := range groups {
		base := 128.0 / float64(1+2*i)
		n := base * (1 + 0.10*math.Sin(t/47+float64(i)) + 0.05*math.Sin(t/5.3) + 0.03*math.Sin(t*1.7))
		slow := 1 + 0.2*math.Sin(t/31) + 0.08*math.Sin(t*1.3)
		v := adminapi.GroupSample{Group: g.Name, Requests: n, Primary: n, P50MS: 6.2 * slow, P99MS: 31 * slow}
		since := at.Sub(outage)
		switch {
		case i > 0 && g.Role == "secondary":
			v.Primary, v.Secondary = 0, n
		case i > 0 || outage.IsZero() || since < 0:
		case since < 2*time.Second:
			v.Secondary, v.Errors, v.P99MS = n*0.86, n*0.14, 210
		default:
			v.Primary, v.Secondary, v.P50MS, v.P99MS = 0, n, 19*slow, 64*slow
		}
		s.Groups = append(s.Groups, v)
	}
	return s
}

// probesAt are n probes up to now, two seconds apart, of which the last failed.
func probesAt(now time.Time, n, failed int) []adminapi.Probe {
	probes := make([]adminapi.Probe, n)
	for i := range probes {
		at := now.Add(time.Duration(i-n+1) * 2 * time.Second)
		x := float64(at.Unix() / 2)
		probes[i] = adminapi.Probe{At: at, OK: true, Status: 200, TookMS: 3.2 + 2.1*math.Abs(math.Sin(x))*math.Abs(math.Sin(x/3)) + 0.6*math.Sin(x*2.1)}
		if i >= n-failed {
			probes[i] = adminapi.Probe{At: at, TookMS: 0.4, Error: "connect_refused"}
			if i%9 == 4 {
				probes[i].TookMS, probes[i].Error = 1000, "connect_timeout"
			}
		}
	}
	return probes
}
