package proxy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/fairlead/fairlead/internal/chaos"
)

func TestBrokenOffResponseNeverLooksWhole(t *testing.T) {
	for _, fault := range chaos.BodyFaults() {
		for _, size := range []int64{100, 10_000, 100_000, 2 << 20} {
			for _, method := range []string{"GET", "POST"} {
				t.Run(fmt.Sprint(fault.Name(), " ", method, " ", size), func(t *testing.T) {
					t.Parallel()
					var log journal
					var told failures
					g := startRig(t, log.logged, told.counted)
					g.eu.Set(fault)
					q := chaos.Request{Method: method, WantSize: size}
					if method == "POST" {
						q.BodySize = 1000
					}
					r := g.ask(q)
					// Whether the head comes before the abort is up to the origin's kernel.
					if r.Kind != chaos.Aborted && (r.Status != 502 || r.Origin != "") && !(method == "GET" && r.Kind == chaos.Served && r.Origin == "us") {
						t.Errorf("got %v", r)
					}
					if r.Kind == chaos.Aborted {
						if n := g.us.Arrived(); n != 0 {
							t.Error("it was sent to the secondary after the commit")
						}
						rec := log.find(t, r.ID)
						if rec.Decision != "failed" || rec.WhyNot != "committed" || len(rec.Attempts) != 1 || rec.Attempts[0].Class != "reset" && rec.Attempts[0].Class != "malformed" {
							t.Errorf("record %+v", rec)
						}
						if n := told.n.Load(); n != 1 {
							t.Errorf("%d failures told", n)
						}
					}
					g.judge(r)
				})
			}
		}
	}
}

// breaking answers with the bytes and then ends the connection by a reset or in
// an orderly way.
func breaking(t *testing.T, answer string, reset bool) string {
	t.Helper()
	return script(t, func(_ int, p *peer) {
		if _, ok := p.head(); !ok || !p.send(answer) {
			return
		}
		if reset {
			p.reset()
		}
	})
}

// The end of a response to an HTTP/1.0 client is the end of its connection, if
// the length is not known. So the abort has to be a reset.
func TestHTTP10ClientSeesAResetWhereTheEndWouldLookWhole(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 8<<10)
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		name, give string
		reset      bool
	}{
		{"chunked, closed", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false},
		{"chunked, reset", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true},
		{"chunked, bad", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", false},
		{"chunked, in the trailer", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n", false},
		{"until close, reset", ok + "\r\nhello", true},
		{"long chunked, closed", ok + "Transfer-Encoding: chunked\r\n\r\n20000\r\n" + long + "\r\n", false},
	}
	requests := map[string]string{
		"GET":          "GET / HTTP/1.0\r\n\r\n",
		"keep-alive":   "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"POST":         "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab",
		"POST, unread": "POST / HTTP/1.0\r\nContent-Length: 100000\r\n\r\nab",
	}
	for _, tt := range tests {
		for name, request := range requests {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				t.Parallel()
				g := startRig(t, alone, withOrigin(breaking(t, tt.give, tt.reset)))
				c := g.dial()
				if err := c.Send(request); err != nil {
					t.Fatal(err)
				}
				got, err := c.ReadAll()
				if strings.HasPrefix(got, "HTTP/1.1 502 ") {
					return // the reset overtook the head
				}
				if !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("got %.80q and then %v, want a reset", got, err)
				}
			})
		}
	}
}

func TestHTTP10ClientGetsAWholeResponseWithAnOrderlyEnd(t *testing.T) {
	for name, give := range map[string]string{
		"chunked":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"until close": "HTTP/1.1 200 OK\r\n\r\nhello",
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone, withOrigin(breaking(t, give, false)))
			c := g.dial()
			if err := c.Send("GET / HTTP/1.0\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			got, err := c.ReadAll()
			if err != nil || !strings.HasSuffix(got, "\r\n\r\nhello") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestChunkedResponseThatBreaksOffHasNoLastChunk(t *testing.T) {
	for name, give := range map[string]string{
		"chunked":            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"inside of a chunk":  "Transfer-Encoding: chunked\r\n\r\n50\r\nhello",
		"inside of its size": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1",
		"in the trailer":     "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n",
		"before its end":     "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone, withOrigin(breaking(t, "HTTP/1.1 200 OK\r\n"+give, false)))
			c := g.dial()
			resp, err := c.Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %q, %v, want it broken off", resp.Body, err)
			}
			if !c.Closed() {
				t.Error("the connection goes on")
			}
		})
	}
}
