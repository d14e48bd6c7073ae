package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/testrun"
)

// noon is the moment at which the tests' statuses were taken.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// outageStatus is a status with trouble in each table.
func outageStatus() adminapi.Status {
	probes := func(ok bool, status int, err string) []adminapi.Probe {
		return []adminapi.Probe{
			{At: noon.Add(-3 * time.Second), TookMS: 1.2, OK: true, Status: 200},
			{At: noon.Add(-time.Second), TookMS: 2.4, OK: ok, Status: status, Error: err},
			{At: noon, TookMS: 1000, Dropped: true, Error: "dropped"},
		}
	}
	return adminapi.Status{
		Now: noon, Version: "v1.2.3", PID: 4711, Started: noon.Add(-74 * time.Hour), UptimeS: 74 * 3600, State: "serving",
		Config: adminapi.ConfigInfo{
			File: "/etc/fairlead/fairlead.toml", Fingerprint: "4f2a9c1b2d3e4f5a6b7c", Loaded: noon.Add(-2 * time.Hour),
			Failed: []string{"fairlead.toml:3:1: unknown key", "fairlead.toml:9:1: unknown key"},
		},
		Connections: adminapi.Connections{Open: 812, Limit: 32000},
		Groups: []adminapi.Group{
			{Name: "blog", Primary: "static", Target: "static", Role: "primary", Generation: 1, Since: noon.Add(-74 * time.Hour), Reason: "start", Failback: "auto"},
			{
				Name: "shop", Primary: "eu", Secondary: "us", Target: "us", Role: "secondary", Generation: 7, Since: noon.Add(-4 * time.Minute),
				Reason: "primary_down", Failback: "auto", FailbackAt: new(noon.Add(10 * time.Minute)),
			},
			{
				Name: "checkout-with-a-rather-long-name", Primary: "eu", Secondary: "us", Target: "us", Role: "secondary", Generation: 3,
				Since: noon.Add(-90 * time.Second), Reason: "pin", Failback: "manual",
				Pin: &adminapi.Pin{Target: "us", Until: new(noon.Add(125 * time.Minute)), By: "token", Reason: "eu gets a new disk"},
			},
		},
		Origins: []adminapi.Origin{
			{Name: "us", URL: "http://10.0.0.2", Verdict: "healthy", Since: new(noon.Add(-50 * time.Hour)), Addresses: []string{"10.0.0.2:80"}, Connections: 31, Limit: 100, Probes: probes(true, 204, "")},
			{Name: "static", URL: "http://10.0.0.3", Verdict: "unchecked", Addresses: []string{}, Probes: []adminapi.Probe{}},
			{Name: "eu", URL: "http://eu.example", Verdict: "down", Since: new(noon.Add(-4 * time.Minute)), Addresses: []string{"[2001:db8::1]:80", "10.0.0.1:80"}, Probes: probes(false, 0, "connect_refused")},
		},
		Routes: []adminapi.Route{
			{Name: "page", Match: "/", Group: "blog", Bulkhead: adminapi.Bulkhead{MaxConcurrent: 50, InUse: 3}, Breakers: []adminapi.Breaker{{Origin: "eu", State: "off"}}, Totals: adminapi.Totals{Served: 12}},
			{Name: "product", Match: "/product/{id}", Group: "shop", Bulkhead: adminapi.Bulkhead{MaxConcurrent: 10, InUse: 2}, Breakers: []adminapi.Breaker{{Origin: "eu", State: "open"}, {Origin: "us", State: "closed"}}, Totals: adminapi.Totals{Shed: 7, Failed: 1, Saved: 1234567}},
			{Name: "order", Match: "POST /order", Group: "checkout-with-a-rather-long-name", Bulkhead: adminapi.Bulkhead{MaxConcurrent: 4, InUse: 4, MaxQueue: 9, Queued: 5, Parked: 2}, Breakers: []adminapi.Breaker{{Origin: "us", State: "closed"}}},
		},
	}
}

// fakeAPI is an admin API that says what a test wants. Its status can be changed
// while it serves.
type fakeAPI struct {
	*http.ServeMux

	mu    sync.Mutex
	state adminapi.Status
	asked []asked
}

// asked is a request that a fakeAPI has got.
type asked struct {
	line, token, agent, kind string
	body                     string
}

func newFakeAPI() *fakeAPI {
	f := &fakeAPI{ServeMux: http.NewServeMux(), state: outageStatus()}
	f.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		answer(w, http.StatusOK, f.state)
	})
	return f
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, max(r.ContentLength, 0))
	_, _ = io.ReadFull(r.Body, body)
	f.mu.Lock()
	f.asked = append(f.asked, asked{r.Method + " " + r.RequestURI, r.Header.Get("Authorization"), r.UserAgent(), r.Header.Get("Content-Type"), string(body)})
	f.mu.Unlock()
	f.ServeMux.ServeHTTP(w, r)
}

// last is the last request but those for the status.
func (f *fakeAPI) last() asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range slices.Backward(f.asked) {
		if a.line != "GET /v1/status" {
			return a
		}
	}
	return asked{}
}

// set changes the status.
func (f *fakeAPI) set(change func(*adminapi.Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.state)
}

func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}

// refuse is a handler that refuses.
func refuse(status int, e adminapi.Error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, status, e) }
}

// serveAPI serves an API on loopback and makes it the one that commands ask.
func serveAPI(t *testing.T, handler http.Handler) (address string) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	address = s.Listener.Addr().String()
	nowhere(t)
	t.Setenv("FAIRLEAD_ADMIN", address)
	return address
}

// nowhere takes the test from everything that says where an API is or how wide a
// terminal.
func nowhere(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range []string{"FAIRLEAD_ADMIN", "FAIRLEAD_TOKEN_FILE", "COLUMNS", "LINES", "http_proxy", "HTTP_PROXY"} {
		t.Setenv(name, "")
	}
}

// serveSocket serves an API on a unix socket and returns its path.
func serveSocket(t *testing.T, handler http.Handler) string {
	t.Helper()
	path := filepath.Join(testrun.ShortDir(t), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skipf("no unix sockets here: %v", err)
	}
	s := httptest.NewUnstartedServer(handler)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return path
}

// send writes a message of a stream.
func send(w http.ResponseWriter, id uint64, event string, document any) {
	data, _ := json.Marshal(document)
	if id != 0 {
		fmt.Fprintf(w, "id: %d\n", id)
	}
	fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data)
	w.(http.Flusher).Flush()
}

// backgrounded is a command that runs until it is told to stop.
type backgrounded struct {
	stop  func()
	ended <-chan error
}

// inBackground runs a command and gives what it prints, on stdout and stderr.
func inBackground(t *testing.T, args ...string) (*backgrounded, *printed) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	p := program{stdout: writer, stderr: writer}
	go func() {
		err := p.run(ctx, args)
		writer.Close()
		ended <- err
	}()
	out := &printed{lines: make(chan string, 10_000)}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		defer close(out.lines)
		scanner := bufio.NewScanner(reader)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			out.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-drained
	})
	return &backgrounded{cancel, ended}, out
}

// printed is what a command prints, line by line.
type printed struct{ lines chan string }

func (p *printed) line(t *testing.T) string {
	t.Helper()
	select {
	case l, ok := <-p.lines:
		if !ok {
			t.Fatal("the command has ended")
		}
		return l
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was printed in 30 s")
	}
	return ""
}

// await reads lines until one holds text.
func (p *printed) await(t *testing.T, text string) string {
	t.Helper()
	for {
		if l := p.line(t); strings.Contains(l, text) {
			return l
		}
	}
}
