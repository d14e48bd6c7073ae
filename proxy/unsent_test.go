package proxy

import (
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// A client that takes nothing is reset, since a close alone would leave it to
// the kernel to offer what it holds, for minutes; and on Linux the kernel holds
// little.
func TestAClientThatTakesNothingIsResetAndHoldsLittle(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has other names for a reset")
	}
	var log journal
	g := startRig(t, alone, log.logged, withServer(func(c *Config) { c.BodyIdleTimeout = 10 * sweepEvery }))
	if g.bridged {
		t.Skip("a bridge takes what its client doesn't")
	}
	g.eu.Set(chaos.Plenty(64 << 20))
	c := g.dial().Conn()
	_ = c.(*net.TCPConn).SetReadBuffer(1)
	if _, err := io.WriteString(c, "GET /deaf HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("the response to end", func(s RouteStats) bool { return s.Failed == 1 && s.InUse == 0 })
	_ = c.SetDeadline(time.Now().Add(patience))
	if n, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d bytes and then %v, want a reset", n, err)
	}
	rec := log.find(t, "/deaf")
	t.Logf("%d bytes were written for a client that took nothing", rec.BytesOut)
	if runtime.GOOS == "linux" && rec.BytesOut > 1<<20 {
		t.Error("want a MiB at most")
	}
}
