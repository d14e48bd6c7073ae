package proxy

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// An origin may answer before it has read the upload. The client gets the
// answer, whole, and then the end of the connection.
func TestAnEarlyAnswerReachesTheClient(t *testing.T) {
	t.Parallel()
	bodies := []struct {
		name, framing, first string
	}{
		{"length, nothing sent", "Content-Length: 1000000", ""},
		{"length, some sent", "Content-Length: 1000000", strings.Repeat("x", 100_000)},
		{"chunked, nothing sent", "Transfer-Encoding: chunked", ""},
		{"chunked, some sent", "Transfer-Encoding: chunked", "10\r\n0123456789abcdef\r\n8\r\n012"},
	}
	answers := []struct {
		name, head, body string
	}{
		{"413", "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\n", "much"},
		{"200", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", strings.Repeat("y", 100_000)},
		{"200 chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nmuch\r\n0\r\n\r\n"},
		{"200 until close", "HTTP/1.1 200 OK\r\n\r\n", "much"},
	}
	for _, b := range bodies {
		for _, a := range answers {
			t.Run(b.name+" "+a.name, func(t *testing.T) {
				t.Parallel()
				url := script(t, func(_ int, p *peer) {
					p.head()
					p.send(a.head + a.body)
					if strings.Contains(a.name, "until close") {
						_ = p.Conn.(*net.TCPConn).CloseWrite()
					}
					p.rest()
				})
				g := startRig(t, alone, withOrigin(url))
				c := g.dial()
				if err := c.Send("POST / HTTP/1.1\r\nHost: a\r\n" + b.framing + "\r\n\r\n" + b.first); err != nil {
					t.Fatal(err)
				}
				r, err := c.ReadResponse("POST")
				if err != nil {
					t.Fatalf("%v after %q", err, r.Raw)
				}
				if r.Get("Connection") != "close" {
					t.Errorf("Connection: %q", r.Get("Connection"))
				}
				want := a.body
				if r.Chunked {
					want = "much"
				}
				if r.Body != want {
					t.Errorf("got %d bytes, want %d", len(r.Body), len(want))
				}
				if !c.Closed() {
					t.Error("the connection stays open")
				}
				g.awaitStats("rest", atRest)
				if s := g.stats(); s.Served != 1 {
					t.Errorf("not counted as served: %+v", s)
				}
			})
		}
	}
}

// echo answers at once and sends back what it reads, in the request's framing.
func echo(_ int, p *peer) {
	for {
		head, ok := p.head()
		if !ok {
			return
		}
		if _, length, found := strings.Cut(head, "Content-Length: "); found {
			var n int64
			_, _ = fmt.Sscan(length, &n)
			p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n))
			if _, err := io.CopyN(p.Conn, p.br, n); err != nil {
				return
			}
			continue
		}
		p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			size, err := p.br.ReadString('\n')
			if err != nil {
				return
			}
			var n int
			_, _ = fmt.Sscanf(size, "%x", &n)
			p.send(size + p.read(n+2))
			if n == 0 {
				break
			}
		}
	}
}

// Each byte goes to the origin, comes back and reaches the client before the
// next one is sent, so nothing waits for the end of either body.
func TestBodiesStreamBothWaysAtOnce(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 20", "Transfer-Encoding: chunked"} {
		t.Run(framing, func(t *testing.T) {
			t.Parallel()
			g := startRig(t, alone, withOrigin(script(t, echo)))
			c := g.dial()
			for range 3 {
				if err := c.Send("POST / HTTP/1.1\r\nHost: a\r\n" + framing + "\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				head := readHead(t, c)
				if !strings.HasPrefix(head, "HTTP/1.1 200 ") {
					t.Fatal(head)
				}
				for i := range 20 {
					piece := string(rune('a' + i))
					if strings.HasPrefix(framing, "Transfer") {
						piece = "1\r\n" + piece + "\r\n"
					}
					if err := c.Send(piece); err != nil {
						t.Fatal(err)
					}
					if got, err := c.Read(len(piece)); got != piece || err != nil {
						t.Fatalf("sent %q, got %q, %v", piece, got, err)
					}
				}
				if strings.HasPrefix(framing, "Transfer") {
					if err := c.Send("0\r\n\r\n"); err != nil {
						t.Fatal(err)
					}
					if got, err := c.Read(5); got != "0\r\n\r\n" || err != nil {
						t.Fatalf("got %q, %v", got, err)
					}
				}
				if strings.Contains(head, "Connection: close") {
					return // said so, since the upload was not over when the head was sent
				}
			}
		})
	}
}

// readHead reads a response's head as it stands.
func readHead(t *testing.T, c *chaos.Raw) string {
	t.Helper()
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		b, err := c.Read(1)
		head.WriteString(b)
		if err != nil {
			t.Fatalf("%v after %q", err, head.String())
		}
	}
	return head.String()
}

// Both bodies are large enough to be spliced, at the same time.
func TestLargeBodiesMoveBothWaysAtOnceUnharmed(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	arrived := make(chan string, 1)
	url := script(t, func(_ int, p *peer) {
		for {
			if _, ok := p.head(); !ok {
				return
			}
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size+1))
				_, _ = io.CopyN(p.Conn, pattern(), size)
			}()
			// The last byte waits for the upload, since the end of a response
			// ends what the origin did not want to wait for.
			arrived <- digest(p.br, size)
			<-sent
			p.send(".")
		}
	})
	g := startRig(t, alone, withOrigin(url))
	want := digest(pattern(), size)
	for range 3 {
		nc, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(2 * patience))
		go func() {
			_, _ = fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
			_, _ = io.CopyN(nc, pattern(), size)
		}()
		b := newReader(nc)
		for line := ""; line != "\r\n"; {
			if line, err = b.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if got := digest(b, size); got != want {
			t.Errorf("the response: got %s, want %s", got, want)
		}
		if got := <-arrived; got != want {
			t.Errorf("the request: got %s, want %s", got, want)
		}
	}
}

// digest sums up n bytes of r; of fewer it says how many there were.
func digest(r io.Reader, n int64) string {
	h := sha256.New()
	got, err := io.CopyN(h, r, n)
	if err != nil {
		return fmt.Sprintf("%v after %d of %d bytes", err, got, n)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}
