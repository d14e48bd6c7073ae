package toxic

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// line is an origin, a link before it and a client before that.
type line struct {
	*Link
	eu *chaos.Origin
}

func newLine(t *testing.T) line {
	t.Helper()
	chaos.CheckLeaks(t)
	eu := chaos.NewOrigin(t, "eu")
	return line{New(t, eu.Addr()), eu}
}

// get asks for size bytes on a connection of its own.
func (l line) get(t *testing.T, size int64) chaos.Result {
	t.Helper()
	c := &chaos.Client{Address: l.Address(), Timeout: 5 * time.Second}
	defer c.Close()
	return c.Do(t.Context(), chaos.Request{WantSize: size})
}

func (l line) served(t *testing.T, size int64) time.Duration {
	t.Helper()
	r := l.get(t, size)
	if r.Kind != chaos.Served {
		t.Errorf("%v", r)
	}
	return r.Latency
}

const plain = "GET / HTTP/1.1\r\nHost: a\r\nChaos-Id: raw\r\n\r\n"

func TestALinkWithoutToxicsChangesNothing(t *testing.T) {
	l := newLine(t)
	for _, b := range chaos.Sound() {
		l.eu.Set(b)
		c := &chaos.Client{Address: l.Address(), Timeout: 5 * time.Second}
		for _, q := range []chaos.Request{{}, {Method: "POST", BodySize: 1 << 20}, {WantSize: 5 << 20}} {
			if r := c.Do(t.Context(), q); r.Kind != chaos.Served {
				t.Errorf("%s: %v", b.Name(), r)
			}
		}
		c.Close()
	}
}

func TestHowTheOriginEndsIsHowTheLinkEnds(t *testing.T) {
	l := newLine(t)
	tests := []struct {
		give  chaos.Behaviour
		want  string
		reset bool
	}{
		{chaos.Truncate(), string(chaos.Body("eu", "raw", 1024)[:512]), false},
		{chaos.ResetMidBody(), "", true},
		{chaos.ResetBeforeHead(), "", true},
	}
	for _, tt := range tests {
		l.eu.Set(tt.give)
		r := chaos.Dial(t, "tcp", l.Address())
		_ = r.Send(plain)
		got, err := r.ReadAll()
		if !strings.HasSuffix(got, tt.want) || errors.Is(err, syscall.ECONNRESET) != tt.reset {
			t.Errorf("%s: got %q, %v", tt.give.Name(), got, err)
		}
	}
	l.eu.Down()
	nc, err := net.Dial("tcp", l.Address())
	if err == nil { // else the reset was faster than the dialler
		_, err = nc.Read(make([]byte, 1))
		_ = nc.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("nobody behind: %v, want a reset", err)
	}
}

func TestHalfOfAConnectionMayEnd(t *testing.T) {
	l := newLine(t)
	l.Set(Latency(5*time.Millisecond, 0))
	r := chaos.Dial(t, "tcp", l.Address())
	_ = r.Send(strings.Replace(plain, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
	r.CloseWrite()
	if got, err := r.ReadAll(); err != nil || !strings.HasSuffix(got, string(chaos.Body("eu", "raw", 1024))) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestLatencyDelaysEachDirection(t *testing.T) {
	l := newLine(t)
	const d = 60 * time.Millisecond
	tests := []struct {
		name string
		give Toxic
		want time.Duration
	}{
		{"up", Latency(d, 0).Up(), d},
		{"down", Latency(d, 0).Down(), d},
		{"both", Latency(d, 0), 2 * d},
		{"jitter", Latency(d, d/2).Down(), d / 2},
	}
	for _, tt := range tests {
		l.Set(tt.give)
		if got := l.served(t, 1000); got < tt.want {
			t.Errorf("%s: answered after %v, want %v at least", tt.name, got, tt.want)
		}
	}
}

func TestAChangeActsOnOpenConnections(t *testing.T) {
	l := newLine(t)
	c := &chaos.Client{Address: l.Address(), Timeout: 5 * time.Second}
	defer c.Close()
	for i := range 3 {
		l.Set(Latency(50*time.Millisecond, 0), Slice(100, 0))
		if r := c.Do(t.Context(), chaos.Request{}); r.Kind != chaos.Served || r.Latency < 100*time.Millisecond || r.Reused != (i > 0) {
			t.Errorf("slow: %v", r)
		}
		l.Clear()
		if r := c.Do(t.Context(), chaos.Request{}); r.Kind != chaos.Served || r.Latency > 90*time.Millisecond || !r.Reused {
			t.Errorf("cleared: %v", r)
		}
	}
}

func TestBandwidthIsAnUpperBound(t *testing.T) {
	l := newLine(t)
	l.Set(Bandwidth(200).Down())
	if got := l.served(t, 100_000); got < 300*time.Millisecond {
		t.Errorf("100 kB at 200 kB/s took %v", got)
	}
}

func TestSlicesComeOneByOne(t *testing.T) {
	l := newLine(t)
	l.Set(Slice(10, time.Millisecond).Down())
	l.served(t, 300)
	nc, err := net.Dial("tcp", l.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, _ = io.WriteString(nc, strings.Replace(plain, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
	pieces, buf := 0, make([]byte, 4096)
	for err == nil {
		_, err = nc.Read(buf)
		pieces++
	}
	if pieces < 20 {
		t.Errorf("1100 bytes came in %d pieces", pieces)
	}
}

func TestLimitDataCutsAfterSoManyBytes(t *testing.T) {
	l := newLine(t)
	l.Set(LimitData(500).Down())
	r := chaos.Dial(t, "tcp", l.Address())
	_ = r.Send(plain)
	if got, _ := r.ReadAll(); len(got) != 500 {
		t.Errorf("got %d bytes", len(got))
	}
	if r := l.get(t, 5000); r.Kind != chaos.Aborted {
		t.Errorf("%v, want an abort", r)
	}
}

func TestResetResetsBothSides(t *testing.T) {
	l := newLine(t)
	old := chaos.Dial(t, "tcp", l.Address())
	if p, err := old.Do(plain); p.Status != 200 || err != nil {
		t.Fatalf("got %d, %v", p.Status, err)
	}
	l.Set(Reset(20 * time.Millisecond).Down())
	for _, r := range []*chaos.Raw{old, chaos.Dial(t, "tcp", l.Address())} {
		start := time.Now()
		_ = r.Send(plain)
		if got, err := r.ReadAll(); got != "" || !errors.Is(err, syscall.ECONNRESET) || time.Since(start) < 20*time.Millisecond {
			t.Errorf("got %q, %v after %v", got, err, time.Since(start))
		}
	}
	chaos.Await(t, 5*time.Second, "end at the origin", func() bool { return l.eu.OpenConns() == 0 })
}

func TestSlowCloseHoldsTheEndBack(t *testing.T) {
	l := newLine(t)
	l.eu.Set(chaos.UntilClose(100))
	l.Set(SlowClose(80 * time.Millisecond).Down())
	if got := l.served(t, 100); got < 80*time.Millisecond {
		t.Errorf("ended after %v", got)
	}
}

func TestTimeoutLosesEverything(t *testing.T) {
	l := newLine(t)
	l.Set(Timeout(0).Up())
	r := chaos.Dial(t, "tcp", l.Address())
	r.Timeout = 50 * time.Millisecond
	_ = r.Send(plain)
	if r.Closed() {
		t.Error("closed, want silence")
	}
	r.Timeout = 5 * time.Second
	l.Clear()
	if !r.Closed() || l.eu.Arrived() != 0 {
		t.Error("a connection without its first bytes goes on")
	}
	l.Set(Timeout(20 * time.Millisecond).Down())
	if got := l.get(t, 10); got.Kind != chaos.Aborted {
		t.Errorf("%v, want an abort", got)
	}
}

func TestCloseLeavesNothingWhateverIsOnItsWay(t *testing.T) {
	all := []Toxic{Latency(time.Minute, 0), Bandwidth(1), Slice(1, time.Minute), LimitData(10), SlowClose(time.Minute),
		Timeout(0), Reset(10 * time.Millisecond), {}}
	for _, toxic := range all {
		l := newLine(t)
		l.eu.Set(chaos.OK(8 << 20))
		l.Set(toxic)
		r := chaos.Dial(t, "tcp", l.Address()) // which reads nothing
		_ = r.Send(plain + plain)
		chaos.Await(t, 5*time.Second, "connection", func() bool { return l.eu.Accepted() > 0 })
		l.Close()
		l.Close()
		r.Close()
		l.eu.Close()
	}
}
