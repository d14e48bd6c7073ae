package proxy

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// A client that goes on sending a body that nobody wants still gets to read why.
func TestARefusalSurvivesABodyThatIsOnItsWay(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withRoute(func(r *Route) { r.MaxBodyBytes = 1000; r.Match = "/route" }))
	for _, head := range []string{
		"POST /elsewhere HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n",
		"POST /route HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n",
		"POST /route HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\nContent-Length: 200000\r\n\r\n",
		"POST /a/.. HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n",
	} {
		c := g.dial()
		if err := c.Send(head); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if err := c.Send(strings.Repeat("x", 10_000)); err != nil {
				t.Errorf("%q: %v", head, err)
				break
			}
		}
		r, err := c.ReadResponse("POST")
		if err != nil || r.Status < 400 || r.Get("Connection") != "close" {
			t.Errorf("%q: %v, %q", head, err, r.Raw)
		}
		if !c.Closed() {
			t.Error("the connection stays open")
		}
	}
	if n := len(g.eu.AllArrivals()); n != 0 {
		t.Errorf("%d requests reached the origin", n)
	}
}

func TestBodiesOverTheLimitAreRefused(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	tests := []struct {
		name string
		size int
		want int
	}{
		{"at the limit", limit, 200},
		{"one over", limit + 1, 413},
		{"far over", 20 * limit, 413},
	}
	for _, framing := range []string{"length", "chunked"} {
		for _, tt := range tests {
			t.Run(framing+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				g := startRig(t, alone, withRoute(func(r *Route) { r.MaxBodyBytes = limit }))
				c := g.dial()
				body := strings.Repeat("x", tt.size)
				request := "POST / HTTP/1.1\r\nHost: a\r\n"
				if framing == "length" {
					request += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", tt.size, body)
				} else {
					request += fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", tt.size, body)
				}
				go c.Send(request)
				r, err := c.ReadResponse("POST")
				if err != nil || r.Status != tt.want {
					t.Fatalf("%v: %q", err, r.Raw)
				}
				if tt.want == 200 {
					return
				}
				if r.Get("Connection") != "close" {
					t.Errorf("Connection: %q", r.Get("Connection"))
				}
				for _, a := range g.eu.AllArrivals() {
					if a.BodyWhole || framing == "length" {
						t.Errorf("the origin got %+v", a)
					}
				}
			})
		}
	}
}

// Small chunked bodies are here with their head.
func TestASmallBodyOverTheLimitNeverReachesTheOrigin(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withRoute(func(r *Route) { r.MaxBodyBytes = 5 }))
	for _, request := range []string{
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n",
	} {
		c := g.dial()
		r, err := c.Do(request)
		if err != nil || r.Status != 413 || r.Get("Connection") != "close" || !c.Closed() {
			t.Errorf("%v: %q", err, r.Raw)
		}
	}
	if n := len(g.eu.AllArrivals()); n != 0 {
		t.Errorf("%d requests reached the origin", n)
	}
}

// The end of a streamed body brings as many requests as a bulk buffer holds and
// the beginning of a head without end: it ends one connection and no more.
func TestAnEndlessHeadBehindAStreamedBodyIsRefused(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withRoute(func(r *Route) { r.Match = "POST /" })) // so the GETs need no origin
	c := g.dial()
	if err := c.Send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
	const last = "0\r\n\r\n"
	many := (bulkSize - roomBefore - roomAfter - len(last)) / len(get)
	go c.Send(last + strings.Repeat(get, many) + "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", lingerBytes/2))
	r, err := c.ReadResponse("POST")
	wantOK(t, r, err)
	for range many {
		if r, err := c.ReadResponse("GET"); r.Status != 404 {
			t.Fatalf("%v: %q", err, r.Raw)
		}
	}
	if r, err := c.ReadResponse("GET"); r.Status != 431 {
		t.Errorf("%v: %q", err, r.Raw)
	}
}

// As above, when the head has filled a buffer that the upload made larger than
// any head may be.
func TestAFullBufferIsNoObstacleToAClose(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	url := script(t, func(_ int, p *peer) {
		p.rest()
		close(gone)
	})
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	srv := startRig(t).srv
	c := newConn(srv, srv.listeners[0], nc)
	c.bufs = &buffers{in: make([]byte, 80<<10)}
	c.w, c.lingering = len(c.bufs.in), true
	c.drainClient()
	_ = nc.Close()
	<-gone
}
