package health

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A conduct is how an origin in memory treats one connection.
type conduct uint8

const (
	answers conduct = iota
	answers503
	refuses
	blackholes  // the connection is never made
	staysMute   // accepts, reads, never answers
	answersLate // after the probe's time-out
	dialsLate   // pays no heed to the time-out, and then answers
)

// late is when an origin that is late does what it does: after any time-out
// that tests use.
const late = 6 * time.Second

// A plan says what an origin does with the n-th probe, counted from 0.
type plan func(w *world, n int) conduct

// A world is an origin in memory with a Checker that probes it, in a bubble.
type world struct {
	*Checker
	began time.Time
	skew  atomic.Int64 // what the checker's clock is ahead by

	plan plan

	mu     sync.Mutex
	probes []time.Duration // when each was dialled, since began
	events []Event
}

// inWorld runs a Checker against an origin that follows p, and play beside them.
// Nothing may be left running when play is through.
func inWorld(t *testing.T, cfg Config, p plan, play func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now(), plan: p}
		w.Checker = w.newChecker(t, cfg)
		ctx, cancel := context.WithCancelCause(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := w.Run(ctx); !errors.Is(err, errOver) {
				t.Errorf("Run returned %v, want its context's cause", err)
			}
		})
		play(w)
		cancel(errOver)
		running.Wait()
	})
}

var errOver = errors.New("the play is over")

func (w *world) newChecker(t *testing.T, cfg Config) *Checker {
	cfg.Origin = "eu"
	cfg.URL = mustURL(t, "http://origin.test")
	if cfg.Dial == nil {
		cfg.Dial = w.dial
	}
	checker, err := NewChecker(cfg, w.record)
	if err != nil {
		t.Fatal(err)
	}
	checker.now = func() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }
	return checker
}

// stall lets our process stand still for d: its clock jumps.
func (w *world) stall(d time.Duration) { w.skew.Add(int64(d)) }

func (w *world) record(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *world) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	w.mu.Lock()
	n := len(w.probes)
	w.probes = append(w.probes, time.Since(w.began))
	w.mu.Unlock()
	does := w.plan(w, n)
	switch does {
	case refuses:
		return nil, syscall.ECONNREFUSED
	case blackholes:
		<-ctx.Done()
		return nil, ctx.Err()
	case dialsLate:
		time.Sleep(late)
		does = answers
	}
	ours, theirs := net.Pipe()
	go serve(theirs, does)
	return ours, nil
}

func serve(conn net.Conn, does conduct) {
	defer conn.Close()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return
	}
	switch does {
	case answersLate:
		time.Sleep(late)
		fallthrough
	case answers:
		io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
	case answers503:
		io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
	case staysMute:
		io.Copy(io.Discard, conn)
	}
}

// since is the time by the bubble's clock.
func (w *world) since() time.Duration { return time.Since(w.began) }

// probesSoFar returns when the probes were dialled.
func (w *world) probesSoFar() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.probes)
}

// seen returns the events of one kind.
func (w *world) seen(kind EventKind) []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	var events []Event
	for _, e := range w.events {
		if e.Kind == kind {
			events = append(events, e)
		}
	}
	return events
}

// turned returns when the verdict last became v, or -1.
func (w *world) turned(v Verdict) time.Duration {
	at := time.Duration(-1)
	for _, e := range w.seen(VerdictChanged) {
		if e.To == v {
			at = e.At.Sub(w.began)
		}
	}
	return at
}

func always(does conduct) plan {
	return func(*world, int) conduct { return does }
}

// script reads one letter a probe: S answers, F is refused; the last one goes
// on for ever.
func script(letters string) plan {
	return func(_ *world, n int) conduct {
		if letters[min(n, len(letters)-1)] == 'S' {
			return answers
		}
		return refuses
	}
}

const ms = time.Millisecond

// usual is the timing of the specification's example.
var usual = Config{Interval: 2 * time.Second, Timeout: time.Second, FastInterval: 250 * ms, Fall: 3, Rise: 3}
