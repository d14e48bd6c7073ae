//go:build unix

package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/testrun"
)

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
	door := filepath.Join(testrun.ShortDir(t), "door")

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
	pipe := filepath.Join(testrun.ShortDir(t), "log")
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

// Where client_ca is missing, a reload is refused, and from then on so is
// everybody: the authorities of before count no more.
func TestAClientCAThatIsMissingAtAReloadLetsNobodyIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	roots := writeCertificate(t, dir)
	cert, key, ca := filepath.Join(dir, "site.pem"), filepath.Join(dir, "site.key"), filepath.Join(dir, "ca.pem")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	authorities, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	provide := func() {
		if err := os.WriteFile(ca, authorities, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	provide()
	p := setup{server: fmt.Sprintf("tls_listen = [\"127.0.0.1:0\"]\nclient_ca = %q\n[[server.certificates]]\ncert = %q\nkey = %q\n",
		ca, cert, key), toml: oneOrigin("http://127.0.0.1:9")}.start(t)
	address := p.await("listening", line{"tls": true})["address"].(string)
	// In TLS 1.2 the handshake ends with the server's verdict on the client.
	client := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12}
	enter := func() error {
		c, err := tls.Dial("tcp", address, client)
		if err != nil {
			return err
		}
		return c.Close()
	}
	if err := enter(); err != nil {
		t.Fatalf("with its authority in place: %v", err)
	}
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	p.reload("can't be read")
	if enter() == nil {
		t.Error("let in by authorities whose file was missing at a reload")
	}
	provide()
	p.reload("")
	if err := enter(); err != nil {
		t.Errorf("with its authority back: %v", err)
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
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
