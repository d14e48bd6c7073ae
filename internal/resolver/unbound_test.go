package resolver

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const unboundConf = `server:
	interface: 127.0.0.1@%d
	directory: %q
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	verbosity: 1
	num-threads: 1
	module-config: "iterator"
auth-zone:
	name: "shop.example."
	zonefile: %q
	for-downstream: yes
	for-upstream: no
	fallback-enabled: no
`

const zoneHead = `$ORIGIN shop.example.
$TTL 60
@ SOA ns hostmaster 1 60 60 60 60
@ NS ns
ns A 127.0.0.1
www 40 CNAME hop
hop 30 CNAME edge
edge 50 A 192.0.2.1
edge 50 AAAA 2001:db8::1
v4 A 192.0.2.4
text 7200 TXT "tar" "get=eu"
loop CNAME pool
pool CNAME loop
`

// unbound starts a nameserver of another make with a small zone.
func unbound(t *testing.T) (server string) {
	t.Helper()
	path, err := exec.LookPath("unbound")
	if err != nil {
		if path = "/usr/sbin/unbound"; exec.Command(path, "-V").Run() != nil {
			t.Skip("no unbound here")
		}
	}
	dir := t.TempDir()
	zone := zoneHead
	for i := range 300 {
		zone += fmt.Sprintf("many A 198.51.%d.%d\n", i/250, i%250)
	}
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	zoneFile, said := write("zone", zone), ""
	for range 3 { // the port may be somebody else's by then
		port := freePort(t)
		conf := write("unbound.conf", fmt.Sprintf(unboundConf, port, dir, zoneFile))
		var ok bool
		if ok, said = startUnbound(t, path, conf); ok {
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	t.Skipf("unbound doesn't start:\n%s", said)
	return ""
}

// freePort is a UDP port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	probe, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	return probe.LocalAddr().(*net.UDPAddr).Port
}

// startUnbound reports whether it has started, and what it said. It ends with
// the test at the latest.
func startUnbound(t *testing.T, path, conf string) (ok bool, said string) {
	t.Helper()
	cmd := exec.Command(path, "-d", "-c", conf)
	says, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var heard strings.Builder
	started, done := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(done)
		up := false
		for lines := bufio.NewScanner(says); lines.Scan(); {
			if up {
				continue
			}
			heard.WriteString(lines.Text() + "\n")
			if up = strings.Contains(lines.Text(), "start of service"); up {
				started <- true
			}
		}
		if !up {
			started <- false
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
		cmd.Wait()
	})
	return <-started, heard.String()
}

// A nameserver that others wrote is understood: aliases, families, TTLs,
// denials, answers that only TCP can hold, and text.
func TestUnboundIsUnderstood(t *testing.T) {
	server := unbound(t)
	r := onSockets(t, never, server)
	wantAddrs(t, r, "www.shop.example", "2001:db8::1", "192.0.2.1")
	if a, ok := r.Peek("www.shop.example"); !ok || a.Name != "edge.shop.example." || a.Left > 30*time.Second || a.Left < 10*time.Second {
		t.Errorf("Peek: %+v", a)
	}
	wantAddrs(t, r, "V4.shop.example.", "192.0.2.4")
	wantKind(t, r, "none.shop.example", NotFound)
	wantKind(t, r, "text.shop.example", NoAddress)
	if addrs, err := r.Lookup(t.Context(), "many.shop.example"); err != nil || len(addrs) != maxAddrs {
		t.Errorf("many: %d addresses, %v", len(addrs), err)
	}
	if texts, ttl, err := r.Text(t.Context(), server, "text.shop.example"); err != nil || strings.Join(texts, "|") != "target=eu" || ttl != 2*time.Hour {
		t.Errorf("Text: %q for %s, %v", texts, ttl, err)
	}
	if _, err := r.Lookup(t.Context(), "loop.shop.example"); err == nil {
		t.Error("the loop has addresses")
	}
}
