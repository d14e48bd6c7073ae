package nameserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// tool finds a program of another make, or skips the test.
func tool(t *testing.T, name string, paths ...string) string {
	t.Helper()
	for _, p := range append([]string{name}, paths...) {
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	t.Skipf("%s isn't installed", name)
	return ""
}

// dig asks the server at addr, and gives what dig says.
func dig(t *testing.T, addr netip.AddrPort, args ...string) string {
	t.Helper()
	path := tool(t, "dig")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	base := []string{"@" + addr.Addr().String(), "-p", fmt.Sprint(addr.Port()), "+norec", "+tries=1", "+time=10"}
	out, err := exec.CommandContext(ctx, path, append(base, args...)...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

// Everything that the answers must be right about, as dig sees it.
func TestDig(t *testing.T) {
	world := newWorld()
	for i := range 100 {
		world.addrs["us"] = append(world.addrs["us"], netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	addr := serve(t, world.server(t))
	tests := []struct {
		name string
		args string
		want []string // patterns, all of which the output matches
		not  string   // and one that it doesn't
	}{
		{"A", "shop.failover.example A", []string{`status: NOERROR`, `flags: qr aa; QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 1`, `shop\.failover\.example\.\s+5\s+IN\s+A\s+192\.0\.2\.1\n`}, "WARNING"},
		{"AAAA", "shop.failover.example AAAA", []string{`\s5\s+IN\s+AAAA\s+2001:db8::1\n`}, "WARNING"},
		{"RD is repeated", "+rec shop.failover.example A", []string{`flags: qr aa rd;`, `recursion requested but not available`}, ` ra`},
		{"TXT", "shop.failover.example TXT", []string{`TXT\s+"target=eu generation=7 since=2026-11-23T03:14:15Z reason=primary_down"\n`}, "WARNING"},
		{"CNAME", "web.cdn.failover.example A", []string{`\s20\s+IN\s+CNAME\s+eu\.origins\.example\.\n`, `ANSWER: 1,`}, "WARNING"},
		{"TXT beside a CNAME", "web.cdn.failover.example TXT", []string{`TXT\s+"target=eu`, `ANSWER: 1,`}, "CNAME"},
		{"an origin by its own name", "us.web.cdn.failover.example A +tcp", []string{`ANSWER: 101`, `\s192\.0\.2\.9\n`}, "WARNING"},
		{"SOA", "failover.example SOA", []string{`SOA\s+ns1\.failover\.example\. dns\\\.admin\.failover\.example\. \d+ 3600 600 604800 5\n`}, "WARNING"},
		{"NS", "failover.example NS", []string{`NS\s+ns1\.failover\.example\.\n`, `NS\s+ns\.elsewhere\.example\.\n`, `ADDITIONAL SECTION:\nns1\.failover\.example\.\s+3600\s+IN\s+A\s+127\.0\.0\.1\n`}, "WARNING"},
		{"no such type", "shop.failover.example MX", []string{`status: NOERROR`, `ANSWER: 0, AUTHORITY: 1`, `SOA\s+ns1`}, "WARNING"},
		{"no such name", "nothere.failover.example A", []string{`status: NXDOMAIN`, `flags: qr aa;`, `AUTHORITY: 1`, `failover\.example\.\s+5\s+IN\s+SOA`}, "WARNING"},
		{"outside", "elsewhere.example A", []string{`status: REFUSED`, `flags: qr;`, `ANSWER: 0, AUTHORITY: 0`}, "WARNING"},
		{"ANY", "shop.failover.example ANY", []string{`HINFO\s+"RFC8482" ""\n`, `ANSWER: 1,`}, "WARNING"},
		{"ANY over UDP", "+notcp shop.failover.example ANY", []string{`HINFO\s+"RFC8482" ""\n`}, "WARNING"},
		{"AXFR", "failover.example AXFR", []string{`Transfer failed`}, "SOA"},
		{"IXFR over UDP", "+notcp failover.example IXFR=1", []string{`MSG SIZE`}, "SOA"},
		{"CHAOS", "version.bind TXT CH", []string{`status: REFUSED`}, "WARNING"},
		{"another opcode", "+opcode=NOTIFY failover.example SOA", []string{`opcode: NOTIFY, status: NOTIMP`}, "WARNING"},
		{"UPDATE", "+opcode=UPDATE failover.example SOA", []string{`opcode: UPDATE, status: NOTIMP`}, "WARNING"},
		{"EDNS 1", "+edns=1 +noednsneg shop.failover.example A", []string{`status: BADVERS`, `EDNS: version: 0,`}, "ANSWER SECTION"},
		{"EDNS 1, negotiated", "+edns=1 shop.failover.example A", []string{`BADVERS, retrying with EDNS version 0`, `status: NOERROR`}, "WARNING"},
		{"an unknown option", "+ednsopt=65001:c0ffee shop.failover.example A", []string{`status: NOERROR`, `ANSWER: 2`}, "OPT=65001"},
		{"a client subnet", "+subnet=192.0.2.0/24 shop.failover.example A", []string{`status: NOERROR`, `ANSWER: 2`}, "CLIENT-SUBNET"},
		{"unknown flags", "+ednsflags=0x40 shop.failover.example A", []string{`status: NOERROR`, `ANSWER: 2`}, "MBZ"},
		{"DO", "+dnssec shop.failover.example A", []string{`EDNS: version: 0, flags: do; udp: 1232`}, "WARNING"},
		{"no OPT when none was asked", "+noedns shop.failover.example A", []string{`ADDITIONAL: 0`, `ANSWER: 2`}, "OPT PSEUDOSECTION"},
		{"a cookie", "+cookie shop.failover.example A", []string{`COOKIE: [0-9a-f]{16}01000000[0-9a-f]{24} \(good\)`}, "WARNING"},
		{"a cookie that is malformed", "+cookie=0123456789 shop.failover.example A", []string{`status: FORMERR`}, "COOKIE"},
		{"truncation", "+ignore +bufsize=4096 us.shop.failover.example A", []string{`flags: qr aa tc;`, `ANSWER: 0`}, "ANSWER SECTION"},
		{"truncation, then TCP", "us.shop.failover.example A", []string{`Truncated, retrying in TCP mode`, `ANSWER: 101`}, "WARNING"},
		{"the case of the question", "sHOp.FAILOVER.exAMPle A", []string{`;sHOp\.FAILOVER\.exAMPle\.`, `\nsHOp\.FAILOVER\.exAMPle\.\s+5`}, "shop"},
		{"queries on one connection", "+tcp +keepopen shop.failover.example A failover.example SOA", []string{`(?s)ANSWER: 2.*ANSWER: 1`}, "timed out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := dig(t, addr, strings.Fields(tt.args)...)
			for _, want := range tt.want {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("nothing like %q in\n%s", want, out)
				}
			}
			if strings.Contains(out, tt.not) {
				t.Errorf("there is %q in\n%s", tt.not, out)
			}
		})
	}
}

// A flip is seen by the next dig.
func TestDigSeesAFlip(t *testing.T) {
	world := newWorld()
	s := world.server(t)
	addr := serve(t, s)
	for target, want := range map[string]string{"us": "192.0.2.9", "eu": "192.0.2.1"} {
		world.set(func() { world.pointer.Target = target; world.pointer.Generation++ })
		s.Update()
		if out := dig(t, addr, "+short", "shop.failover.example", "A"); !strings.HasPrefix(out, want+"\n") {
			t.Errorf("at %s dig sees %s", target, out)
		}
	}
}

// Over the rate, dig's answer is empty and truncated, so it comes back over TCP;
// and with a cookie that it was given before it isn't over the rate.
func TestDigOverTheRate(t *testing.T) {
	s := newWorld().server(t, func(c *Config) { c.RateLimit = 1 })
	s.distrustLoopback = true
	addr := serve(t, s)
	first := dig(t, addr, "+cookie", "shop.failover.example", "A")
	found := regexp.MustCompile(`COOKIE: ([0-9a-f]{48}) \(good\)`).FindStringSubmatch(first)
	if found == nil || !strings.Contains(first, "ANSWER: 2") {
		t.Fatalf("the first answer:\n%s", first)
	}
	// As if the prefix had used up the rate of the next hour.
	s.limiter.Load().buckets[s.limiter.Load().bucket(local.Addr())].Store(int64(time.Since(s.started)+time.Hour) << 1)
	over := dig(t, addr, "+nocookie", "shop.failover.example", "A")
	if !strings.Contains(over, "Truncated, retrying in TCP mode") || !strings.Contains(over, "ANSWER: 2") {
		t.Errorf("over the rate:\n%s", over)
	}
	known := dig(t, addr, "+cookie="+found[1], "+ignore", "shop.failover.example", "A")
	if !strings.Contains(known, "ANSWER: 2") || !strings.Contains(known, "(UDP)") {
		t.Errorf("with a cookie:\n%s", known)
	}
}

// startUnbound runs a recursive resolver whose only knowledge is that the zone
// is at addr, and gives where it listens.
func startUnbound(t *testing.T, addr netip.AddrPort) netip.AddrPort {
	t.Helper()
	path := tool(t, "unbound", "/usr/sbin/unbound")
	for range 5 { // the port that is free now may be taken in a moment
		if listen, ok := tryUnbound(t, path, addr); ok {
			return listen
		}
	}
	t.Fatal("unbound doesn't start")
	return netip.AddrPort{}
}

func tryUnbound(t *testing.T, path string, addr netip.AddrPort) (listen netip.AddrPort, ok bool) {
	t.Helper()
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asker, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	listen = free.LocalAddr().(*net.UDPAddr).AddrPort()
	free.Close()

	dir := t.TempDir()
	conf := filepath.Join(dir, "unbound.conf")
	if err := os.WriteFile(conf, []byte(fmt.Sprintf(unboundConf, listen.Addr(), listen.Port(), dir, addr.Addr(), addr.Port())), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(path, "-d", "-p", "-c", conf)
	cmd.Stderr, cmd.Stdout = &log, &log
	if err := cmd.Start(); err != nil {
		t.Skipf("unbound doesn't start: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("unbound says:\n%s", log.String())
		}
	})
	return listen, awaitAnswer(t, asker, listen, ended)
}

const unboundConf = `server:
	interface: %s
	port: %d
	directory: "%s"
	pidfile: ""
	chroot: ""
	username: ""
	use-syslog: no
	verbosity: 1
	num-threads: 1
	do-not-query-localhost: no
	do-ip6: no
	module-config: "iterator"
	use-caps-for-id: yes
	qname-minimisation: yes
	qname-minimisation-strict: yes
	private-domain: "failover.example"
	local-zone: "example." transparent
stub-zone:
	name: "failover.example."
	stub-addr: %s@%d
	stub-no-cache: no
remote-control:
	control-enable: no
`

// awaitAnswer waits until addr answers asker. Not ok: it ended before.
func awaitAnswer(t *testing.T, asker net.PacketConn, addr netip.AddrPort, ended <-chan struct{}) bool {
	t.Helper()
	query, b := packed(t, question("localhost.", dnswire.TypeA)), make([]byte, dnswire.MaxSize)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-ended:
			return false
		default:
		}
		_, _ = asker.WriteTo(query, net.UDPAddrFromAddrPort(addr))
		_ = asker.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, _, err := asker.ReadFrom(b); err == nil && n > 2 && b[2]&0x80 != 0 {
			return true
		}
	}
	return false
}

// A recursive resolver that randomises the case of its questions and asks
// label by label gets along with the server, keeps answers as long as their TTL
// says, and keeps none that it shouldn't have.
func TestUnboundResolvesThroughIt(t *testing.T) {
	world := newWorld()
	for i := range 100 {
		world.addrs["us"] = append(world.addrs["us"], netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	world.left["eu"] = time.Hour
	s := world.server(t, func(c *Config) { c.Groups[0].TTL = time.Hour })
	resolver := dial(t, "udp", startUnbound(t, serve(t, s)))
	over := func(name string, qtype dnswire.Type) dnswire.Message {
		t.Helper()
		q := question(name, qtype)
		q.OPTs, q.EDNS.UDPSize = 1, 4096
		return exchange(t, resolver, q)
	}
	tests := []struct {
		name  string
		qtype dnswire.Type
		rcode dnswire.Rcode
		want  int
	}{
		{"shop.failover.example.", dnswire.TypeA, dnswire.RcodeSuccess, 2},
		{"shop.failover.example.", dnswire.TypeAAAA, dnswire.RcodeSuccess, 1},
		{"shop.failover.example.", dnswire.TypeTXT, dnswire.RcodeSuccess, 1},
		{"shop.failover.example.", dnswire.Type(15), dnswire.RcodeSuccess, 0},
		{"us.shop.failover.example.", dnswire.TypeA, dnswire.RcodeSuccess, 101},    // by TCP
		{"us.web.cdn.failover.example.", dnswire.TypeA, dnswire.RcodeSuccess, 101}, // below a name between
		{"nothere.failover.example.", dnswire.TypeA, dnswire.RcodeNameError, 0},
		{"failover.example.", dnswire.TypeSOA, dnswire.RcodeSuccess, 1},
		{"failover.example.", dnswire.TypeNS, dnswire.RcodeSuccess, 2},
	}
	for _, tt := range tests {
		m := over(tt.name, tt.qtype)
		if m.Rcode != tt.rcode || len(m.Answer) != tt.want {
			t.Errorf("%s %s: %s", tt.name, tt.qtype, brief(&m))
		}
	}
	// The resolver has this for an hour, and asks us no more.
	before := s.Stats().UDP.Queries
	world.set(func() { world.pointer.Target = "us"; world.unknown["us"] = true })
	s.Update()
	if m := over("shop.failover.example.", dnswire.TypeA); len(m.Answer) != 2 {
		t.Errorf("from its memory: %s", brief(&m))
	}
	if after := s.Stats().UDP.Queries; after != before {
		t.Errorf("%d more queries for what it had", after-before)
	}
}

// A resolver follows a flip when the TTL is over, and when there is none, at
// once.
func TestUnboundFollowsAFlip(t *testing.T) {
	world := newWorld()
	s := world.server(t, func(c *Config) { c.Groups[0].TTL = 0 })
	resolver := dial(t, "udp", startUnbound(t, serve(t, s)))
	for i := range 10 {
		target, want := "eu", "192.0.2.1"
		if i%2 == 1 {
			target, want = "us", "192.0.2.9"
		}
		world.set(func() { world.pointer.Target = target; world.pointer.Generation++ })
		s.Update()
		m := exchange(t, resolver, question("shop.failover.example.", dnswire.TypeA))
		found := false
		for _, r := range m.Answer {
			found = found || r.Addr.String() == want
		}
		if !found {
			t.Errorf("flip %d to %s: %s", i, target, brief(&m))
		}
	}
}
