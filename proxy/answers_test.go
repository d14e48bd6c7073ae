package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// speak is an origin that answers every request on a connection with the same bytes.
func speak(t *testing.T, answer string, thenClose bool) string {
	return script(t, func(_ int, p *peer) {
		for {
			if _, ok := p.head(); !ok || !p.send(answer) || thenClose {
				return
			}
		}
	})
}

// Each framing of an origin towards each kind of client.
func TestResponsesOfEveryFramingReachEveryClientWhole(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 20_000) // more than any buffer
	huge := strings.Repeat("0123456789abcdef", 1<<17)  // spliced
	answers := []struct {
		name, head, body string
		want             string
		until            bool // the origin closes after it
	}{
		{"empty", "Content-Length: 0", "", "", false},
		{"length", "Content-Length: 5", "hello", "hello", false},
		{"long", fmt.Sprintf("Content-Length: %d", len(long)), long, long, false},
		{"huge", fmt.Sprintf("Content-Length: %d", len(huge)), huge, huge, false},
		{"chunked", "Transfer-Encoding: chunked", "5\r\nhello\r\n1;ext=\"x\"\r\n!\r\n0\r\n\r\n", "hello!", false},
		{"long chunked", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(long), long), long, false},
		{"empty chunked", "Transfer-Encoding: chunked", "0\r\n\r\n", "", false},
		{"until close", "X-A: b", "hello", "hello", true},
		{"long until close", "X-A: b", long, long, true},
		{"empty until close", "X-A: b", "", "", true},
		{"length, then close", "Content-Length: 5\r\nConnection: close", "hello", "hello", true},
		{"length of HTTP/1.0", "Content-Length: 5\r\nX-Version: 1.0", "hello", "hello", true},
	}
	clients := []struct {
		name, version, field string
	}{
		{"HTTP/1.1", "1.1", ""},
		{"HTTP/1.1 that closes", "1.1", "Connection: close\r\n"},
		{"HTTP/1.0", "1.0", ""},
		{"HTTP/1.0 that stays", "1.0", "Connection: keep-alive\r\n"},
	}
	for _, a := range answers {
		for _, cl := range clients {
			t.Run(a.name+" to "+cl.name, func(t *testing.T) {
				t.Parallel()
				version := "1.1"
				if strings.Contains(a.head, "X-Version") {
					version = "1.0"
				}
				g := startRig(t, alone, withOrigin(speak(t, "HTTP/"+version+" 200 Fine By Me\r\n"+a.head+"\r\n\r\n"+a.body, a.until)))
				c := g.dial()
				for range 2 {
					r, err := c.Do("GET / HTTP/" + cl.version + "\r\nHost: a\r\n" + cl.field + "\r\n")
					if err != nil || r.Body != a.want || r.Line != "HTTP/1.1 200 Fine By Me" {
						t.Fatalf("%v: %q, %d bytes of %d", err, r.Raw, len(r.Body), len(a.want))
					}
					if r.Get("Date") == "" || r.Get("X-Version") == "" && version == "1.0" {
						t.Errorf("a field is missing: %q", r.Raw)
					}
					undelimited := strings.Contains(a.head, "Transfer") || a.until && !strings.Contains(a.head, "Length")
					ends := cl.field == "Connection: close\r\n" || cl.version == "1.0" && (cl.field == "" || undelimited)
					if got := r.Get("Connection"); ends && got != "close" || !ends && cl.version == "1.0" && got != "keep-alive" || !ends && cl.version == "1.1" && got != "" {
						t.Errorf("Connection: %q", got)
					}
					if cl.version == "1.0" && r.Chunked {
						t.Error("chunks for an HTTP/1.0 client")
					}
					if ends {
						if !c.Closed() {
							t.Error("the connection stays open")
						}
						return
					}
				}
			})
		}
	}
}

// Responses without a body, whatever their fields say, leave the connection in step.
func TestResponsesWithoutABodyKeepTheConnectionInStep(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, answer string
		wantLength           string
	}{
		{"HEAD with length", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "5"},
		{"HEAD chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ""},
		{"HEAD with nothing", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", ""},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", ""},
		{"304 with length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "5"},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", ""},
		{"205", "GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", "0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone, withOrigin(speak(t, tt.answer, false)))
			c := g.dial()
			if err := c.Send(strings.Repeat(tt.method+" / HTTP/1.1\r\nHost: a\r\n\r\n", 3)); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				r, err := c.ReadResponse(tt.method)
				if err != nil || r.Body != "" || r.Chunked || r.Get("Content-Length") != tt.wantLength {
					t.Fatalf("%v: %q", err, r.Raw)
				}
			}
		})
	}
}

// A body where there may be none is the next response's beginning to nobody.
func TestABodyWhereThereMayBeNoneIsDropped(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"HEAD": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"GET":  "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
		"PUT":  "HTTP/1.1 304 Not Modified\r\n\r\nhello",
		"POST": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone, withOrigin(speak(t, answer, false)))
			c := g.dial()
			for range 3 {
				r, err := c.Do(name + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
				if err != nil || r.Body != "" && r.Body != "hello" {
					t.Fatalf("%v: %q %q", err, r.Raw, r.Body)
				}
			}
		})
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	g.eu.Set(chaos.Chunked(1000))
	c := g.dial()
	// Whole with its head, and streamed.
	for _, cut := range []int{0, 60, 100, 115, 125} {
		request := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nTE: trailers\r\nChaos-Id: 7\r\n\r\n" +
			"5\r\nhello\r\n0\r\nX-Sum: 42\r\nContent-Length: 9\r\nX-Forwarded-For: 6.6.6.6\r\nHost: evil\r\n\r\n"
		g.eu.Forget()
		if err := c.Send(request[:cut]); err != nil {
			t.Fatal(err)
		}
		if cut > 0 {
			time.Sleep(5 * time.Millisecond) // the pieces should arrive apart; nothing depends on it
		}
		r, err := func() (chaos.Response, error) {
			if err := c.Send(request[cut:]); err != nil {
				t.Fatal(err)
			}
			return c.ReadResponse("POST")
		}()
		wantOK(t, r, err)
		if fmt.Sprint(r.Trailers) != "[{Chaos-Trailer 7} {Chaos-End yes}]" {
			t.Errorf("trailers of the response: %v", r.Trailers)
		}
		got := g.eu.AllArrivals()
		if len(got) != 1 || fmt.Sprint(got[0].Trailers) != "[{X-Sum 42}]" || got[0].Get("TE") != "trailers" || got[0].Get("Trailer") != "X-Sum" {
			t.Errorf("the request: %+v", got)
		}
	}
}

func TestInterimResponsesAreRelayedInOrderAndAtOnce(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	url := script(t, func(_ int, p *peer) {
		for {
			if _, ok := p.head(); !ok {
				return
			}
			p.send("HTTP/1.1 100 Continue\r\nConnection: X-Secret\r\nX-Secret: a\r\nX-Open: b\r\n\r\n")
			<-next
			p.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
			<-next
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	g := startRig(t, alone, withOrigin(url))
	c := g.dial()
	if err := c.Send(get); err != nil {
		t.Fatal(err)
	}
	if head := readHead(t, c); head != "HTTP/1.1 100 Continue\r\nX-Open: b\r\n\r\n" {
		t.Errorf("got %q", head)
	}
	next <- struct{}{}
	if head := readHead(t, c); head != "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" {
		t.Errorf("got %q", head)
	}
	if head := readHead(t, c); head != "HTTP/1.1 102 Processing\r\n\r\n" {
		t.Errorf("got %q", head)
	}
	next <- struct{}{}
	r, err := c.ReadResponse("GET")
	wantOK(t, r, err)

	// HTTP/1.0 has none.
	go func() { next <- struct{}{}; next <- struct{}{} }()
	r, err = c.Do("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
	wantOK(t, r, err)
	if len(r.Interim) != 0 {
		t.Errorf("an HTTP/1.0 client got %v", r.Interim)
	}
}

func TestStormsOfInterimResponsesAreBounded(t *testing.T) {
	t.Parallel()
	hint := "HTTP/1.1 103 Early Hints\r\nLink: <" + strings.Repeat("/a", 2000) + ">\r\n\r\n"
	for _, tt := range []struct {
		n    int
		want int
	}{{10, 200}, {maxInterim, 200}, {maxInterim + 2, 502}, {100_000, 502}} {
		t.Run(fmt.Sprint(tt.n), func(t *testing.T) {
			t.Parallel()
			url := script(t, func(_ int, p *peer) {
				p.head()
				for range tt.n {
					if !p.send(hint) {
						return
					}
				}
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				p.rest()
			})
			g := startRig(t, alone, withOrigin(url))
			c := g.dial()
			r, err := c.Do(get)
			if err != nil || r.Status != tt.want || len(r.Interim) > maxInterim+1 {
				t.Errorf("%v: %d after %d interim responses, want %d", err, r.Status, len(r.Interim), tt.want)
			}
		})
	}
}

// A client that does not read while its origin sends interim responses holds up
// nobody for longer than the limits say.
func TestAClientThatDoesNotReadInterimResponsesIsGivenUp(t *testing.T) {
	t.Parallel()
	hint := "HTTP/1.1 103 Early Hints\r\nLink: <" + strings.Repeat("/a", 15_000) + ">\r\n\r\n"
	url := script(t, func(_ int, p *peer) {
		for {
			if _, ok := p.head(); !ok {
				return
			}
			for range maxInterim {
				if !p.send(hint) {
					return
				}
			}
		}
	})
	g := startRig(t, alone, withOrigin(url), withServer(func(c *Config) {
		c.BodyIdleTimeout, c.Origins[0].ResponseHeaderTimeout, c.Routes[0].Timeout = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	}))
	c := g.dial()
	shrink(t, c)
	// Each request brings two megabytes, so the buffers are full at some time.
	if err := c.Send(strings.Repeat(get, 20)); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permit", func(s RouteStats) bool { return s.Accepted > 0 })
	chaos.Await(t, patience, "end of the connection", func() bool { return g.srv.conns.size() == 0 })
}

func TestAnUnaskedUpgradeIsAFailure(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	g.eu.Set(chaos.Unasked101())
	c := g.dial()
	for _, request := range []string{get,
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n",                                    // not named by Connection
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",              // never asked for
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade, keep-alive\r\nUpgrade: echo\r\n\r\n", // HTTP/1.0 has none
	} {
		r, err := c.Do(request)
		if err != nil || r.Status != 502 {
			t.Errorf("%q: %v: %q", request, err, r.Raw)
		}
	}
}

// Bad heads are the origin's failure; the client gets 502 and never a byte of it.
func TestMalformedResponsesBecome502(t *testing.T) {
	t.Parallel()
	for _, b := range chaos.HeadFaults() {
		t.Run(b.Name(), func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone)
			g.eu.Set(b)
			c := g.dial()
			r, err := c.Do(get)
			if err != nil || r.Status != 502 || strings.Contains(r.Raw+r.Body, "Chaos") {
				t.Errorf("%v: %q %q", err, r.Raw, r.Body)
			}
			g.eu.Set(chaos.OK(10))
			r, err = c.Do(get)
			wantOK(t, r, err)
		})
	}
}

// A response that breaks off is an abort for every client.
func TestResponsesThatBreakOffNeverLookWhole(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("x", 500_000)
	for name, start := range map[string]string{
		"length":                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234",
		"nothing of the length": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
		"spliced":               "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + body,
		"chunked":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
		"in a chunk":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234",
		"in the last chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n",
		"in the trailers":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\nX-A: b\r\n",
		"bad chunk":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\nzz\r\n",
		"until close, by reset": "HTTP/1.1 200 OK\r\n\r\n01234",
	} {
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
			"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
			"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc", // still uploading
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc",
		} {
			t.Run(name+" "+request[:16], func(t *testing.T) {
				t.Parallel()
				url := script(t, func(_ int, p *peer) {
					p.head()
					if strings.HasPrefix(request, "POST") {
						p.read(3)
					}
					p.send(start)
					if strings.Contains(name, "reset") {
						time.Sleep(20 * time.Millisecond) // or the reset might destroy what was sent
						p.reset()
					}
				})
				g := startRig(t, alone, withOrigin(url))
				c := g.dial()
				r, err := c.Do(request)
				if err == nil {
					t.Errorf("looks whole: %q %q", r.Raw, r.Body)
				}
				if r.Status == 502 && name != "until close, by reset" {
					t.Errorf("an answer of our own: %q", r.Raw)
				}
				g.awaitStats("rest", atRest)
				if s := g.stats(); s.Failed != 1 {
					t.Errorf("not counted as failed: %+v", s)
				}
			})
		}
	}
}

func TestResponseHeadsUpToTheLimitPass(t *testing.T) {
	t.Parallel()
	line := "X-Filler: " + strings.Repeat("x", 988) + "\r\n" // 1000 bytes
	end := "Content-Length: 2\r\n\r\n"
	start := "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		limit, size, want int
	}{
		{0, 31_000, 200}, {0, defaultMaxHead, 200}, {0, defaultMaxHead + 1, 502}, {0, 200_000, 502},
		{100_000, 100_000, 200}, {100_000, 100_001, 502}, {4000, 4000, 200}, {4000, 4001, 502}, {4000, 15_000, 502},
	} {
		for _, slow := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.limit, tt.size, slow), func(t *testing.T) {
				t.Parallel()
				n := tt.size - len(start) - len(end)
				head := start + strings.Repeat(line, n/1000-1) + "X-Rest: " + strings.Repeat("x", 1000+n%1000-10) + "\r\n" + end
				if len(head) != tt.size {
					t.Fatal(len(head))
				}
				url := script(t, func(_ int, p *peer) {
					p.head()
					if slow {
						p.send(head[:tt.size/2])
						time.Sleep(5 * time.Millisecond)
						p.send(head[tt.size/2:] + "ok")
					} else {
						p.send(head + "ok")
					}
					p.rest()
				})
				g := startRig(t, alone, withOrigin(url), withServer(func(c *Config) { c.MaxHeaderBytes = tt.limit }))
				r, err := g.dial().Do(get)
				if err != nil || r.Status != tt.want {
					t.Errorf("%v: status %d, want %d", err, r.Status, tt.want)
				}
				if r.Status == 200 && (r.Body != "ok" || len(r.Values("X-Filler")) != n/1000-1) {
					t.Errorf("fields or body were lost: %d, %q", len(r.Values("X-Filler")), r.Body)
				}
			})
		}
	}
}

func TestHeadsByteByByteAreReadBothWays(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	g.eu.Set(chaos.ByteByByte(100, 0))
	c := g.dial()
	for _, request := range []string{get, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "\r\n" + get,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: b\r\n\r\n"} {
		if err := c.SendSlowly(request, 0); err != nil {
			t.Fatal(err)
		}
		r, err := c.ReadResponse("GET")
		wantOK(t, r, err)
		if len(r.Body) != 100 {
			t.Errorf("%d bytes", len(r.Body))
		}
	}
}
