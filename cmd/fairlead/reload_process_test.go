//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

const extraRoute = `
[[routes]]
name = "extra"
match = "GET /extra/"
group = "shop"
bulkhead = { max_concurrent = 4 }
`

// A hundred reloads, a third of them of files that can't be used, cost nobody
// anything: not a request, not a connection to an origin that is in use, not
// the place of the pointer, not a descriptor.
func TestAHundredReloadsUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	roots := s.secure(t)
	p := s.setup().start(t)
	secure := p.await("listening", line{"tls": true})["address"].(string)
	dns := p.await("answering", nil)["address"].(string)
	s.outage(p)
	pointer := pointerText(t, dns)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	door := filepath.Join(shortDir(t), "door")

	const conns = 6
	load := shoppers(t, "tcp", p.address, conns)
	stop := secureShoppers(t, secure, roots)
	chaos.Await(t, patience, "load", func() bool { return load.Ledger().Len() > 100 })

	var rest usage
	for i := range 100 {
		next := *s
		whyNot := ""
		p.listen = nil
		switch i % 12 {
		case 0:
			next.concurrent = 32 + i
		case 1:
			next.routes = extraRoute
		case 2: // it is gone again
		case 3:
			next.timeout = 15*time.Second + time.Duration(i)*time.Millisecond
		case 4:
			p.listen = []string{"unix:" + door}
		case 5:
			next.level = "debug"
		case 6:
			next.server = "idle_timeout = \"50s\"\nproxy_status = false"
		case 7:
			next.routes, whyNot = "[[routes]\n", "fairlead.toml:"
		case 8:
			next.group, whyNot = "none", `fairlead.toml:`
		case 9:
			p.listen, whyNot = []string{taken.Addr().String()}, "address already in use"
		case 10:
			next.routes, whyNot = strings.Replace(extraRoute, "4", `"four"`, 1), "fairlead.toml:"
		case 11: // the same once more
		}
		next.change(p)
		p.reload(whyNot)
		if len(p.listen) > 0 && whyNot == "" {
			if got := overUnix(t, door); got != 200 {
				t.Fatalf("the listener that was added answers %d", got)
			}
		}
		if i == 23 {
			rest = p.usage()
		}
	}
	after := p.usage()
	t.Logf("after 24 reloads %+v, after 100 %+v, connections to us: %d", rest, after, connsOf(s.us))
	if more := after.descriptors - rest.descriptors; more > 20 {
		t.Errorf("%d more descriptors are open", more)
	}
	if more := after.rss - rest.rss; more > 24<<20 && !underRace() {
		t.Errorf("%d more bytes are resident", more)
	}
	if now := pointerText(t, dns); now != pointer {
		t.Errorf("the pointer says %q, before the reloads it said %q", now, pointer)
	}
	if n := stop(); n == 0 {
		t.Error("nothing was served over HTTP/2")
	}
	ledger := s.nobodyLost(t, load)
	// Each of the two routes has its own. One that is returned late makes another
	// necessary, now and then.
	if used := connsOf(s.us); used > 2*conns+10 {
		t.Errorf("%d connections to the origin were used by %d of clients: reloads tear them down", used, conns)
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if sum := p.totals("read")["accepted"].(float64) + p.totals("order")["accepted"].(float64); sum < float64(ledger.Len()) {
		t.Errorf("of %d requests the totals have %v", ledger.Len(), sum)
	}
}

// shortDir is a folder whose name is short enough for a socket in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
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

// What a reload starts, a later one ends: with the same configuration there are
// the same goroutines, however many came between.
func TestReloadsLeaveNoGoroutineBehind(t *testing.T) {
	s := newShop(t)
	file := filepath.Join(t.TempDir(), "fairlead.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("[server]\nlisten = [\"127.0.0.1:0\"]\n"+s.keys()+"[log]\noutput = \"stdout\"\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(s.text())
	reload := make(chan struct{})
	r := startProgram(t, file, program{reload: reload}).keep()
	again := func(msg string) {
		t.Helper()
		reload <- struct{}{}
		r.await(msg, nil)
	}
	again("reloaded")
	runtime.GC()
	before := runtime.NumGoroutine()
	for i := range 30 {
		next := *s
		if i%2 == 0 {
			next.routes, next.concurrent = extraRoute, 5
			next.eu, next.us = s.us, s.eu // other checkers
		}
		write(next.text())
		again("reloaded")
		write("[")
		again("not reloaded, the configuration at work stays")
	}
	chaos.Await(t, patience, fmt.Sprintf("%d goroutines", before), func() bool { return runtime.NumGoroutine() <= before+2 })
}

// halves writes the configuration in place, as an editor does that doesn't
// rename: the first half, and after a pause the rest. It reports whether the pause
// was short enough for nobody to take the half for the whole.
func halves(t *testing.T, p *process, text string) bool {
	t.Helper()
	f, err := os.OpenFile(p.file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	from := time.Now()
	if _, err := f.WriteString(text[:len(text)/2]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(lookEvery / 2) // what is awaited is that nothing happens
	if _, err := f.WriteString(text[len(text)/2:]); err != nil {
		t.Fatal(err)
	}
	return time.Since(from) < lookEvery*9/10
}

// A watched file is taken up by itself, not before it is whole. One that stays
// broken is told of once.
func TestAWatchedFileIsTakenUpWhenItHasSettled(t *testing.T) {
	t.Parallel()
	const broken = "not reloaded, the configuration at work stays"
	why := line{"why": "the file has changed"}
	s := newShop(t)
	s.server = "watch = true"
	p := s.setup().start(t)

	s.concurrent = 33
	s.change(p)
	p.awaitSaid(1, "reloaded", why)

	whole, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(whole), "max_concurrent = 33", "max_concurrent = 44")
	if halves(t, p, text) {
		p.awaitSaid(2, "reloaded", why)
		if n := p.said(broken, nil); n > 0 {
			t.Error("a half-written file was told of as a broken one")
		}
	}

	reloads, refusals := p.said("reloaded", nil), p.said(broken, nil)
	p.write(text + "[[routes]]\n")
	p.awaitSaid(refusals+1, broken, why)
	time.Sleep(3 * lookEvery) // nothing is to happen
	if n := p.said(broken, nil); n != refusals+1 {
		t.Errorf("a broken file was told of %d times", n-refusals)
	}
	p.write(text)
	p.awaitSaid(reloads+1, "reloaded", why)
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// A log that nobody reads must not hold up the process that is to write it.
func TestALogIntoAPipeThatNobodyReadsIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := s.setup().start(t)
	pipe := filepath.Join(shortDir(t), "log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	p.write(fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:0\"]\n%s[log]\noutput = %q\n%s", s.keys(), pipe, s.text()))
	p.reload("nobody reads this named pipe")
	s.change(p)
	p.reload("")
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// The CA of an origin is watched beside the configuration: it counts as known when
// the process starts, and a new one is taken up.
func TestAWatchedCAIsTakenUpWhenItChangesOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir)
	ca := filepath.Join(dir, "site.pem")
	p := setup{server: "watch = true\n", toml: strings.Replace(oneOrigin("https://127.0.0.1:9"),
		"[groups.app]", fmt.Sprintf("ca = %q\n[groups.app]", ca), 1)}.start(t)
	time.Sleep(3 * lookEvery) // nothing is to happen
	if n := p.said("reloaded", nil); n > 0 {
		t.Errorf("%d reloads though no file has changed", n)
	}
	writeCertificate(t, dir)
	p.awaitSaid(1, "reloaded", line{"why": "the file has changed"})
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// controlled is a service within the test, bound but not run, and what controls it.
type controlled struct {
	*control
	hup  chan struct{}
	said *safeBuffer
}

func newControlled(t *testing.T, s *shop) *controlled {
	t.Helper()
	file := write(t, "[server]\nlisten = [\"127.0.0.1:0\"]\n"+s.keys()+"[log]\noutput = \"stdout\"\n"+s.text())
	r, looked, err := read(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.cfg
	said := &safeBuffer{}
	l, err := openLogs(cfg.Log, said, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	j := newJournal(l.events)
	sv, err := newService(cfg, l, newKeeper("", l.events), watcher{flip: newOperator("", "").watching(j).flip, health: j.health, dns: j.dns}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sv.close)
	if _, _, err := sv.listen(); err != nil {
		t.Fatal(err)
	}
	hup := make(chan struct{}, 1)
	return &controlled{&control{program: &program{reload: hup}, operator: newOperator(file, ""), gone: make(chan struct{}), file: file, service: sv, journal: j, cfg: cfg, loaded: looked}, hup, said}
}

// SIGHUP may come at any time, also before there is anything to reload. It waits
// for that.
func TestAReloadThatIsAskedForDuringTheStartWaitsForIt(t *testing.T) {
	c := newControlled(t, newShop(t))
	c.hup <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { c.run(ctx) })
	time.Sleep(100 * time.Millisecond) // nothing is to happen
	if len(c.hup) != 1 {
		t.Error("it didn't wait")
	}
	all.Go(func() { _ = c.service.run(ctx, nil) })
	chaos.Await(t, patience, "reload", func() bool { return strings.Contains(c.said.String(), `"reloaded"`) })
}

// What changes while a reload is under way is still to be taken up after it. And
// if the process is told to end meanwhile, it isn't ready any more.
func TestAChangeDuringAReloadIsNotMissed(t *testing.T) {
	m := newManager(t)
	t.Setenv("NOTIFY_SOCKET", m.path)
	c := newControlled(t, newShop(t))
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { _ = c.service.run(ctx, nil) })
	<-c.service.begun

	held := func(meanwhile func()) {
		c.service.reloading.Lock()
		var reload sync.WaitGroup
		reload.Go(func() { c.reloadNow(ctx, "SIGHUP") })
		m.hears(reloadingLike)
		// Nothing tells that the file was read. If it wasn't yet, this proves less.
		time.Sleep(100 * time.Millisecond)
		meanwhile()
		c.service.reloading.Unlock()
		reload.Wait()
	}
	held(func() {
		text, err := os.ReadFile(c.file)
		if err == nil {
			err = os.WriteFile(c.file, append(text, "# more\n"...), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	m.hears(reloadedLike)
	c.changed()
	if !c.changed() {
		t.Error("the change was missed")
	}
	held(cancel)
	m.hearsNothing()
}

// safeBuffer keeps what is written to it.
type safeBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A log that was moved away is opened anew by SIGHUP, whatever the configuration
// is worth meanwhile. No line is lost between the two files, none is torn, and
// the old one is closed.
func TestRotatingTheLogLosesNoLine(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := s.setup().start(t)
	path := filepath.Join(t.TempDir(), "access.log")
	toFile := func(more string) {
		t.Helper()
		p.write(strings.NewReplacer(`output = "stdout"`, fmt.Sprintf("output = %q", path), "access = false", "access = true").
			Replace(fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:0\"]\n%s[log]\noutput = \"stdout\"\naccess = false\n%s%s", s.keys(), s.text(), more)))
	}
	toFile("")
	p.signal(syscall.SIGHUP)
	chaos.Await(t, patience, "log in its file", func() bool { return strings.Contains(logText(path), `"reloaded"`) })
	load := shoppers(t, "tcp", p.address, 4)
	var parts []string
	for i := range 6 {
		chaos.Await(t, patience, "records", func() bool { return strings.Count(logText(path), `"total_ms"`) > 20 })
		old := fmt.Sprintf("%s.%d", path, i)
		if err := os.Rename(path, old); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, old)
		said := `"reloaded"`
		if i%3 == 2 {
			toFile("[[routes]]\n")
			said = `"not reloaded`
		} else {
			toFile("")
		}
		p.signal(syscall.SIGHUP)
		chaos.Await(t, patience, "event in the new file", func() bool { return strings.Contains(logText(path), said) })
		if runtime.GOOS == "linux" {
			chaos.Await(t, patience, "end of the old file", func() bool { return !hasOpen(t, p, old) })
		}
	}
	toFile("")
	ledger := s.nobodyLost(t, load)
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	text := ""
	for _, part := range append(parts, path) {
		text += logText(part)
	}
	if strings.Contains(text, "log lines dropped") {
		t.Skip("this machine is too busy for its log")
	}
	records := 0
	for l := range strings.Lines(text) {
		if !strings.HasPrefix(l, "{") || !strings.HasSuffix(l, "}\n") {
			t.Errorf("a torn line: %s", l)
		}
		if strings.Contains(l, `"total_ms"`) {
			records++
		}
	}
	if records != ledger.Len() {
		t.Errorf("%d access records of %d requests", records, ledger.Len())
	}
}

// logText is what a log has by now; nothing if it isn't there.
func logText(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// hasOpen reports whether a process has a file open.
func hasOpen(t *testing.T, p *process, path string) bool {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd/", p.main.Pid)
	open, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		if to, _ := os.Readlink(dir + fd.Name()); to == path {
			return true
		}
	}
	return false
}
