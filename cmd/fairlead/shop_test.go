//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// A shop is a configuration of two probed origins with a route for reading and
// one for orders, a pointer that is answered over DNS, and a TLS listener. What
// a test changes in it are fields. Its addresses all leave the port to the system,
// but are not written the same, so that a hand-over can tell them apart.
type shop struct {
	level      string
	drain      time.Duration // 0: 10 s
	server     string        // more keys for [server]
	eu, us     *chaos.Origin
	eager      bool // the pointer comes back as soon as it can
	concurrent int  // of each route; 0: 64
	timeout    time.Duration
	routes     string // further ones
	group      string // of the route for reading; "": shop
	cert, key  string // no TLS listener without
}

func newShop(t *testing.T) *shop {
	t.Helper()
	return &shop{eu: chaos.NewOrigin(t, "eu"), us: chaos.NewOrigin(t, "us")}
}

// secure gives it a TLS listener, and returns what clients have to trust.
func (s *shop) secure(t *testing.T) *x509.CertPool {
	t.Helper()
	dir := t.TempDir()
	s.cert, s.key = filepath.Join(dir, "site.pem"), filepath.Join(dir, "site.key")
	return writeCertificate(t, dir)
}

func (s *shop) keys() string {
	drain := s.drain
	if drain == 0 {
		drain = 10 * time.Second
	}
	keys := fmt.Sprintf("drain_timeout = %q\n%s\n", drain, s.server)
	if s.cert != "" {
		keys += fmt.Sprintf("tls_listen = [\"localhost:0\"]\n[[server.certificates]]\ncert = %q\nkey = %q\n", s.cert, s.key)
	}
	return keys
}

// text is its configuration. A probe has time on a busy machine: an origin that is
// down refuses it at once.
func (s *shop) text() string {
	level, concurrent, timeout, group, failback := "info", 64, 20*time.Second, "shop", `failback_after = "1h"`
	if s.level != "" {
		level = s.level
	}
	if s.concurrent > 0 {
		concurrent = s.concurrent
	}
	if s.timeout > 0 {
		timeout = s.timeout
	}
	if s.group != "" {
		group = s.group
	}
	if s.eager {
		failback = `failback_after = "0s"` + "\n" + `min_hold = "0s"`
	}
	return fmt.Sprintf(`level = %q
[nameserver]
listen = "[127.0.0.1]:0"
zone = "failover.example."
ns = ["ns1.failover.example."]
rate_limit = 0
[origins.eu]
url = %q
health = { path = "/healthz", interval = "200ms", timeout = "10s", fast_interval = "50ms", rise = 1 }
[origins.us]
url = %q
health = { path = "/healthz", interval = "200ms", timeout = "10s", fast_interval = "50ms", rise = 1 }
[groups.shop]
primary = "eu"
secondary = "us"
park_timeout = "5s"
dns_name = "shop"
%s
[[routes]]
name = "read"
match = "GET /"
group = %q
timeout = %q
bulkhead = { max_concurrent = %d }
[[routes]]
name = "order"
match = "POST /"
group = "shop"
timeout = %q
bulkhead = { max_concurrent = %d }
%s
`, level, s.eu.URL(), s.us.URL(), failback, group, timeout, concurrent, timeout, concurrent, s.routes)
}

// setup starts it.
func (s *shop) setup() setup { return setup{server: s.keys(), toml: s.text()} }

// change writes it anew.
func (s *shop) change(p *process) { p.configure(s.keys(), s.text()) }

// shoppers are a steady load: connections that are kept alive, with a request in
// flight on each all the time.
func shoppers(t *testing.T, network, address string, conns int) *chaos.Run {
	t.Helper()
	return chaos.Load{Network: network, Address: address, Conns: conns, Timeout: patience, Duration: 5 * time.Minute,
		Mix: []chaos.Shot{{Weight: 3, Path: "/product/", WantSize: 2000}, {Weight: 1, Method: "POST", Path: "/order/", BodySize: 2048}}}.Start(t.Context())
}

// nobodyLost ends loads and asserts that each request was served by one origin,
// and sent once if it has to be.
func (s *shop) nobodyLost(t *testing.T, loads ...*chaos.Run) *chaos.Ledger {
	t.Helper()
	var ledgers []*chaos.Ledger
	for _, l := range loads {
		ledgers = append(ledgers, l.Stop())
	}
	all := chaos.Merge(ledgers...)
	if bad := all.Unserved(); len(bad) > 0 {
		t.Errorf("%d of %d requests were lost, the first: %v", len(bad), all.Len(), bad[0])
	}
	if err := chaos.Check(all, s.eu, s.us); err != nil {
		t.Error(err)
	}
	return all
}

// outage takes the primary away before anybody asks for it, and waits until the
// pointer is on the secondary.
func (s *shop) outage(p *process) {
	p.t.Helper()
	s.eu.Down()
	p.await("pointer moved", line{"to": "us"})
}

// secureShoppers are a load over HTTP/2. Stop returns how many requests were
// served; any other is an error of the test.
func secureShoppers(t *testing.T, address string, roots *x509.CertPool) (stop func() int) {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: protocols}
	client := http.Client{Transport: tr, Timeout: patience}
	ctx, cancel := context.WithCancel(t.Context())
	var served atomic.Int64
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for ctx.Err() == nil {
				resp, err := client.Get("https://" + address + "/page")
				if err != nil {
					t.Errorf("over HTTP/2: %v", err)
					return
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || resp.ProtoMajor != 2 {
					t.Errorf("over HTTP/2: %s %s, %v", resp.Proto, resp.Status, err)
					return
				}
				served.Add(1)
			}
		})
	}
	stop = func() int {
		cancel()
		all.Wait()
		tr.CloseIdleConnections()
		return int(served.Load())
	}
	t.Cleanup(func() { stop() })
	return stop
}

// connsOf is by how many connections requests of clients have come to an origin.
func connsOf(o *chaos.Origin) int {
	conns := make(map[int]bool)
	for _, a := range o.AllArrivals() {
		if a.ID != "" {
			conns[a.Conn] = true
		}
	}
	return len(conns)
}

// overUnix sends a GET to a socket and returns the status.
func overUnix(t *testing.T, path string) int {
	t.Helper()
	c := chaos.Dial(t, "unix", path)
	defer c.Close()
	r, err := c.Do("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	return r.Status
}
