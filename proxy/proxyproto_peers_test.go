package proxy

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// balancer runs HAProxy before the targets, and returns the address by which
// each is reached. What stands behind a target is how its server is spoken to.
func balancer(t *testing.T, targets ...string) (addrs []string) {
	t.Helper()
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	cfg := "defaults\n mode tcp\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n"
	var files []*os.File
	for i, target := range targets {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Skipf("a listener can't be handed on here: %v", err)
		}
		addrs, files = append(addrs, l.Addr().String()), append(files, f)
		_ = l.Close()
		cfg += fmt.Sprintf("listen l%d\n bind fd@%d\n server s %s\n", i, 3+i, target)
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(haproxy, "-db", "-f", path)
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = files, &said, &said
	if err := cmd.Start(); err != nil {
		t.Skipf("haproxy does not start: %v", err)
	}
	for _, f := range files {
		_ = f.Close()
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s\n%s", cfg, said.String())
		}
	})
	return addrs
}

// dialFrom connects from an address of this machine that is not 127.0.0.1.
func dialFrom(t *testing.T, addr string) (nc net.Conn, from string) {
	t.Helper()
	from = "127.0.0.5"
	d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from + ":0"))}
	nc, err := d.Dial("tcp", addr)
	if err != nil {
		t.Skipf("there is no second loopback address here: %v", err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc, from
}

// HAProxy says who its clients are, in both versions, before HTTP and before TLS.
func TestHAProxysClientsKeepTheirAddress(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, withTLS, alone, withServer(func(c *Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} // HAProxy's, not its client's
	}))
	addrs := balancer(t, g.addr+" send-proxy", g.addr+" send-proxy-v2", g.addr+" send-proxy-v2 proxy-v2-options crc32c,unique-id",
		g.tlsAddr()+" send-proxy", g.tlsAddr()+" send-proxy-v2")
	for i, addr := range addrs {
		nc, from := dialFrom(t, addr)
		var c io.ReadWriter = nc
		if i >= 3 {
			c = tls.Client(nc, clientTLS())
		}
		in := readingEnd(c)
		for range 2 {
			g.eu.Forget()
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
			if status, body, err := in.response("GET"); status != 200 {
				t.Fatalf("server %d: %d %q, %v", i, status, body, err)
			}
			wantFields(t, g.eu.AllArrivals()[0], map[string]string{"X-Forwarded-For": from})
		}
	}
	g.awaitHeaders(ProxyProtocolStats{Believed: uint64(len(addrs))})
}

// HAProxy's own checks are no fault: those of version 2 name nobody, those of
// version 1 HAProxy itself.
func TestHAProxysChecksAreNoFault(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, alone)
	addrs := balancer(t, g.addr+" send-proxy-v2 check inter 100ms", g.addr+" send-proxy check inter 100ms")
	for _, addr := range addrs {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(nc, get)
		if status, _, err := readingEnd(nc).response("GET"); status != 200 {
			t.Errorf("%d, %v", status, err)
		}
	}
	chaos.Await(t, patience, "checks", func() bool { return g.srv.ProxyProtocol().Local >= 4 && g.srv.ProxyProtocol().Believed >= 6 })
	if s := g.srv.ProxyProtocol(); s.Missing+s.Broken+s.Untrusted > 0 {
		t.Errorf("counted %+v", s)
	}
}

// Without its header HAProxy gets nowhere: that is how a forgotten send-proxy shows.
func TestHAProxyWithoutSendProxyIsNotServed(t *testing.T) {
	t.Parallel()
	g := startRig(t, proxied, alone)
	addr := balancer(t, g.addr)[0]
	c := chaos.Dial(t, "tcp", addr)
	c.Timeout = patience
	_ = c.Send(get)
	if !c.Closed() {
		t.Error("it was served")
	}
	g.awaitHeaders(ProxyProtocolStats{Missing: 1})
}

func TestCurlSendsAHeader(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	g := startRig(t, proxied, withHTTP2, alone, withServer(func(c *Config) { c.H2C = true }))
	for i, tt := range []struct{ option, url, want string }{
		{"--http1.1", "http://" + g.addr + "/", "1.1 200"},
		{"--http2-prior-knowledge", "http://" + g.addr + "/", "2 200"},
		{"--http1.1", "https://" + g.tlsAddr() + "/", "1.1 200"},
		{"--http2", "https://" + g.tlsAddr() + "/", "2 200"},
	} {
		out, err := exec.CommandContext(t.Context(), curl, "-sk", "--max-time", "10", "--haproxy-protocol", tt.option, "-o", os.DevNull,
			"-w", "%{http_version} %{http_code}", tt.url).CombinedOutput()
		if strings.Contains(string(out), "option") {
			t.Skipf("this curl can't do it: %s", out)
		}
		if err != nil || string(out) != tt.want {
			t.Errorf("%s %s: curl says %q, %v", tt.option, tt.url, out, err)
		}
		g.awaitHeaders(ProxyProtocolStats{Believed: uint64(i + 1)})
	}
}
