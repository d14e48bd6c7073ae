package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/internal/chaos"
)

// A record may come in pieces, several in one piece, and the end of one with the
// beginning of the next.
func TestRecordsAreReadHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS)
	for _, size := range []int{1, 7, 100, 5000} {
		nc, err := net.Dial("tcp", g.tlsAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		cut := &cutter{Conn: nc, size: size}
		c := tls.Client(cut, clientTLS())
		in := readingEnd(c)
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			cut.held = true
			io.WriteString(c, get)
			io.WriteString(c, get+get[:20])
			io.WriteString(c, get[20:])
			cut.release()
			for range 3 {
				if status, _, err := in.response("GET"); status != 200 {
					t.Fatalf("pieces of %d: %d, %v", size, status, err)
				}
			}
		}
	}
}

// cutter keeps what is written and sends it in pieces.
type cutter struct {
	net.Conn
	size int
	held bool
	kept []byte
}

func (c *cutter) Write(p []byte) (int, error) {
	if !c.held {
		return c.Conn.Write(p)
	}
	c.kept = append(c.kept, p...)
	return len(p), nil
}

func (c *cutter) release() {
	for piece := range slices.Chunk(c.kept, c.size) {
		c.Conn.Write(piece)
		if c.size < 100 {
			time.Sleep(50 * time.Microsecond) // so that some come alone
		}
	}
	c.held, c.kept = false, nil
}

// Head and body of a small response leave in one record.
func TestASmallResponseIsOneRecord(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS)
	// In one write, so that it comes in one read, however busy the machine is.
	chunked := chaos.Bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n, you!\r\n0\r\n\r\n")
	for _, behaviour := range []chaos.Behaviour{chaos.OK(1024), chunked, chaos.OK(0)} {
		g.eu.Set(behaviour)
		nc, err := net.Dial("tcp", g.tlsAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		count := &counting{Conn: nc}
		c := tls.Client(count, clientTLS())
		in := readingEnd(c)
		for i := range 5 {
			before := count.records.whole
			io.WriteString(c, get)
			status, _, err := in.response("GET")
			if n := count.records.whole - before; status != 200 || i > 0 && n != 1 {
				t.Errorf("%s: %d in %d records, %v", behaviour.Name(), status, n, err)
			}
		}
	}
}

// counting counts the records that are read.
type counting struct {
	net.Conn
	records records
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.records.saw(p[:n])
	return n, err
}

// Records are found however they are cut.
func TestTheBoundariesOfRecordsAreFollowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		ends := map[int]int{0: 0}
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 700), 1, 8).Draw(t, "records") {
			stream = append(stream, 23, 3, 3, byte(n>>8), byte(n))
			stream = append(stream, make([]byte, n)...)
			ends[len(stream)] = i + 1
		}
		var r records
		whole, at := 0, 0
		for at < len(stream) {
			n := min(rapid.IntRange(1, 400).Draw(t, "piece"), len(stream)-at)
			r.saw(stream[at : at+n])
			for i := at + 1; i <= at+n; i++ {
				whole = max(whole, ends[i])
			}
			at += n
			_, end := ends[at]
			if r.whole != whole || r.within() == end {
				t.Fatalf("at %d: %d records, within: %v; want %d, %v", at, r.whole, r.within(), whole, !end)
			}
		}
	})
}

// A connection that waits has no buffer of ours, whatever came before. The
// test is the connection's goroutine, and ends its waits.
func TestAnIdleTLSConnectionHoldsNoBuffer(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := newConn(g.srv, g.srv.listeners[1], nc)
	if c.raw == nil {
		t.Skip("here a connection can't be waited for without a buffer")
	}
	client := tls.Client(theirs, clientTLS())
	in := readingEnd(client)
	during := func(what string, act func() error) {
		t.Helper()
		ended := make(chan error)
		go func() {
			err := act()
			c.wake()
			ended <- err
		}()
		for c.await() == nextServe {
			c.x.serve()
			c.turn()
		}
		if err := <-ended; err != nil || c.bufs != nil {
			t.Errorf("after %s: %v; it has a buffer: %v", what, err, c.bufs != nil)
		}
		c.revive()
	}
	request := func(text string) func() error {
		return func() error {
			io.WriteString(client, text)
			status, _, err := in.response("GET")
			if status != 200 {
				t.Errorf("got %d", status)
			}
			return err
		}
	}
	go client.Handshake()
	if !c.handshake() {
		t.Fatal("no handshake")
	}
	c.rest()
	during("nothing", func() error { return nil })
	during("a GET", request(get))
	during("an upload", request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 100_000)))
	during("a part of a record", func() error {
		theirs.Write([]byte{23, 3, 3})
		chaos.Await(t, patience, "part of a head", func() bool { return phase(c.x.mark.Load()&phaseBits) == phaseHead })
		return nil
	})
}

// Who sends a record drop by drop has the time that a head has, and no buffer.
func TestAPartOfARecordIsTheBeginningOfAHead(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withTLS, withServer(func(c *Config) { c.RequestHeaderTimeout = 200 * time.Millisecond }))
	c := g.mustDialTLS()
	c.do(t, get, "GET")
	c.tcp.Write([]byte{23, 3, 3, 0, 100, 1})
	if status, _, err := c.response("GET"); status != 408 {
		t.Errorf("%d, %v", status, err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after it: %v", err)
	}
}
