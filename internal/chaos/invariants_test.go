package chaos

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// evidence is a small load in which everything is right: a GET served after a failover, a POST, an error, an abort, a
// request that found no proxy, and a probe.
func evidence() ([]Result, map[string][]Arrival) {
	results := []Result{
		{Request: Request{ID: "get", Method: "GET", Path: "/get"}, Covered: true, Kind: Served, Status: 200, Origin: "us"},
		{Request: Request{ID: "post", Method: "POST", Path: "/post", BodySize: 10}, Kind: Served, Status: 200, Origin: "us"},
		{Request: Request{ID: "shed", Method: "POST", Path: "/shed", BodySize: 10}, Kind: Refused, Status: 503},
		{Request: Request{ID: "cut", Method: "GET", Path: "/cut"}, Covered: true, Kind: Aborted, Status: 200, Origin: "eu"},
		{Request: Request{ID: "left", Method: "POST", Path: "/left"}, Kind: Left},
		{Request: Request{ID: "none", Method: "GET", Path: "/none"}, Covered: true, Kind: Unsent},
	}
	return results, map[string][]Arrival{
		"eu": {seen("get", "GET", 0), seen("get", "GET", 0), {ID: "cut"}, seen("cut", "GET", 0), seen("", "GET", 0)},
		"us": {seen("get", "GET", 0), seen("post", "POST", 10), seen("left", "POST", 0)},
	}
}

func seen(id, method string, size int64) Arrival {
	return Arrival{ID: id, Method: method, Target: "/" + id, HeadWhole: true, BodyWhole: true, BodyLen: size,
		BodyHash: sha256.Sum256(Body(sender, id, size))}
}

var invariants = []error{ErrTwice, ErrTooOften, ErrWrong, ErrHung, ErrUnseen, ErrAltered, ErrUnknown, ErrIncomplete}

func TestSoundEvidencePasses(t *testing.T) {
	results, arrivals := evidence()
	if err := check(results, arrivals, 0); err != nil {
		t.Error(err)
	}
}

func TestEachViolationIsFoundAndNoOther(t *testing.T) {
	type at = map[string][]Arrival
	tests := []struct {
		name  string
		spoil func(results []Result, arrivals at)
		lost  int
		want  error
	}{
		{"a POST at both origins", func(_ []Result, a at) { a["eu"] = append(a["eu"], seen("post", "POST", 10)) }, 0, ErrTwice},
		{"a POST twice at one origin", func(_ []Result, a at) { a["us"] = append(a["us"], seen("post", "POST", 10)) }, 0, ErrTwice},
		{"an abandoned POST twice", func(_ []Result, a at) { a["eu"] = append(a["eu"], seen("left", "POST", 0)) }, 0, ErrTwice},
		{"half of a POST besides", func(_ []Result, a at) { a["eu"] = append(a["eu"], Arrival{ID: "post"}) }, 0, ErrTwice},
		{"a refused POST twice", func(_ []Result, a at) {
			a["eu"] = append(a["eu"], seen("shed", "POST", 10))
			a["us"] = append(a["us"], seen("shed", "POST", 10))
		}, 0, ErrTwice},
		{"a GET three times at one origin", func(_ []Result, a at) { a["eu"] = append(a["eu"], seen("get", "GET", 0)) }, 0, ErrTooOften},
		{"a wrong response", func(r []Result, _ at) { r[0].Kind = Wrong }, 0, ErrWrong},
		{"no answer", func(r []Result, _ at) { r[2].Kind = Hung }, 0, ErrHung},
		{"served by whom it did not reach", func(r []Result, _ at) { r[1].Origin = "eu" }, 0, ErrUnseen},
		{"an error of whom it did not reach", func(r []Result, _ at) { r[2].Origin = "eu" }, 0, ErrUnseen},
		{"an abort of whom it did not reach", func(r []Result, _ at) { r[3].Origin = "us" }, 0, ErrUnseen},
		{"arrived though never sent", func(_ []Result, a at) { a["eu"] = append(a["eu"], seen("none", "GET", 0)) }, 0, ErrUnseen},
		{"another method", func(_ []Result, a at) { a["us"][1].Method = "PUT" }, 0, ErrAltered},
		{"another path", func(_ []Result, a at) { a["us"][1].Target = "/Post" }, 0, ErrAltered},
		{"a shorter upload", func(_ []Result, a at) { a["us"][1].BodyLen = 9 }, 0, ErrAltered},
		{"another upload", func(_ []Result, a at) { a["us"][1].BodyHash[0]++ }, 0, ErrAltered},
		{"an upload to a GET", func(_ []Result, a at) { a["us"][0].BodyLen = 1 }, 0, ErrAltered},
		{"a malformed request", func(_ []Result, a at) { a["eu"] = append(a["eu"], Arrival{Fault: "bare LF"}) }, 0, ErrAltered},
		{"a request of nobody", func(_ []Result, a at) { a["eu"] = append(a["eu"], seen("smuggled", "GET", 0)) }, 0, ErrUnknown},
		{"a ledger that overflowed", func([]Result, at) {}, 1, ErrIncomplete},
		{"a result of no kind", func(r []Result, _ at) { r[2].Kind = 0 }, 0, ErrIncomplete},
		{"one id twice", func(r []Result, _ at) { r[5].ID = "shed" }, 0, ErrIncomplete},
	}
	proved := map[error]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			results, arrivals := evidence()
			tt.spoil(results, arrivals)
			err := check(results, arrivals, tt.lost)
			for _, invariant := range invariants {
				if errors.Is(err, invariant) != (invariant == tt.want) {
					t.Errorf("got %v, want only: %v", err, tt.want)
				}
			}
		})
		proved[tt.want] = true
	}
	for _, invariant := range invariants {
		if !proved[invariant] {
			t.Errorf("nothing shows that this is ever found: %v", invariant)
		}
	}
}

func TestManyViolationsAreCountedAndHideNoOther(t *testing.T) {
	results := make([]Result, 100)
	for i := range results {
		results[i] = Result{Request: Request{ID: strconv.Itoa(i)}, Kind: Wrong}
	}
	results = append(results, Result{Request: Request{ID: "last"}, Kind: Hung})
	err := check(results, nil, 0)
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxTold+2 || !strings.HasSuffix(lines[len(lines)-1], "and 95 more times") || !errors.Is(err, ErrHung) {
		t.Errorf("got %v", err)
	}
}

// The tests below put a proxy of the standard library between load and origins, once an honest one and then ones with
// the very bugs that the kit is there to find.

type badProxy func(*http.Request, []byte, http.RoundTripper) (*http.Response, error)

// proxied runs a load through a reverse proxy whose transport is spoiled.
func proxied(t *testing.T, eu, us *Origin, bad badProxy) (*Ledger, error) {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", eu.Addr()
		},
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			var body []byte
			if r.Body != nil {
				var err error
				if body, err = io.ReadAll(r.Body); err != nil {
					return nil, err
				}
			}
			return bad(r, body, transport)
		}),
	})
	t.Cleanup(proxy.Close)
	_, port, _ := net.SplitHostPort(proxy.Listener.Addr().String())
	ledger := Load{Address: net.JoinHostPort("127.0.0.1", port), Conns: 4, Count: 100, Mix: mix}.Do(t.Context())
	return ledger, Check(ledger, eu, us)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func send(r *http.Request, body []byte, host string, rt http.RoundTripper) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Host = host
	out.Body, out.ContentLength, out.TransferEncoding = http.NoBody, int64(len(body)), nil
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	return rt.RoundTrip(out)
}

func TestProxiesWithBugsAreFoundOut(t *testing.T) {
	type pair struct{ eu, us *Origin }
	tests := []struct {
		name string
		want error
		bad  func(pair) badProxy
	}{
		{"an honest one", nil, func(p pair) badProxy {
			return func(r *http.Request, body []byte, rt http.RoundTripper) (*http.Response, error) {
				return send(r, body, p.eu.Addr(), rt)
			}
		}},
		{"one that fails over whatever the method", ErrTwice, func(p pair) badProxy {
			p.eu.Set(InTurn(Status(503), OK(100)))
			return func(r *http.Request, body []byte, rt http.RoundTripper) (*http.Response, error) {
				res, err := send(r, body, p.eu.Addr(), rt)
				if err == nil && res.StatusCode == 503 {
					_ = res.Body.Close()
					return send(r, body, p.us.Addr(), rt)
				}
				return res, err
			}
		}},
		{"one that ends a broken body with the other origin's", ErrWrong, func(p pair) badProxy {
			return func(r *http.Request, body []byte, rt http.RoundTripper) (*http.Response, error) {
				res, err := send(r, body, p.eu.Addr(), rt)
				if err != nil || r.Method != "GET" {
					return res, err
				}
				first, _ := io.ReadAll(res.Body)
				other, err := send(r, body, p.us.Addr(), rt)
				if err != nil {
					return nil, err
				}
				second, _ := io.ReadAll(other.Body)
				res.Body = io.NopCloser(bytes.NewReader(append(first[:len(first)/2], second[len(second)/2:]...)))
				return res, nil
			}
		}},
		{"one that makes a broken body look whole", ErrWrong, func(p pair) badProxy {
			p.eu.Set(InTurn(Truncate(), OK(100)))
			return func(r *http.Request, body []byte, rt http.RoundTripper) (*http.Response, error) {
				res, err := send(r, body, p.eu.Addr(), rt)
				if err != nil {
					return nil, err
				}
				got, _ := io.ReadAll(res.Body)
				res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(got)), int64(len(got))
				res.Header.Set("Content-Length", strconv.Itoa(len(got)))
				return res, nil
			}
		}},
		{"one that spoils uploads", ErrAltered, func(p pair) badProxy {
			return func(r *http.Request, body []byte, rt http.RoundTripper) (*http.Response, error) {
				return send(r, bytes.ToUpper(body), p.eu.Addr(), rt)
			}
		}},
		{"one that answers with the last request's response", ErrWrong, func(p pair) badProxy {
			var mu sync.Mutex
			var last http.Header
			return func(r *http.Request, body []byte, rt http.RoundTripper) (*http.Response, error) {
				res, err := send(r, body, p.eu.Addr(), rt)
				if err != nil {
					return nil, err
				}
				mu.Lock()
				defer mu.Unlock()
				if last == nil {
					last = res.Header.Clone()
				}
				res.Header, last = last, res.Header.Clone()
				return res, nil
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := pair{NewOrigin(t, "eu"), NewOrigin(t, "us")}
			ledger, err := proxied(t, p.eu, p.us, tt.bad(p))
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want == nil && ledger.Count(Served) != ledger.Len() {
				t.Errorf("%v: %v", ledger, ledger.Unserved())
			}
		})
	}
}

func TestAFailoverByTheRulesPassesWhileThePrimaryIsUnplugged(t *testing.T) {
	CheckLeaks(t)
	eu, us := NewOrigin(t, "eu"), NewOrigin(t, "us")
	transport := &http.Transport{DisableCompression: true}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", eu.Addr() },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(502) },
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method != "GET" {
				return transport.RoundTrip(r)
			}
			res, err := send(r, nil, eu.Addr(), transport)
			if err != nil {
				return send(r, nil, us.Addr(), transport)
			}
			return res, nil
		}),
	})
	run := Load{Address: proxy.Listener.Addr().String(), Conns: 4, Mix: mix}.Start(t.Context())
	Await(t, waitLong, "answers from eu", func() bool { return run.Ledger().From("eu") > 50 })
	eu.Down()
	Await(t, waitLong, "answers from us", func() bool { return run.Ledger().From("us") > 50 })
	if err := eu.Up(); err != nil {
		t.Fatal(err)
	}
	before := run.Ledger().From("eu")
	Await(t, waitLong, "answers from eu again", func() bool { return run.Ledger().From("eu") > before+50 })
	ledger := run.Stop()
	if err := Check(ledger, eu, us); err != nil {
		t.Error(err)
	}
	if ledger.Count(Served, Refused, Aborted) != ledger.Len() || ledger.Count(Refused) == 0 {
		t.Errorf("%v", ledger)
	}
	if posts := ledger.Select(func(r *Result) bool { return !r.Covered && r.Origin == "us" }); len(posts) > 0 {
		t.Errorf("uncovered requests on us: %v", posts)
	}
	proxy.Close()
	transport.CloseIdleConnections()
	eu.Close()
	us.Close()
}
