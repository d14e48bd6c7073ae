//go:build unix

package main

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// late is how much longer than it should something may take on a machine that is
// busy with other tests.
const late = 3 * time.Second

// Types of frames, RFC 9113, section 6.
const (
	frameData    = 0
	frameHeaders = 1
	frameSetting = 4
	frameGoAway  = 7
)

// speaker speaks HTTP/2 with prior knowledge.
type speaker struct {
	t  *testing.T
	nc net.Conn
}

func speak(t *testing.T, address string) *speaker {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(2 * patience))
	s := &speaker{t, nc}
	s.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(frameSetting, 0, 0, ""))
	return s
}

func frame(typ, flags byte, stream uint32, payload string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(typ))
	head = append(head, flags)
	return string(binary.BigEndian.AppendUint32(head, stream)) + payload
}

func (s *speaker) send(bytes string) {
	s.t.Helper()
	if _, err := io.WriteString(s.nc, bytes); err != nil {
		s.t.Fatal(err)
	}
}

// get sends a GET without a body, its head as RFC 7541, 6.1 and 6.2.2 have it.
func (s *speaker) get(stream uint32, path string) {
	s.t.Helper()
	s.send(frame(frameHeaders, 0x4|0x1, stream, "\x82\x86\x04"+string(rune(len(path)))+path+"\x01\x01a"))
}

// until reads frames up to one of that type on that stream. It reports false if the
// connection ends before, and whether there was a GOAWAY.
func (s *speaker) until(typ byte, stream uint32) (found, goAway bool) {
	for {
		var head [9]byte
		if _, err := io.ReadFull(s.nc, head[:]); err != nil {
			return false, goAway
		}
		if _, err := io.CopyN(io.Discard, s.nc, int64(binary.BigEndian.Uint32(head[:4])>>8)); err != nil {
			return false, goAway
		}
		goAway = goAway || head[3] == frameGoAway
		if head[3] == typ && binary.BigEndian.Uint32(head[5:])&(1<<31-1) == stream {
			return true, goAway
		}
	}
}

// SIGTERM lets what is in flight finish, tells each client that this was all,
// and cuts off what hangs when drain_timeout is over. A drain with nothing
// but hung requests is no failure.
func TestADrainFinishesWhatMovesAndCutsOffWhatHangs(t *testing.T) {
	t.Parallel()
	const drain = 2 * time.Second
	s := newShop(t)
	s.drain, s.server = drain, "h2c = true"
	answer := make(chan struct{})
	s.eu.SetPath("/slow", chaos.OK(3000).When(answer))
	s.eu.SetPath("/hung", chaos.Hang())
	s.eu.SetPath("/half", chaos.StallMidBody())
	p := s.setup().start(t)

	request := func(path string) *chaos.Raw {
		c := chaos.Dial(t, "tcp", p.address)
		t.Cleanup(c.Close)
		if err := c.Send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	slow, hung, half := request("/slow"), request("/hung"), request("/half")
	idle := chaos.Dial(t, "tcp", p.address)
	t.Cleanup(idle.Close)
	if r, err := idle.Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil || r.Status != 200 {
		t.Fatal(r.Status, err)
	}
	two := speak(t, p.address)
	two.get(1, "/slow")
	two.get(3, "/hung")
	chaos.Await(t, patience, "requests", func() bool {
		return arrivedAt(s.eu, "/slow") == 2 && arrivedAt(s.eu, "/hung") == 2 && arrivedAt(s.eu, "/half") == 1
	})

	from := time.Now()
	p.signal(syscall.SIGTERM)
	p.await("draining", nil)
	if found, _ := two.until(frameGoAway, 0); !found {
		t.Error("HTTP/2: no GOAWAY")
	}
	if !idle.Closed() {
		t.Error("an idle connection is kept")
	}
	if c, err := net.Dial("tcp", p.address); err == nil {
		_ = c.Close()
		t.Error("a new connection is accepted")
	}
	close(answer)
	r, err := slow.ReadResponse("GET")
	if err != nil || r.Status != 200 || len(r.Body) != 3000 || !strings.EqualFold(r.Get("Connection"), "close") {
		t.Errorf("the slow request got %d, %d bytes, Connection: %s, %v", r.Status, len(r.Body), r.Get("Connection"), err)
	}
	if found, _ := two.until(frameData, 1); !found {
		t.Error("HTTP/2: the slow request got no body")
	}
	r, err = hung.ReadResponse("GET")
	if err == nil && r.Status < 500 {
		t.Errorf("the hung request got %d", r.Status)
	}
	if r, err := half.ReadResponse("GET"); err == nil {
		t.Errorf("half a response was ended as if it were whole: %d, %d bytes", r.Status, len(r.Body))
	}
	code := p.code()
	took := time.Since(from)
	t.Logf("drain_timeout %v, took %v", drain, took)
	if code != exitDone || took < drain-100*time.Millisecond || took > drain+time.Second+late {
		t.Errorf("exit code %d after %v, want %d after %v", code, took, exitDone, drain)
	}
	p.totals("read")
}

func TestASecondSIGTERMEndsADrainAtOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.drain = time.Hour
	s.eu.Set(chaos.Hang())
	s.eu.SetPath("/healthz", chaos.OK(2))
	p := s.setup().start(t)
	answer := fetch(t.Context(), "POST", "http://"+p.address+"/")
	chaos.Await(t, patience, "request", func() bool { return arrivedAt(s.eu, "/") == 1 })
	p.signal(syscall.SIGTERM)
	p.await("draining", nil)
	from := time.Now()
	p.signal(syscall.SIGTERM)
	if code, took := p.code(), time.Since(from); code != exitDone || took > late {
		t.Errorf("exit code %d after %v", code, took)
	}
	if a := <-answer; a.err == nil && a.status < 500 {
		t.Errorf("the request in flight got %+v", a)
	}
	if text := p.stderr.String(); !strings.Contains(text, "interrupted") {
		t.Errorf("stderr doesn't say that a request was interrupted: %s", text)
	}
}

// A process that was replaced cuts off what hangs after drain_timeout too, and
// ends; SIGTERM takes the patience from it with clients that only wait.
func TestAReplacedProcessEndsWithinDrainTimeout(t *testing.T) {
	t.Parallel()
	const drain = 2 * time.Second
	for name, hurry := range map[string]bool{"alone": false, "SIGTERM": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.drain = drain
			if hurry {
				s.drain = 10 * time.Minute
			}
			s.eu.SetPath("/hung", chaos.Hang())
			p := s.setup().start(t)
			idle := chaos.Dial(t, "tcp", p.address)
			defer idle.Close()
			if r, err := idle.Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil || r.Status != 200 {
				t.Fatal(r.Status, err)
			}
			if !hurry {
				fetch(t.Context(), "GET", "http://"+p.address+"/hung")
				chaos.Await(t, patience, "request", func() bool { return arrivedAt(s.eu, "/hung") == 1 })
			}
			from := time.Now()
			old := p.successor()
			if hurry {
				if err := old.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			p.gone(old)
			if took := time.Since(from); took > drain+time.Second+late {
				t.Errorf("it ended after %v, want %v", took, s.drain)
			}
			if !idle.Closed() {
				t.Error("the idle connection is open, though its process has ended")
			}
			if a := <-fetch(t.Context(), "GET", "http://"+p.address+"/"); a.status != 200 {
				t.Errorf("the new process answers %+v", a)
			}
			if code := p.end(); code != exitDone {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
