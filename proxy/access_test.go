package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/fairlead/fairlead/bulkhead"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/chaos"
)

func TestEachRequestHasOneAccessRecord(t *testing.T) {
	t.Parallel()
	var log journal
	g := startRig(t, log.logged)
	g.eu.SetPath("/broken/", chaos.Status(503))
	c := &chaos.Client{Address: g.addr}
	defer c.Close()
	served := c.Do(t.Context(), chaos.Request{Method: "POST", BodySize: 1234, WantSize: 5678})
	wantServed(t, served, "eu")
	rec := log.find(t, served.ID)
	first := g.eu.Arrivals(served.ID)[0]
	if rec.Msg != "request" || rec.RequestID != first.Get("X-Request-Id") || rec.Client != "127.0.0.1" || rec.Method != "POST" ||
		rec.Host != "chaos.test" || rec.Target != served.Path || rec.Status != 200 || rec.Decision != "served" ||
		rec.Route != "all" || rec.Group != "shop" || rec.Pointer != "primary" || rec.Generation != 1 ||
		rec.BytesIn != 1234 || rec.BytesOut != 5678 || rec.TotalMS <= 0 || rec.WhyNot != "" || rec.QueueMS != 0 || rec.ParkedMS != 0 {
		t.Errorf("record %+v", rec)
	}
	if a := rec.Attempts; len(a) != 1 || a[0].Origin != "eu" || a[0].Address != g.eu.Addr() || a[0].Status != 200 || a[0].Class != "" || a[0].ConnectMS <= 0 || a[0].FirstByteMS < a[0].ConnectMS {
		t.Errorf("attempts %+v", a)
	}

	over := c.Do(t.Context(), chaos.Request{Path: "/broken/" + chaos.NewID()})
	wantServed(t, over, "us")
	rec = log.find(t, over.Path)
	if a := rec.Attempts; len(a) != 2 || a[0].Class != "status:503" || a[0].Status != 503 || a[1].Origin != "us" || a[1].Status != 200 || a[0].ConnectMS != 0 {
		t.Errorf("attempts %+v", a)
	}

	if resp, err := g.dial().Do("GET /nowhere\\ HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil || resp.Status != 400 {
		t.Errorf("got %d, %v", resp.Status, err)
	}
	if resp, err := g.dial().Do("GET / HTTP/1.1\r\nHost: a\r\nbad field: x\r\n\r\n"); err != nil || resp.Status != 400 {
		t.Errorf("got %d, %v", resp.Status, err)
	}
	chaos.Await(t, patience, "four records", func() bool { return len(log.all()) >= 4 })
	lines := log.all()
	if len(lines) != 4 {
		t.Errorf("%d records of 4 requests", len(lines))
	}
	for _, line := range lines[2:] {
		if err := json.Unmarshal(line, &rec); err != nil || rec.Status != 400 || rec.Decision != "refused" || rec.Error == "" || rec.BytesOut == 0 {
			t.Errorf("record %s", line)
		}
	}
}

// hostile is what a client may try to write lines of its own with.
var hostile = []string{
	`GET /"},{"msg":"forged","x":" HTTP/1.1` + "\r\nHost: a\r\n\r\n",
	"GET /%0a{\"msg\":\"forged\"} HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\xff\xfe\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\u2028\u2029\u0085 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\xff\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: x\",\"msg\":\"forged\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\", \"msg\":\"forged\r\n\r\n",
	"G\"ET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\x1b[2J HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\n{\"msg\":\"forged\"} HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
}

func TestNoAccessRecordCanBeForged(t *testing.T) {
	for name, encoder := range map[string]zapcore.Encoder{
		"json":    zapcore.NewJSONEncoder(logEncoding),
		"console": zapcore.NewConsoleEncoder(logEncoding),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log journal
			g := startRig(t, withServer(func(cfg *Config) {
				cfg.AccessLog = zap.New(zapcore.NewCore(encoder, &log, zapcore.InfoLevel))
				cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			}))
			for i, text := range hostile {
				if _, err := g.dial().Do(text); err != nil {
					t.Errorf("%q: %v", text, err)
				}
				chaos.Await(t, patience, "record", func() bool { return len(log.all()) == i+1 })
				line := log.all()[i]
				body, ended := bytes.CutSuffix(line, []byte("\n"))
				if !ended {
					t.Errorf("%q: no line: %q", text, line)
				}
				for _, b := range body {
					if (b < ' ' && !(b == '\t' && name == "console")) || b == 0x7f && name == "console" {
						t.Errorf("%q: control byte %q in %q", text, b, line)
					}
				}
				if at := bytes.IndexByte(body, '{'); name == "console" && at > 0 {
					body = body[at:]
				}
				fields := make(map[string]any)
				if err := json.Unmarshal(body, &fields); err != nil {
					t.Errorf("%q: %v in %q", text, err, line)
				}
				if fields["msg"] == "forged" || bytes.Count(body, []byte(`"request_id":`)) != 1 {
					t.Errorf("%q: forged: %q", text, line)
				}
			}
		})
	}
}

// gone is a log that has failed for good.
type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
func (gone) Sync() error               { return io.ErrShortWrite }

func TestLogThatFailsCostsNoRequest(t *testing.T) {
	t.Parallel()
	g := startRig(t, withServer(func(cfg *Config) {
		cfg.AccessLog = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(logEncoding), gone{}, zapcore.InfoLevel))
	}))
	for range 5 {
		wantServed(t, g.ask(chaos.Request{}), "eu")
	}
}

// loggedExchange is an exchange at its end, as the log sees it.
func loggedExchange(tb testing.TB, core zapcore.Core) *exchange {
	tb.Helper()
	srv, err := New(Config{
		Origins: []Origin{{Name: "eu", URL: "http://127.0.0.1:1"}, {Name: "us", URL: "http://127.0.0.1:2"}},
		Groups: []Group{{Name: "shop", Primary: "eu", Secondary: "us",
			Pointer: failover.NewGroup(failover.GroupConfig{PointerConfig: failover.PointerConfig{HasSecondary: true}})}},
		Routes:    []Route{{Name: "product", Match: "/", Group: "shop", Bulkhead: bulkhead.Config{MaxConcurrent: 1}}},
		AccessLog: zap.New(core),
	})
	if err != nil {
		tb.Fatal(err)
	}
	x := &exchange{srv: srv, snap: srv.current(), peer: []byte("203.0.113.7"), proto: "http"}
	if err := x.req.Parse([]byte("GET /product/4711?color=red&size=xl HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: test\r\n\r\n")); err != nil {
		tb.Fatal(err)
	}
	x.id = x.requestID()
	x.route = srv.current().table.routes[0]
	x.pointer = x.route.pointer.Pointer()
	x.start = srv.clock.now()
	x.end = x.start + int64(1234567*time.Nanosecond)
	x.result, x.status, x.sent = resultServed, 200, 1024
	x.tried, x.last = 1, &x.tries[0]
	x.tries[0] = attempt{leg: x.route.legs[failover.RolePrimary], status: 200, remote: "192.0.2.1:8080", reused: true, begun: x.start, firstByte: x.start + 1_100_000}
	return x
}

func discardCore() zapcore.Core {
	return zapcore.NewCore(zapcore.NewJSONEncoder(logEncoding), zapcore.AddSync(io.Discard), zapcore.InfoLevel)
}

// BenchmarkAccessRecord is what a request pays for its record: up to the
// write, which is another goroutine's work.
func BenchmarkAccessRecord(b *testing.B) {
	x := loggedExchange(b, discardCore())
	b.ReportAllocs()
	for b.Loop() {
		x.logAccess()
	}
}

func TestAccessRecordAllocatesNothing(t *testing.T) {
	x := loggedExchange(t, discardCore())
	x.logAccess()
	if n := testing.AllocsPerRun(200, x.logAccess); n >= 1 && !raceEnabled() {
		t.Errorf("%v allocations a record", n)
	}
}

// raceEnabled reports whether the race detector, under which pools forget on
// purpose, is on: it allocates where nothing else would.
func raceEnabled() bool {
	return strings.Contains(fmt.Sprint(testing.AllocsPerRun(1000, func() {
		b := bufferPool.Get()
		bufferPool.Put(b)
	}) >= 1), "true")
}
