package proxy

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/http1"
	"github.com/fairlead/fairlead/internal/upstream"
)

// chunks frames text in chunks of unequal sizes.
func chunks(text string) string {
	var b strings.Builder
	for i := 0; text != ""; i++ {
		n := min([]int{1, 7, 100, 5000}[i%4], len(text))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, text[:n])
		text = text[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func wantUpload(t *testing.T, o *chaos.Origin, id, body string) {
	t.Helper()
	a := o.Arrivals(id)
	if len(a) != 1 || a[0].Fault != "" || !a[0].BodyWhole || a[0].BodyHash != sha256.Sum256([]byte(body)) {
		t.Errorf("%s: the origin got %+v", id, a)
	}
}

// A small request cut at every point arrives the same: with its head, after
// it, or in the middle of its framing.
func TestRequestsCutAtAnyPointArriveTheSame(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	for name, request := range map[string]string{
		"length":  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nChaos-Id: ID\r\n\r\n0123456789",
		"chunked": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nChaos-Id: ID\r\n\r\n3;a=b\r\n012\r\n7\r\n3456789\r\n0\r\nX-A: b\r\n\r\n",
	} {
		c := g.dial()
		for cut := range len(request) {
			id := fmt.Sprintf("%s-%03d", name, cut)
			whole := strings.Replace(request, "ID", id, 1)
			at := min(cut, len(whole)-1)
			if err := c.Send(whole[:at]); err != nil {
				t.Fatal(err)
			}
			if cut%3 == 0 {
				time.Sleep(time.Millisecond) // so that some pieces arrive apart; nothing depends on it
			}
			// The next request comes together with the end of this one.
			if err := c.Send(whole[at:] + get); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				r, err := c.ReadResponse("POST")
				wantOK(t, r, err)
				if err != nil {
					t.Fatalf("cut at %d", cut)
				}
			}
			wantUpload(t, g.eu, id, "0123456789")
		}
	}
}

func TestBodiesOfEverySizeArriveWhole(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	sizes := []int{1, 10, inSize - 200, inSize - 1, inSize, inSize + 1, 20_000, bulkSize - roomBefore - roomAfter, bulkSize, bulkSize + 1,
		spliceFrom - 1, spliceFrom, spliceFrom + 1, spliceFrom + inSize, 2*spliceFrom + 1, 1 << 20}
	for _, framing := range []string{"length", "chunked"} {
		c := g.dial()
		for _, size := range sizes {
			for _, apart := range []bool{false, true} {
				id := fmt.Sprint(framing, size, apart)
				body := string(chaos.Body("client", id, int64(size)))
				head := "POST / HTTP/1.1\r\nHost: a\r\nChaos-Id: " + id + "\r\n"
				sent := body
				if framing == "length" {
					head += fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
				} else {
					head += "Transfer-Encoding: chunked\r\n\r\n"
					sent = chunks(body)
				}
				if apart {
					if err := c.Send(head); err != nil {
						t.Fatal(err)
					}
					head = ""
				}
				if err := c.Send(head + sent + get); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					r, err := c.ReadResponse("POST")
					wantOK(t, r, err)
					if err != nil {
						t.Fatal(id)
					}
				}
				wantUpload(t, g.eu, id, body)
			}
		}
	}
}

// Bodies that are moved from socket to socket, both ways.
func TestVeryLargeBodiesArriveWhole(t *testing.T) {
	t.Parallel()
	url := script(t, func(_ int, p *peer) {
		for {
			head, ok := p.head()
			if !ok {
				return
			}
			var n int64
			if _, length, found := strings.Cut(head, "Content-Length: "); found {
				_, _ = fmt.Sscan(length, &n)
				sum := digest(p.br, n)
				p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(sum), sum))
				continue
			}
			_, _ = fmt.Sscanf(head, "GET /%d", &n)
			p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n))
			_, _ = io.CopyN(p.Conn, pattern(), n)
		}
	})
	g := startRig(t, alone, withOrigin(url))
	sizes := []int64{1 << 20, 1<<20 + 1, 5_000_001, 64 << 20}
	if testing.Short() {
		sizes = sizes[:3]
	}
	nc, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(3 * patience))
	b := newReader(nc)
	skip := func() {
		t.Helper()
		for line := ""; line != "\r\n"; {
			if line, err = b.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, size := range sizes {
		want := digest(pattern(), size)
		_, _ = fmt.Fprintf(nc, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", size)
		skip()
		if got := digest(b, size); got != want {
			t.Errorf("download of %d: got %s, want %s", size, got, want)
		}
		_, _ = fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
		_, _ = io.CopyN(nc, pattern(), size)
		skip()
		got := make([]byte, len(want))
		if _, _ = io.ReadFull(b, got); string(got) != want {
			t.Errorf("upload of %d: got %s, want %s", size, got, want)
		}
	}
}

// A large download that the origin ends too early is an abort, wherever it ends.
func TestALargeDownloadCutAnywhereIsAnAbort(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	cuts := []int{1, bulkSize - 1, bulkSize, 3*bulkSize + 1, size - 1}
	url := script(t, func(_ int, p *peer) {
		head, _ := p.head()
		var n int
		_, _ = fmt.Sscanf(head, "GET /%d", &n)
		p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size) + strings.Repeat("x", n))
	})
	g := startRig(t, alone, withOrigin(url))
	for _, cut := range cuts {
		r, err := g.dial().Do(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", cut))
		if err == nil || len(r.Body) != cut || r.Status != 200 {
			t.Errorf("cut at %d: %d bytes, %v", cut, len(r.Body), err)
		}
	}
	g.awaitStats("failures", func(s RouteStats) bool { return s.Failed == uint64(len(cuts)) })
}

// An upload that the client ends too early never looks whole to the origin.
func TestAnUploadCutAnywhereIsNotWholeForTheOrigin(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	n := uint64(0)
	for _, size := range []int{10, 100_000, 1 << 20} {
		body := strings.Repeat("x", size)
		for name, request := range map[string]string{
			"length":  fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body),
			"chunked": "Transfer-Encoding: chunked\r\n\r\n" + strings.TrimSuffix(chunks(body), "\r\n"),
		} {
			for _, cut := range []int{1, len(request) - size/2, len(request) - 1} {
				id := fmt.Sprint(name, size, "-", cut)
				c := g.dial()
				if err := c.Send("POST / HTTP/1.1\r\nHost: a\r\nChaos-Id: " + id + "\r\n" + request[:cut]); err != nil {
					t.Fatal(err)
				}
				c.CloseWrite()
				_, _ = c.ReadAll()
				c.Close()
				if a := g.eu.Arrivals(id); len(a) > 1 || len(a) == 1 && a[0].BodyWhole {
					t.Errorf("%s: %+v", id, a)
				}
			}
		}
	}
	g.awaitStats("rest", atRest)
	if s := g.stats(); s.Served != n || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// bounded is more than the four sockets between a client and an origin hold when
// the system lets them grow, and much less than the body that is sent.
const bounded = 128 << 20

// A client that does not read stops the origin after a bounded number of bytes.
func TestASlowClientHoldsBackItsOrigin(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 1000000000", "Transfer-Encoding: chunked", "X-Until: close"} {
		t.Run(framing, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			url := script(t, func(_ int, p *peer) {
				p.head()
				p.send("HTTP/1.1 200 OK\r\n" + framing + "\r\n\r\n")
				piece := "8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n"
				for p.send(piece) {
					sent.Add(int64(len(piece)))
				}
			})
			g := startRig(t, alone, withOrigin(url))
			c := g.dial()
			shrink(t, c)
			if err := c.Send(get); err != nil {
				t.Fatal(err)
			}
			awaitStill(t, &sent)
			if n := sent.Load(); n > bounded {
				t.Errorf("the origin got rid of %d bytes", n)
			}
			if got, err := c.Read(1000); len(got) != 1000 || err != nil {
				t.Errorf("then it reads: %d, %v", len(got), err)
			}
			c.Close()
			g.awaitLeft(1)
		})
	}
}

// An origin that does not read stops the client after a bounded number of bytes.
func TestASlowOriginHoldsBackItsClient(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 1000000000", "Transfer-Encoding: chunked"} {
		t.Run(framing, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone)
			g.eu.Set(chaos.Unread())
			c := g.dial()
			var sent atomic.Int64
			if err := c.Send("POST / HTTP/1.1\r\nHost: a\r\n" + framing + "\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				piece := "8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n"
				for c.Send(piece) == nil {
					sent.Add(int64(len(piece)))
				}
			}()
			awaitStill(t, &sent)
			if n := sent.Load(); n > bounded {
				t.Errorf("the client got rid of %d bytes", n)
			}
			c.Reset()
			<-done
			g.awaitLeft(1)
		})
	}
}

// awaitStill waits until a count has stood still for a while.
func awaitStill(t *testing.T, count *atomic.Int64) {
	t.Helper()
	last, since := int64(-1), time.Now()
	chaos.Await(t, 2*patience, "standstill", func() bool {
		if n := count.Load(); n != last || n == 0 {
			last, since = n, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
}

// stoppable is a bodySource that only remembers whether it was stopped.
type stoppable struct {
	conn
	stopped bool
}

func (s *stoppable) stopBody() { s.stopped = true }

// When a response has come to its end, the goroutine of an upload may not have
// got round to saying that it has, too. The client's connection is stopped only
// if some of the body is still on it, for it can't be used again.
func TestTheEndOfAnUploadMayBeSeenLate(t *testing.T) {
	t.Parallel()
	url := script(t, func(_ int, p *peer) { p.rest() })
	o := upstream.New(upstream.Config{Name: "eu", Address: strings.TrimPrefix(url, "http://")})
	for _, ended := range []bool{true, false} {
		oc, err := o.NewPool(0).Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer oc.Close()
		source := &stoppable{}
		var u upload
		u.set(source, http1.BodyLength, 10, nil, false)
		u.running = make(chan struct{})
		u.ended.Store(ended)
		go func() {
			time.Sleep(3 * lastWrite) // as on a busy machine
			u.ended.Store(true)
			u.written.Store(true)
			close(u.running)
		}()
		u.halt(oc)
		if source.stopped == ended || u.unread() == ended {
			t.Errorf("ended %v: stopped %v, unread %v", ended, source.stopped, u.unread())
		}
	}
}
