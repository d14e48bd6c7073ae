package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/testrun"
)

// loopback trusts every client of these tests.
func loopback(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// sent does one request and returns it as the origin got it.
func sent(t *testing.T, g *rig, request string) chaos.Arrival {
	t.Helper()
	g.eu.Forget()
	r, err := g.dial().Do(request)
	wantOK(t, r, err)
	all := g.eu.AllArrivals()
	if len(all) != 1 {
		t.Fatalf("%d requests arrived", len(all))
	}
	return all[0]
}

func wantFields(t *testing.T, a chaos.Arrival, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := strings.Join(a.Values(name), " | "); got != value {
			t.Errorf("%s: got %q, want %q", name, got, value)
		}
	}
}

const identity = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n" +
	"Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: mine\r\nVia: 1.1 before\r\nFailover-Attempt: 2\r\nCDN-Loop: other\r\n"

func TestIdentityFieldsOfStrangersAreReplaced(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	a := sent(t, g, "GET / HTTP/1.1\r\nHost: shop.example:80\r\n"+identity+"\r\n")
	wantFields(t, a, map[string]string{
		"Host": "shop.example:80", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "shop.example:80", "X-Forwarded-Port": "",
		"Forwarded": `for=127.0.0.1;host="shop.example:80";proto=http`, "X-Real-IP": "127.0.0.1",
		"Via": "1.1 before | 1.1 fairlead", "Failover-Attempt": "", "CDN-Loop": "other | " + string(g.srv.instance),
	})
	if id := a.Get("X-Request-Id"); len(id) != 32 || id == "mine" {
		t.Errorf("X-Request-Id: %q", id)
	}
}

func TestIdentityFieldsOfTrustedProxiesAreBelieved(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone, withServer(loopback))
	a := sent(t, g, "GET / HTTP/1.1\r\nHost: a\r\n"+identity+"\r\n")
	wantFields(t, a, map[string]string{
		"X-Forwarded-For": "6.6.6.6, 7.7.7.7, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil", "X-Forwarded-Port": "1",
		"Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6", "X-Request-Id": "mine", "Failover-Attempt": "2",
	})
	a = sent(t, g, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: evil\"}{\r\n\r\n")
	if id := a.Get("X-Request-Id"); len(id) != 32 {
		t.Errorf("an id that could forge a log line was kept: %q", id)
	}
}

func TestFieldsAreAddedWhereThereAreNone(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	wantFields(t, sent(t, g, get), map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "a",
		"Via": "1.1 fairlead", "Forwarded": "", "X-Real-IP": "", "Connection": ""})
	wantFields(t, sent(t, g, "GET http://b.example/x HTTP/1.1\r\nHost: a\r\n\r\n"), map[string]string{"Host": "b.example", "X-Forwarded-Host": "b.example"})
	wantFields(t, sent(t, g, "GET / HTTP/1.0\r\n\r\n"), map[string]string{"Via": "1.0 fairlead", "X-Forwarded-Host": ""})
}

func TestHopByHopFieldsEndHereBothWays(t *testing.T) {
	t.Parallel()
	url := script(t, func(_ int, p *peer) {
		head, _ := p.head()
		p.send("HTTP/1.1 200 OK\r\nConnection: X-Secret, keep-alive\r\nKeep-Alive: timeout=5\r\nX-Secret: a\r\nProxy-Authenticate: Basic\r\n" +
			"Upgrade: h2c\r\nContent-Length: " + fmt.Sprint(len(head)) + "\r\nX-Open: b\r\nConnection: X-More\r\nX-More: c\r\n\r\n" + head)
		p.rest()
	})
	g := startRig(t, alone, withOrigin(url))
	r, err := g.dial().Do("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Mine, keep-alive, X-Forwarded-For, via, x-request-id, Host, Content-Length, cdn-loop\r\n" +
		"Keep-Alive: 1\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nTE: trailers, deflate\r\nX-Mine: a\r\nX-mine: b\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-Kept: c\r\n\r\n")
	wantOK(t, r, err)
	for _, name := range []string{"Connection", "Keep-Alive", "X-Secret", "Proxy-Authenticate", "Upgrade", "X-More"} {
		if r.Get(name) != "" {
			t.Errorf("the response still has %s: %q", name, r.Get(name))
		}
	}
	if r.Get("X-Open") != "b" {
		t.Errorf("a field was lost: %q", r.Raw)
	}
	for _, name := range []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "X-Mine", "Upgrade", "HTTP2-Settings", "deflate"} {
		if strings.Contains(strings.ToLower(r.Body), strings.ToLower(name)+":") {
			t.Errorf("the request still has %s: %q", name, r.Body)
		}
	}
	for _, line := range []string{"Host: a\r\n", "X-Kept: c\r\n", "X-Forwarded-For: 127.0.0.1\r\n", "Via: 1.1 fairlead\r\n", "X-Request-Id: ", "CDN-Loop: ", "TE: trailers\r\nConnection: TE\r\n"} {
		if !strings.Contains(r.Body, line) {
			t.Errorf("the request lost %q: %q", line, r.Body)
		}
	}
}

func TestOrderAndSpellingAreKept(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	a := sent(t, g, "GET /p%61th?q=%2e&&x HTTP/1.1\r\nuser-AGENT: x\r\nhost: A.example\r\nx-Zed:    1  \r\nAccept:*/*\r\nx-zed: 2\r\n\r\n")
	if want := "GET /p%61th?q=%2e&&x HTTP/1.1\r\nuser-AGENT: x\r\nhost: A.example\r\nx-Zed: 1\r\nAccept: */*\r\nx-zed: 2\r\n"; !strings.HasPrefix(a.Raw, want) {
		t.Errorf("got %q, want it to begin %q", a.Raw, want)
	}
}

func TestTheHostSentIsTheConfiguredOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode    HostMode
		literal string
		want    func(o *chaos.Origin) string
	}{
		{HostClient, "", func(*chaos.Origin) string { return "a" }},
		{HostOrigin, "", (*chaos.Origin).Addr},
		{HostLiteral, "shop.internal", func(*chaos.Origin) string { return "shop.internal" }},
	} {
		g := startRig(t, alone, func(_ *rig, c *Config) { c.Origins[0].Host, c.Origins[0].HostLiteral = tt.mode, tt.literal })
		wantFields(t, sent(t, g, get), map[string]string{"Host": tt.want(g.eu), "X-Forwarded-Host": "a"})
	}
}

// The proxy's own address as its origin.
func TestARequestThatComesBackIsALoop(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close() // the proxy takes it; should somebody be faster, Listen says so
	g := startRig(t, alone, withOrigin("http://"+address), withServer(func(c *Config) { c.Listen = []string{address} }))
	c := g.dial()
	for range 3 {
		r, err := c.Do(get)
		if err != nil || r.Status != 508 {
			t.Errorf("%v: %q", err, r.Raw)
		}
	}
	if n := g.stats().Accepted; n != 3 {
		t.Errorf("accepted %d requests, want the 3 that came from outside", n)
	}
}

func TestDateAndProxyStatusAreAdded(t *testing.T) {
	t.Parallel()
	g := startRig(t, alone)
	r, err := g.dial().Do(get)
	wantOK(t, r, err)
	if _, err := http.ParseTime(r.Get("Date")); err != nil {
		t.Errorf("Date: %v", err)
	}
	if got := r.Values("Proxy-Status"); len(got) != 1 || got[0] != `fairlead; next-hop="eu"` {
		t.Errorf("Proxy-Status: %q", got)
	}
	const old = "Mon, 01 Jan 2024 00:00:00 GMT"
	g = startRig(t, alone, withServer(func(c *Config) { c.ProxyStatus = false }),
		withOrigin(speak(t, "HTTP/1.1 200 OK\r\nDate: "+old+"\r\nProxy-Status: other\r\nContent-Length: 0\r\n\r\n", false)))
	r, err = g.dial().Do(get)
	wantOK(t, r, err)
	if got := r.Values("Date"); len(got) != 1 || got[0] != old {
		t.Errorf("Date: %q", got)
	}
	if got := r.Values("Proxy-Status"); len(got) != 1 || got[0] != "other" {
		t.Errorf("Proxy-Status: %q", got)
	}
}

// Unix sockets on both sides: everything but splicing works the same.
func TestUnixSocketsServeBothSides(t *testing.T) {
	t.Parallel()
	path := filepath.Join(testrun.ShortDir(t), "proxy.sock")
	origin := chaos.NewUnixOrigin(t, "eu")
	g := startRig(t, alone, withOrigin(origin.URL()), withServer(func(c *Config) { c.Listen = append(c.Listen, "unix:"+path) }))
	c := chaos.Dial(t, "unix", path)
	for _, size := range []int{0, 1000, 1 << 20} {
		id := fmt.Sprint("unix-", size)
		body := string(chaos.Body("client", id, int64(size)))
		r, err := c.Do(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nChaos-Id: %s\r\nChaos-Size: %d\r\nContent-Length: %d\r\n\r\n%s", id, max(size, 1), size, body))
		wantOK(t, r, err)
		if r.Body != string(chaos.Body("eu", id, int64(max(size, 1)))) {
			t.Errorf("%d bytes came back wrong", size)
		}
		wantUpload(t, origin, id, body)
		wantFields(t, origin.Arrivals(id)[0], map[string]string{"X-Forwarded-For": "", "X-Forwarded-Proto": "http"})
	}
	origin.Set(chaos.Upgrade())
	opened(t, c, upgrade)
	exchangeBytes(t, c, strings.Repeat("x", 300_000))
	c.CloseWrite()
	if rest, err := c.ReadAll(); rest != "" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	origin.Set(chaos.Hang())
	c = chaos.Dial(t, "unix", path)
	if err := c.Send(get); err != nil {
		t.Fatal(err)
	}
	g.awaitStats("permit", func(s RouteStats) bool { return s.InUse == 1 })
	c.Close()
	g.awaitLeft(1)
}

// A socket that a dead process left behind is taken over, a live one is not.
func TestAUnixSocketLeftBehindIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(testrun.ShortDir(t), "proxy.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listen("unix:" + path); err == nil {
		t.Error("the socket of a live process was taken over")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	l, err = listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen("unix:" + path); err == nil {
		t.Error("a file was taken over")
	}
}

// authority makes a root and a server certificate of it.
func authority(t *testing.T, name string) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	root, _ := x509.ParseCertificate(der)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return roots, tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}
}

func TestAnHTTPSOriginIsVerifiedAndServed(t *testing.T) {
	t.Parallel()
	roots, certificate := authority(t, "origin.example")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Header.Get("X-Forwarded-Proto"))
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s", r.TLS.ServerName, body)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.StartTLS()
	t.Cleanup(s.Close)
	good := &tls.Config{RootCAs: roots, ServerName: "origin.example"}
	g := startRig(t, alone, withOrigin(s.URL), func(_ *rig, c *Config) { c.Origins[0].TLS = good })
	c := g.dial()
	for _, size := range []int{10, 100_000, 1 << 20} {
		body := strings.Repeat("x", size)
		r, err := c.Do(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, body))
		wantOK(t, r, err)
		if r.Body != "origin.example "+body || r.Get("X-Proto") != "http" {
			t.Errorf("%d bytes came back as %d", size, len(r.Body))
		}
	}
	g = startRig(t, alone, withOrigin(s.URL), func(_ *rig, c *Config) { c.Origins[0].TLS = &tls.Config{RootCAs: roots, ServerName: "other.example"} })
	r, err := g.dial().Do(get)
	if err != nil || r.Status != 502 || !strings.Contains(r.Get("Proxy-Status"), "tls") {
		t.Errorf("a certificate for another name: %v, %q", err, r.Raw)
	}
}
