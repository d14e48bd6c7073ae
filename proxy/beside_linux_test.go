package proxy

import (
	"fmt"
	"net"
	"testing"
)

// From one address of a port to all of them and back, as operators do it: the
// two overlap, so neither can be bound while the other is.
func TestAListenerMovesToAnAddressThatOverlaps(t *testing.T) {
	t.Parallel()
	g, l := startLive(t, alone)
	_, port, err := net.SplitHostPort(g.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"127.0.0.1:" + port, ":" + port, "127.0.0.1:" + port, "0.0.0.0:" + port} {
		l.reload(t, func(cfg *Config) { cfg.Listen = []string{address} })
		c := g.dial()
		r, err := c.Do(get)
		wantOK(t, r, err)
		if second, err := net.Listen("tcp", ":"+port); err == nil {
			second.Close()
			t.Errorf("%s: the port is shared with whoever asks", address)
		}
	}
	stranger, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	cfg := l.cfg
	cfg.Listen = []string{fmt.Sprintf(":%d", portOf(stranger.Addr()))}
	if err := g.srv.Reload(cfg); err == nil {
		t.Error("a port of somebody else was taken")
	}
}
