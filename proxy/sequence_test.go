package proxy

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/internal/chaos"
)

// A sequence of requests over one connection gets the same answers whether it
// arrives whole, byte by byte or in any other pieces, and each of them reaches
// the origin once, as it was sent.
func TestAnySequenceCutAnywhereGetsTheSameAnswers(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withRoute(func(r *Route) { r.MaxBodyBytes = 100_000 }))
	g.eu.SetPath("/chunked", chaos.Chunked(50))
	g.eu.SetPath("/interim", chaos.Interim(2))
	g.eu.SetPath("/304", chaos.Status(304))
	rapid.Check(t, func(t *rapid.T) {
		requests := rapid.SliceOfN(rapid.Custom(drawRequest), 1, 12).Draw(t, "requests")
		var all strings.Builder
		for i := range requests {
			requests[i].id = chaos.NewID()
			all.WriteString(requests[i].bytes())
		}
		text := all.String()
		var pieces []string
		switch rapid.IntRange(0, 3).Draw(t, "how") {
		case 0:
			pieces = []string{text}
		case 1:
			for i := range min(len(text), 3000) {
				pieces = append(pieces, text[i:i+1])
			}
			pieces = append(pieces, text[len(pieces):])
		default:
			cuts := rapid.SliceOfN(rapid.IntRange(0, len(text)), 1, 10).Draw(t, "cuts")
			from := 0
			for _, cut := range cuts {
				if cut > from {
					pieces, from = append(pieces, text[from:cut]), cut
				}
			}
			pieces = append(pieces, text[from:])
		}
		nc, err := net.DialTimeout("tcp", g.addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(2 * patience))
		pause := rapid.SampledFrom([]time.Duration{0, 0, 200 * time.Microsecond}).Draw(t, "pause")
		go func() {
			for i, p := range pieces {
				if _, err := nc.Write([]byte(p)); err != nil {
					return
				}
				if i < 20 {
					time.Sleep(pause)
				}
			}
		}()
		c := readingEnd(nc)
		for _, q := range requests {
			status, body, err := c.response(q.method)
			wantStatus, wantBody := q.want()
			if err != nil || status != wantStatus || body != wantBody {
				t.Fatalf("%s %s: got %d, %d bytes, %v; want %d, %d bytes", q.method, q.path, status, len(body), err, wantStatus, len(wantBody))
			}
			a := g.eu.Arrivals(q.id)
			if len(a) != 1 || a[0].Fault != "" || a[0].BodyLen != int64(q.size) || a[0].Method != q.method || a[0].Target != q.path+"?q="+q.id {
				t.Fatalf("%s %s: the origin got %+v", q.method, q.path, a)
			}
			if q.ends() {
				break
			}
		}
	})
}

// drawn is one request of a sequence.
type drawn struct {
	method, path string
	size         int // of the body
	chunked      bool
	version      string
	field        string
	answer       int // size of the answer
	id           string
}

func drawRequest(t *rapid.T) drawn {
	q := drawn{
		method:  rapid.SampledFrom([]string{"GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}).Draw(t, "method"),
		path:    rapid.SampledFrom([]string{"/a", "/a", "/b/c", "/chunked", "/interim", "/304"}).Draw(t, "path"),
		version: rapid.SampledFrom([]string{"1.1", "1.1", "1.1", "1.0"}).Draw(t, "version"),
		field:   rapid.SampledFrom([]string{"", "", "X-A: b\r\n", "Connection: x-a\r\nX-A: b\r\n", "TE: trailers\r\n", "Cookie: " + strings.Repeat("c", 3000) + "\r\n"}).Draw(t, "field"),
		answer:  rapid.SampledFrom([]int{1, 100, 5000, 20_000}).Draw(t, "answer"),
	}
	if q.method != "GET" && q.method != "HEAD" && q.method != "OPTIONS" {
		q.size = rapid.SampledFrom([]int{0, 1, 50, 4000, 5000, 70_000}).Draw(t, "size")
		q.chunked = q.version == "1.1" && rapid.Bool().Draw(t, "chunked")
	}
	return q
}

// ends reports whether the connection ends with the answer: HTTP/1.0 knows no chunks.
func (q *drawn) ends() bool { return q.version == "1.0" && q.path == "/chunked" && q.method != "HEAD" }

func (q *drawn) bytes() string {
	head := fmt.Sprintf("%s %s?q=%s HTTP/%s\r\nHost: a\r\nChaos-Id: %s\r\nChaos-Size: %d\r\n%s", q.method, q.path, q.id, q.version, q.id, q.answer, q.field)
	if q.version == "1.0" {
		head += "Connection: keep-alive\r\n"
	}
	body := string(chaos.Body("client", q.id, int64(q.size)))
	switch {
	case q.chunked:
		return head + "Transfer-Encoding: chunked\r\n\r\n" + chunks(body)
	case q.size > 0:
		return head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", q.size, body)
	}
	return head + "\r\n"
}

func (q *drawn) want() (status int, body string) {
	if q.path == "/304" {
		return 304, ""
	}
	if q.method == "HEAD" {
		return 200, ""
	}
	return 200, string(chaos.Body("eu", q.id, int64(q.answer)))
}
