//go:build unix

package admin

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/internal/testrun"
)

// socketPath is short enough for a unix socket, which that of t.TempDir may not be.
func socketPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(testrun.ShortDir(t), "admin")
}

func TestAUnixSocketNeedsNoNameAndKnowsWhoAsks(t *testing.T) {
	path := socketPath(t)
	r := start(t, func(c *Config) { c.Listen = "unix:" + path })
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	for _, host := range []string{"anything.example", "localhost", "x"} {
		if g := r.ask("GET", "/v1/status", "", "Host: "+host); g.status != 200 {
			t.Errorf("%s: %d", host, g.status)
		}
	}
	if g := r.ask("POST", "/v1/groups/shop/unpin", "{}"); g.status != 200 {
		t.Errorf("%d %s", g.status, g.body)
	}
	want := "unix"
	if runtime.GOOS == "linux" {
		want = fmt.Sprintf("unix uid=%d pid=%d", os.Getuid(), os.Getpid())
	}
	if _, by := r.backend.last(); by != want {
		t.Errorf("the backend was told %q, not %q", by, want)
	}
	if c := r.change(); c.By != want || c.Peer != "" {
		t.Errorf("told: %+v", c)
	}
	r.stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket's file is left: %v", err)
	}
}

func TestAUnixSocketWithATokenAsksForIt(t *testing.T) {
	path := socketPath(t)
	r := start(t, func(c *Config) { c.Listen, c.Token = "unix:"+path, token })
	if g := r.ask("GET", "/v1/status", ""); g.status != 401 {
		t.Errorf("%d", g.status)
	}
	if g := r.ask("POST", "/v1/reload", "{}", "Authorization: Bearer "+token); g.status != 200 {
		t.Errorf("%d", g.status)
	}
	if c := r.change(); !strings.HasPrefix(c.By, "token unix") {
		t.Errorf("told: %+v", c)
	}
	if c := signIn(r); c.Name != "fairlead_session" {
		t.Errorf("the cookie is %s", c.Name)
	}
}

func TestAnAbandonedSocketIsReplacedAndOthersAreNot(t *testing.T) {
	path := socketPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listen("unix:" + path); err == nil {
		t.Error("a socket that somebody listens on was taken")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	again, err := listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen("unix:" + path); err == nil {
		t.Error("a file was replaced")
	}
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file holds %q", text)
	}
}

func TestLeaveLetsTheFileOfASocketBe(t *testing.T) {
	path := socketPath(t)
	r := newRig(t, func(c *Config) { c.Listen = "unix:" + path })
	done := make(chan error, 1)
	go func() { done <- r.server.Run(context.Background()) }()
	if g := r.ask("GET", "/healthz", ""); g.status != 200 {
		t.Errorf("%d", g.status)
	}
	r.server.Leave()
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.client.CloseIdleConnections()
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}
