package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

const token = "0123456789abcdef0123456789abcdef"

// long is the patience of tests for what has to happen.
const long = 30 * time.Second

// fake is a backend with one group, shop, of the origins eu and us.
type fake struct {
	mu         sync.Mutex
	generation uint64
	target     string
	calls      []string
	by         string
	samples    []adminapi.Sample
	notServing error
	refused    error
	onReload   func(context.Context)
	panics     bool
}

func (f *fake) called(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

func (f *fake) Status() adminapi.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.panics {
		panic("on purpose")
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return adminapi.Status{
		Now: now, Version: "test", PID: 1, Started: now, State: "serving",
		Config:  adminapi.ConfigInfo{File: "f.toml", Fingerprint: "abc", Loaded: now, Failed: []string{"x"}},
		Groups:  []adminapi.Group{f.group()},
		Origins: []adminapi.Origin{f.origin()},
		Routes:  []adminapi.Route{{Name: "all", Match: "/", Group: "shop", Breakers: []adminapi.Breaker{{Origin: "eu", State: "closed"}}}},
	}
}

func (f *fake) group() adminapi.Group {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return adminapi.Group{
		Name: "shop", Primary: "eu", Secondary: "us", Target: f.target, Role: "primary", Generation: f.generation, Since: at, Reason: "start",
		FailbackAt: &at, Failback: "auto", Follow: "x", Pin: &adminapi.Pin{Target: "us", Until: &at, Reason: "r", By: "b"},
		Drill: &adminapi.Drill{Since: at, Until: at, Ended: &at, Why: "time", Share: 0.05, StopAt: 0.01, Reason: "r", By: "b"},
	}
}

func (f *fake) origin() adminapi.Origin {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return adminapi.Origin{
		Name: "eu", URL: "http://eu", Verdict: "healthy", Since: &at, Addresses: []string{"10.0.0.1:80"},
		Probes: []adminapi.Probe{{At: at, TookMS: 1, OK: true, Status: 200, Error: "e", Dropped: true}},
	}
}

func (f *fake) History() adminapi.History {
	f.mu.Lock()
	defer f.mu.Unlock()
	return adminapi.History{StepS: 2, Samples: append([]adminapi.Sample{}, f.samples...)}
}

func (f *fake) sample(second int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.samples = append(f.samples, adminapi.Sample{At: time.Unix(int64(second), 0).UTC(), Groups: []adminapi.GroupSample{{Group: "shop", Requests: float64(second)}}})
}

func (f *fake) Explain(method, host, target string) (adminapi.Explanation, error) {
	if target == "/wrong" {
		return adminapi.Explanation{}, errors.New("that is no question")
	}
	return adminapi.Explanation{
		Method: method, Host: host, Target: target, Route: "all", Group: "shop", Outcome: "it goes to eu", First: "eu", Then: "us", WhyNot: "w", Status: 1,
		Steps: []adminapi.Step{{Rule: "route", Result: "pass", Text: "t", Key: "k"}},
	}, nil
}

func (f *fake) Requests(route string, failed bool, limit int) ([]adminapi.Request, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.called("requests %q %v %d", route, failed, limit)
	switch route {
	case "", "all":
		return []adminapi.Request{{ID: "1", Drill: true, Attempts: []adminapi.Attempt{{Origin: "eu", Class: "reset", Why: "w", Simulated: true}}}}, nil
	case "quiet":
		return nil, nil
	}
	return nil, fmt.Errorf("there is no route %q, but all", route)
}

func (f *fake) Config() any { return map[string]any{"server": map[string]any{"listen": []string{"x"}}} }

// move plays a change of the group.
func (f *fake) move(group string, c adminapi.Change, by, target string) (adminapi.Group, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.by = by
	f.called("%s %s %d %v", group, target, c.Generation, c.Force)
	if f.refused != nil {
		return adminapi.Group{}, f.refused
	}
	if group != "shop" {
		return adminapi.Group{}, &Refused{Code: "not_found", Text: "there is no group of that name, but shop"}
	}
	if c.Generation != 0 && c.Generation != f.generation {
		return adminapi.Group{}, &Refused{Code: "stale", Text: "the pointer has moved", Generation: f.generation}
	}
	f.generation++
	f.target = target
	return f.group(), nil
}

func (f *fake) Pin(group string, r adminapi.PinRequest, by string) (adminapi.Group, error) {
	return f.move(group, r.Change, by, r.Target)
}

func (f *fake) Unpin(group string, c adminapi.Change, by string) (adminapi.Group, error) {
	return f.move(group, c, by, "eu")
}

func (f *fake) Failback(group string, c adminapi.Change, by string) (adminapi.Group, error) {
	return f.move(group, c, by, "eu")
}

func (f *fake) StartDrill(group string, r adminapi.DrillRequest, by string) (adminapi.Group, error) {
	g, err := f.move(group, r.Change, by, "eu")
	f.set(func(f *fake) { f.called("start drill %s %v %v %s %q", group, r.Share, r.StopAt, r.For, r.Reason) })
	return g, err
}

func (f *fake) StopDrill(group, by string) (adminapi.Group, error) {
	g, err := f.move(group, adminapi.Change{}, by, "eu")
	f.set(func(f *fake) { f.called("stop drill %s", group) })
	return g, err
}

func (f *fake) Drain(origin string, c adminapi.Change, by string) (adminapi.Origin, error) {
	return f.change("drain", origin, c, by)
}

func (f *fake) Ready(origin string, c adminapi.Change, by string) (adminapi.Origin, error) {
	return f.change("ready", origin, c, by)
}

func (f *fake) change(verb, origin string, c adminapi.Change, by string) (adminapi.Origin, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.by = by
	f.called("%s %s %v", verb, origin, c.Force)
	return f.origin(), f.refused
}

func (f *fake) Reload(ctx context.Context, by string) (adminapi.ReloadResult, error) {
	f.mu.Lock()
	do, err := f.onReload, f.refused
	f.by = by
	f.called("reload")
	f.mu.Unlock()
	if do != nil {
		do(ctx)
	}
	return adminapi.ReloadResult{}, err
}

func (f *fake) Serving() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.notServing
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fake) last() (call, by string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.calls) == 0 {
		return "", ""
	}
	return f.calls[len(f.calls)-1], f.by
}

// rig is a server that runs, with a client of its own.
type rig struct {
	t       *testing.T
	server  *Server
	backend *fake
	journal *Journal
	client  *http.Client
	address string // host:port, or "unix"
	cancel  func()
	done    chan struct{} // closed when Run has returned
	changes chan Change
	errs    chan error
}

var page = fstest.MapFS{
	"index.html": {Data: []byte("<!doctype html><title>Fairlead</title><script type=module src=page.js></script>")},
	"page.css":   {Data: []byte("body{}")},
	"page.js":    {Data: []byte("export {}")},
}

// newRig makes the server, on loopback without a token unless change says so.
func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{
		t: t, backend: &fake{generation: 7, target: "eu"}, journal: NewJournal(time.Unix(1000, 0)),
		done: make(chan struct{}), changes: make(chan Change, 10000), errs: make(chan error, 1000),
	}
	cfg := Config{
		Listen: "127.0.0.1:0", Backend: r.backend, Events: r.journal, Page: page,
		Metrics:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }),
		OnChange: func(c Change) { r.changes <- c },
		OnError:  func(err error) { r.errs <- err },
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if r.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	addr, err := r.server.Listen()
	if err != nil {
		t.Fatal(err)
	}
	r.server.brake.delay = 10 * time.Millisecond
	r.address = addr.String()
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	if path, unix := strings.CutPrefix(cfg.Listen, "unix:"); unix {
		r.address = "unix"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	}
	r.client = &http.Client{Transport: transport, Timeout: long}
	return r
}

func (r *rig) run() *rig {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		if err := r.server.Run(ctx); err != nil {
			r.t.Error(err)
		}
	}()
	r.t.Cleanup(r.stop)
	return r
}

func (r *rig) stop() {
	r.cancel()
	r.await(r.done, "Run to return")
	r.client.CloseIdleConnections()
}

func (r *rig) await(c <-chan struct{}, what string) {
	r.t.Helper()
	select {
	case <-c:
	case <-time.After(long):
		r.t.Fatalf("waited %v for %s", long, what)
	}
}

// start runs a server.
func start(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	return newRig(t, change).run()
}

func guarded(c *Config) { c.Token = token }

// got is an answer.
type got struct {
	status int
	header http.Header
	body   string
}

// errorOf is the document of a refusal.
func (g got) errorOf(t *testing.T) adminapi.Error {
	t.Helper()
	var e adminapi.Error
	if err := json.Unmarshal([]byte(g.body), &e); err != nil || e.Code == "" || e.Text == "" {
		t.Fatalf("%d %q is no Error: %v", g.status, g.body, err)
	}
	return e
}

// ask makes a request. Each of fields is "Name: value"; "Host" sets that.
func (r *rig) ask(method, path, body string, fields ...string) got {
	r.t.Helper()
	g, err := r.try(method, path, body, fields...)
	if err != nil {
		r.t.Fatal(err)
	}
	return g
}

func (r *rig) try(method, path, body string, fields ...string) (got, error) {
	resp, err := r.open(method, path, body, fields...)
	if err != nil {
		return got{}, err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, string(all)}, err
}

func (r *rig) open(method, path, body string, fields ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+r.address+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
		} else {
			req.Header.Set(name, value)
		}
	}
	return r.client.Do(req)
}

// change is the next thing that OnChange was told.
func (r *rig) change() Change {
	r.t.Helper()
	select {
	case c := <-r.changes:
		return c
	case <-time.After(long):
		r.t.Fatal("OnChange was not told")
		return Change{}
	}
}

// eventually waits for ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(long); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", long, what)
		}
	}
}
