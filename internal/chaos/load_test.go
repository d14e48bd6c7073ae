package chaos

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

var mix = []Shot{
	{Weight: 80, Path: "/product/", WantSize: 2000},
	{Weight: 15, Method: "POST", Path: "/order/", BodySize: 3000},
	{Weight: 5, Method: "PUT", Path: "/order/", Query: "a=b", BodySize: 200_000, Chunked: true},
}

func TestTheMixIsSpreadEvenly(t *testing.T) {
	order := schedule(mix)
	counts := map[string]int{}
	for i, shot := range order {
		counts[shot.Method]++
		if want := (i + 1) / 5; counts[""] < i+1-want-2 {
			t.Fatalf("after %d requests only %d are of the first sort", i+1, counts[""])
		}
	}
	if len(order) != 100 || counts[""] != 80 || counts["POST"] != 15 || counts["PUT"] != 5 {
		t.Errorf("%d requests: %v", len(order), counts)
	}
	if n := len(schedule([]Shot{{}, {}})); n != 2 {
		t.Errorf("weights left out make %d, want 2", n)
	}
}

func TestAClosedLoadIsServedAndVerified(t *testing.T) {
	CheckLeaks(t)
	o := NewOrigin(t, "eu")
	ledger := Load{Address: o.Addr(), Conns: 4, Count: 300, Mix: mix}.Do(t.Context())
	if ledger.Len() != 300 || ledger.Count(Served) != 300 || ledger.From("eu") != 300 || o.Accepted() != 4 {
		t.Errorf("%v on %d connections; %v", ledger, o.Accepted(), ledger.Unserved())
	}
	if err := Check(ledger, o); err != nil {
		t.Error(err)
	}
	covered := ledger.Select(func(r *Result) bool { return r.Covered })
	if len(covered) != 240 || covered[0].Method != "GET" {
		t.Errorf("%d covered, want the 240 GETs", len(covered))
	}
}

func TestAFixedPathIsSentAsItIs(t *testing.T) {
	o := NewOrigin(t, "eu")
	ledger := Load{Address: o.Addr(), Conns: 1, Count: 3, Mix: []Shot{{Path: "/orders", Query: "a=b", Fixed: true}}}.Do(t.Context())
	if err := Check(ledger, o); err != nil {
		t.Error(err)
	}
	arrivals := o.AllArrivals()
	if len(arrivals) != 3 {
		t.Fatalf("%d requests arrived, want 3", len(arrivals))
	}
	for _, a := range arrivals {
		if a.Target != "/orders?a=b" || a.ID == "" {
			t.Errorf("target %q with the id %q", a.Target, a.ID)
		}
	}
}

func TestAnOpenLoadSendsAtItsRateHoweverSlowTheAnswers(t *testing.T) {
	CheckLeaks(t)
	o := NewUnixOrigin(t, "eu")
	ready := make(chan struct{})
	o.Set(OK(1).When(ready))
	run := Load{Network: "unix", Address: o.Addr(), Rate: 1000, Count: 50}.Start(t.Context())
	Await(t, 10*time.Second, "50 requests at once", func() bool { return o.Arrived() == 50 })
	if run.Ledger().Len() != 0 {
		t.Errorf("answered before any answer: %v", run.Ledger())
	}
	close(ready)
	ledger := run.Wait()
	if ledger.Count(Served) != 50 {
		t.Errorf("%v: %v", ledger, ledger.Unserved())
	}
	if err := Check(ledger, o); err != nil {
		t.Error(err)
	}
}

func TestLatencyOfAnOpenLoadCountsFromWhenARequestWasDue(t *testing.T) {
	o := NewOrigin(t, "eu")
	ready := make(chan struct{})
	o.Set(InTurn(OK(1).When(ready), OK(1)))
	run := Load{Address: o.Addr(), Rate: 1000, Count: 2, Conns: 1}.Start(t.Context())
	Await(t, 5*time.Second, "first request", func() bool { return o.Arrived() == 1 })
	started := time.Now()
	Await(t, 5*time.Second, "moment when the second is due", func() bool { return time.Since(started) > 2*time.Millisecond })
	released := time.Now()
	close(ready)
	for _, r := range run.Wait().Results() {
		if r.Kind != Served || r.Start.After(released) {
			t.Errorf("%v starts after the connection was free", r)
		}
	}
}

func TestStopLetsRequestsInFlightEndAndTheContextAbandonsThem(t *testing.T) {
	CheckLeaks(t)
	for _, rate := range []float64{0, 500} {
		t.Run(fmt.Sprintf("rate %v", rate), func(t *testing.T) {
			o := NewOrigin(t, "eu")
			ready := make(chan struct{})
			o.Set(OK(10).When(ready))
			load := Load{Address: o.Addr(), Conns: 3, Rate: rate}
			run := load.Start(t.Context())
			Await(t, 5*time.Second, "arrivals", func() bool { return o.Arrived() == 3 })
			stopped := make(chan *Ledger)
			go func() { stopped <- run.Stop() }()
			<-run.stopping
			close(ready)
			if l := <-stopped; l.Count(Served) != l.Len() || l.Len() < 3 {
				t.Errorf("after Stop: %v", l)
			}

			o.Set(Hang())
			o.Forget()
			ctx, cancel := context.WithCancel(t.Context())
			run = load.Start(ctx)
			Await(t, 5*time.Second, "arrivals", func() bool { return o.Arrived() == 3 })
			cancel()
			l := run.Wait()
			if l.Count(Left) != l.Len() || l.Len() < 3 {
				t.Errorf("after the context's end: %v", l)
			}
			if err := Check(l, o); err != nil {
				t.Error(err)
			}
			Await(t, 5*time.Second, "closed connections", func() bool { return o.OpenConns() == 0 })
		})
	}
}

func TestALoadEndsByItsDuration(t *testing.T) {
	o := NewOrigin(t, "eu")
	for _, rate := range []float64{0, 100} {
		l := Load{Address: o.Addr(), Rate: rate, Duration: 50 * time.Millisecond}.Do(t.Context())
		if l.Len() == 0 || l.Count(Served) != l.Len() {
			t.Errorf("%v: %v", l, l.Unserved())
		}
	}
	o.Down()
	l := Load{Address: o.Addr(), Conns: 2, Duration: 50 * time.Millisecond}.Do(t.Context())
	if l.Len() == 0 || l.Len() > 40 || l.Count(Unsent) != l.Len() {
		t.Errorf("while down: %v", l)
	}
}

func TestALedgerSumsUp(t *testing.T) {
	l := Merge(&Ledger{}, &Ledger{})
	if got := l.String(); got != "0 requests" {
		t.Errorf("empty: %q", got)
	}
	l.Add(Result{Kind: Served, Origin: "us", Latency: 3}, Result{Kind: Served, Origin: "eu", Latency: 1},
		Result{Kind: Served, Origin: "eu", Latency: 2}, Result{Kind: Refused, Status: 503, Latency: 9}, Result{Kind: Aborted})
	l = Merge(l, &Ledger{})
	const want = "5 requests: 3 served (eu 2, us 1), 1 refused (503: 1), 1 aborted"
	if got := l.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if l.Count(Served, Aborted) != 4 || len(l.Unserved()) != 2 {
		t.Errorf("counted %d, unserved %v", l.Count(Served, Aborted), l.Unserved())
	}
	if got := []time.Duration{Quantile(l.Results(), 0), Quantile(l.Results(), 0.5), Quantile(l.Results(), 1), Quantile(nil, 0.5)}; got[0] != 0 || got[1] != 2 || got[2] != 9 || got[3] != 0 {
		t.Errorf("quantiles %v", got)
	}
}

// whole is a right response of origin eu to request x.
func whole(origin, id string, size int64, body []byte) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nChaos-Origin: %s\r\nChaos-Id: %s\r\nChaos-Size: %d\r\nContent-Length: %d\r\n\r\n%s",
		origin, id, size, len(body), body)
}

func TestAClientBelievesNothing(t *testing.T) {
	right := whole("eu", "x", 1000, Body("eu", "x", 1000))
	// Byte 500 stands in a line's number, where the two agree; the next line begins with the name.
	mixed := append(Body("eu", "x", 1000)[:500], Body("us", "x", 1000)[500:]...)
	tests := []struct {
		name string
		give string
		want Kind
		err  string
	}{
		{"the right response", right, Served, ""},
		{"until close", strings.Replace(right, "Content-Length: 1000\r\n", "", 1), Served, ""},
		{"an error of the proxy", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nshed", Refused, ""},
		{"an error of the proxy cut off", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nshed", Aborted, "EOF"},
		{"an error of an origin", strings.Replace(right, "200 OK", "500 Oh", 1), Refused, ""},
		{"nothing", "", Aborted, "EOF"},
		{"half a head", right[:50], Aborted, "EOF"},
		{"half a body", right[:700], Aborted, "EOF"},
		{"another request's response", whole("eu", "y", 1000, Body("eu", "y", 1000)), Wrong, "request y"},
		{"another request's error", "HTTP/1.1 503 Oh\r\nChaos-Id: y\r\nContent-Length: 0\r\n\r\n", Wrong, "request y"},
		{"another request's bytes", whole("eu", "x", 1000, Body("eu", "y", 1000)), Wrong, "not origin eu's"},
		{"bytes of two origins", whole("eu", "x", 1000, mixed), Wrong, "byte 513"},
		{"another origin's bytes", whole("eu", "x", 1000, Body("us", "x", 1000)), Wrong, "byte 0"},
		{"fields of two origins", strings.Replace(right, "Chaos-Origin: eu", "Chaos-Origin: eu\r\nChaos-Origin: us", 1), Wrong, "more than one"},
		{"a short body that looks whole", whole("eu", "x", 1000, Body("eu", "x", 1000)[:999]), Wrong, "looks whole"},
		{"a cut body until close", strings.Replace(right, "Content-Length: 1000\r\n", "", 1)[:700], Wrong, "looks whole"},
		{"a body with a byte too many", whole("eu", "x", 1000, append(Body("eu", "x", 1000), 'x')), Wrong, "byte 1000"},
		{"bytes after the response", right + "HTTP", Wrong, "after the end"},
		{"nobody's response", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Wrong, "no origin"},
		{"no id", strings.Replace(right, "Chaos-Id: x\r\n", "", 1), Wrong, "without an id"},
		{"no HTTP", "hello\r\n\r\n", Wrong, "status line"},
		{"HTTP/1.0", strings.Replace(right, "HTTP/1.1", "HTTP/1.0", 1), Wrong, "status line"},
		{"an unasked upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n", Wrong, "unasked"},
		{"two framings", strings.Replace(right, "Content-", "Transfer-Encoding: chunked\r\nContent-", 1), Wrong, "beside"},
		{"a coding that nobody asked for", strings.Replace(right, "Content-Length: 1000", "Transfer-Encoding: gzip", 1), Wrong, "Transfer-Encoding"},
		{"a bad length", strings.Replace(right, "Content-Length: 1000", "Content-Length: +1", 1), Wrong, "Content-Length"},
		{"a bad size", strings.Replace(right, "Size: 1000", "Size: many", 1), Wrong, "Chaos-Size"},
		{"too many interim responses", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxInter+1), Wrong, "unasked"},
	}
	o := NewOrigin(t, "liar")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o.Set(Bytes(tt.give))
			r := newClient(t, o).Do(t.Context(), Request{ID: "x"})
			if r.Kind != tt.want || (r.Err == nil) != (tt.err == "") || r.Err != nil && !strings.Contains(r.Err.Error(), tt.err) {
				t.Errorf("got %v, want %v with %q", r, tt.want, tt.err)
			}
			if r.Kind == Refused && r.Text != "shed" && r.Text != string(Body("eu", "x", 1000)[:256]) {
				t.Errorf("text %q", r.Text)
			}
		})
	}
}

func TestAHeadResponseStatesTheOriginsLength(t *testing.T) {
	o := NewOrigin(t, "liar")
	o.Set(Bytes("HTTP/1.1 200 OK\r\nChaos-Origin: eu\r\nChaos-Id: x\r\nChaos-Size: 10\r\nContent-Length: 9\r\n\r\n"))
	if r := newClient(t, o).Do(t.Context(), Request{ID: "x", Method: "HEAD"}); r.Kind != Wrong {
		t.Errorf("got %v", r)
	}
}

func TestAClientTellsSilenceRefusalAndItsOwnLeaving(t *testing.T) {
	CheckLeaks(t)
	o := NewOrigin(t, "eu")
	c := newClient(t, o)
	c.Timeout = 30 * time.Millisecond
	for _, b := range []Behaviour{Hang(), StallMidBody()} {
		o.Set(b)
		if r := c.Do(t.Context(), Request{}); r.Kind != Hung {
			t.Errorf("%s: %v", b.Name(), r)
		}
	}
	o.Set(ResetMidBody())
	if r := c.Do(t.Context(), Request{}); r.Kind != Aborted || r.Origin != "eu" || r.Status != 200 {
		t.Errorf("reset: %v", r)
	}
	o.Down()
	if r := c.Do(t.Context(), Request{}); r.Kind != Unsent {
		t.Errorf("down: %v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := c.Do(ctx, Request{}); r.Kind != Left {
		t.Errorf("left: %v", r)
	}
	o.Close()
}

func TestAnEarlyAnswerIsTakenWhileTheUploadGoesOn(t *testing.T) {
	CheckLeaks(t)
	o := NewOrigin(t, "eu")
	for _, b := range []Behaviour{Early(200), EarlyClose(200)} {
		o.Set(b)
		r := newClient(t, o).Do(t.Context(), Request{Method: "POST", BodySize: 8 << 20})
		if r.Kind != Served {
			t.Errorf("%s: %v", b.Name(), r)
		}
	}
	o.Close()
}
