package main

import (
	"cmp"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/dnswire"
)

// shopOf is the rest of a configuration with a group of two origins, probed
// fast. Other keys of the group go into more.
func shopOf(eu, us, more string) string {
	return fmt.Sprintf(`
[origins.eu]
url = %q
health = { path = "/", interval = "50ms", timeout = "10s", rise = 1 }
[origins.us]
url = %q
health = { path = "/", interval = "50ms", timeout = "10s", rise = 1 }
[groups.shop]
primary = "eu"
secondary = "us"
failback_after = "0s"
min_hold = "0s"
%s
`, eu, us, more) + routeTable("shop", "/", "shop", 10)
}

// answering is the table of a nameserver on a port of its own.
const answering = `
[nameserver]
listen = "127.0.0.1:%d"
zone = "failover.example."
ns = ["ns1.failover.example."]
`

// ask sends a question over UDP and returns the answer's records.
func ask(t *testing.T, server, name string, typ dnswire.Type) dnswire.Message {
	t.Helper()
	q := dnswire.Message{ID: 1, Questions: []dnswire.Question{{Name: name, Type: typ, Class: dnswire.ClassIN}}}
	packed, err := q.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(packed); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, dnswire.MaxSize)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	var m dnswire.Message
	if err := dnswire.Parse(buf[:n], &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// pointerText is what the group's TXT record says.
func pointerText(t *testing.T, server string) string {
	t.Helper()
	m := ask(t, server, "shop.failover.example.", dnswire.TypeTXT)
	if len(m.Answer) != 1 || len(m.Answer[0].Text) != 1 {
		t.Fatalf("the TXT answer is %+v", m)
	}
	return m.Answer[0].Text[0]
}

// addressOf is the one address that a name is answered with.
func addressOf(t *testing.T, server, name string) string {
	t.Helper()
	m := ask(t, server, name, dnswire.TypeA)
	if len(m.Answer) != 1 {
		t.Fatalf("%s: the answer is %+v", name, m)
	}
	return m.Answer[0].Addr.String()
}

// on starts an origin on an address of the loopback network, which other
// systems than Linux have only one of.
func on(t *testing.T, address, name string) *httptest.Server {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Skipf("no second loopback address here: %v", err)
	}
	s := httptest.NewUnstartedServer(named(name))
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// A flip is answered from the moment on that it is logged, or sooner, and dig
// sees the same as this test.
func TestAFlipShowsInTheAnswerOverDNS(t *testing.T) {
	t.Parallel()
	eu, us := on(t, "127.0.0.1", "eu"), on(t, "127.0.0.2", "us")
	r := start(t, shopOf(eu.URL, us.URL, `dns_name = "shop"`)+fmt.Sprintf(answering, 0)).keep()
	dns := r.await("answering", nil)["address"].(string)
	if got := addressOf(t, dns, "shop.failover.example."); got != "127.0.0.1" {
		t.Fatalf("before the outage the answer is %s", got)
	}
	if got := pointerText(t, dns); !strings.HasPrefix(got, "target=eu generation=1 since=") || !strings.HasSuffix(got, " reason=start") {
		t.Errorf("before the outage TXT says %q", got)
	}
	serial := ask(t, dns, "failover.example.", dnswire.TypeSOA).Answer[0].SOA.Serial

	eu.Close()
	r.await("pointer moved", line{"to": "us"})
	if got := addressOf(t, dns, "shop.failover.example."); got != "127.0.0.2" {
		t.Fatalf("the first answer after the flip is %s", got)
	}
	if got := pointerText(t, dns); !strings.HasPrefix(got, "target=us generation=2 since=") || !strings.HasSuffix(got, " reason=primary_down") {
		t.Errorf("after the flip TXT says %q", got)
	}
	if got := addressOf(t, dns, "EU.shop.failover.example."); got != "127.0.0.1" {
		t.Errorf("eu is answered with %s, wherever the pointer is it must be 127.0.0.1", got)
	}
	if now := ask(t, dns, "failover.example.", dnswire.TypeSOA).Answer[0].SOA.Serial; int32(now-serial) <= 0 {
		t.Errorf("the serial went from %d to %d", serial, now)
	}

	dig, err := exec.LookPath("dig")
	if err != nil {
		t.Log("dig is not installed (Debian: bind9-dnsutils): not asked")
		return
	}
	host, port, _ := net.SplitHostPort(dns)
	out, err := exec.CommandContext(t.Context(), dig, "@"+host, "-p", port, "+short", "shop.failover.example", "A").Output()
	if err != nil || strings.TrimSpace(string(out)) != "127.0.0.2" {
		t.Errorf("dig says %q, %v", out, err)
	}
}

// Of two proxies one decides: the other's pointer goes where the first one's
// is, though its own checks find nothing wrong, and back on its own when the
// first one is gone.
func TestAFollowerGoesAlong(t *testing.T) {
	t.Parallel()
	eu, us := origin(t, "eu"), origin(t, "us")
	dead := origin(t, "dead")
	leader := start(t, shopOf(dead.URL, us.URL, "dns_name = \"shop\"\nttl = \"1s\"")+fmt.Sprintf(answering, 0))
	log := leader.keep()
	dns := log.await("answering", nil)["address"].(string)
	follower := start(t, shopOf(eu.URL, us.URL, fmt.Sprintf("follow = \"dns://%s/shop.failover.example.\"", dns))).keep()
	follower.await("following", line{"to": "eu"})

	dead.Close()
	log.await("pointer moved", line{"to": "us"})
	follower.await("pointer moved", line{"to": "us", "reason": "follow"})

	leader.force()
	leader.drain()
	follower.await("not following", nil)
	follower.await("pointer moved", line{"to": "eu", "reason": "failback"})
}

// A pointer that goes along with another one stays there over a restart, though
// its own checks find nothing wrong and it may return at once. Only when the
// other one is silent for three TTLs, it goes home.
func TestAFollowerGoesAlongOverRestarts(t *testing.T) {
	t.Parallel()
	eu, us := origin(t, "eu"), origin(t, "us")
	leader := start(t, shopOf("http://127.0.0.1:1", us.URL, "dns_name = \"shop\"\nttl = \"1s\"")+fmt.Sprintf(answering, 0))
	log := leader.keep()
	dns := log.await("answering", nil)["address"].(string)
	log.await("pointer moved", line{"to": "us"})

	state := fmt.Sprintf("state = %q\n", filepath.Join(t.TempDir(), "state"))
	text := shopOf(eu.URL, us.URL, fmt.Sprintf("ttl = \"1s\"\nfollow = \"dns://%s/shop.failover.example.\"", dns))
	begin := func() (r *running, k *kept) {
		r = startServer(t, state, text)
		k = r.keep()
		return r, k
	}
	stop := func(r *running, k *kept) {
		t.Helper()
		r.drain()
		k.await("stopped", nil)
		if err := <-r.ended; err != nil {
			t.Fatal(err)
		}
	}
	wantMoves := func(k *kept, want int) {
		t.Helper()
		k.mu.Lock()
		defer k.mu.Unlock()
		var moves []line
		for _, l := range k.lines {
			if l["msg"] == "pointer moved" {
				moves = append(moves, l)
			}
		}
		if len(moves) != want {
			t.Errorf("the pointer moved %d times, want %d: %v", len(moves), want, moves)
		}
	}
	r, k := begin()
	k.await("pointer moved", line{"to": "us", "reason": "follow"})
	stop(r, k)
	for range 3 {
		r, k = begin()
		k.await("following", line{"to": "us"})
		if got := fetchNow(t.Context(), "POST", "http://"+r.address+"/"); got.body != "us" {
			t.Errorf("a request got %+v, want us", got)
		}
		stop(r, k)
		wantMoves(k, 0)
	}

	leader.force()
	leader.drain()
	log.await("stopped", nil)
	begun := time.Now()
	r, k = begin()
	k.await("not following", nil)
	k.await("pointer moved", line{"to": "eu"})
	if held := time.Since(begun); held < 3*time.Second {
		t.Errorf("it was let go after %v", held)
	}
	stop(r, k)
	wantMoves(k, 1)
}

// Two that follow each other settle: one of them stays out and says why.
func TestFollowersOfEachOtherAreFoundOut(t *testing.T) {
	eu, us := origin(t, "eu"), origin(t, "us")
	ports := []int{freePort(t), freePort(t)}
	var both []*kept
	for i := range ports {
		more := fmt.Sprintf("dns_name = \"shop\"\nttl = \"1s\"\nfollow = \"dns://127.0.0.1:%d/shop.failover.example.\"", ports[1-i])
		both = append(both, start(t, shopOf(eu.URL, us.URL, more)+fmt.Sprintf(answering, ports[i])).keep())
	}
	found := make(chan *kept, len(both))
	for _, k := range both {
		go func() {
			if k.find("not following", func(l line) bool { return strings.Contains(fmt.Sprint(l["error"]), "ring") }) != nil {
				found <- k
			}
		}()
	}
	select {
	case <-found:
	case <-time.After(30 * time.Second):
		t.Fatal("nobody noticed the ring")
	}
}

// freePort is a port that was free a moment ago, for UDP and TCP most likely.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// zoneFile is a nameserver of one name, which is told what to answer.
type zoneFile struct {
	conn *net.UDPConn

	mu    sync.Mutex
	rcode dnswire.Rcode
	addrs []netip.Addr
	asked int
}

// serveZone starts a nameserver that answers SERVFAIL until it is told better.
func serveZone(t *testing.T) *zoneFile {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	z := &zoneFile{conn: conn, rcode: dnswire.RcodeServerFailure}
	var all sync.WaitGroup
	all.Go(z.serve)
	t.Cleanup(func() { _ = conn.Close(); all.Wait() })
	return z
}

func (z *zoneFile) serve() {
	buf := make([]byte, 4096)
	for {
		n, from, err := z.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		var m dnswire.Message
		if dnswire.Parse(buf[:n], &m) != nil || len(m.Questions) != 1 {
			continue
		}
		packed, err := z.answer(&m).Append(nil)
		if err == nil {
			_, _ = z.conn.WriteToUDPAddrPort(packed, from)
		}
	}
}

func (z *zoneFile) answer(m *dnswire.Message) *dnswire.Message {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	m.Response, m.Rcode, m.OPTs = true, z.rcode, 0
	for _, a := range z.addrs {
		if m.Questions[0].Type == dnswire.TypeA {
			m.Answer = append(m.Answer, dnswire.Record{Name: m.Questions[0].Name, Type: dnswire.TypeA, TTL: 1, Addr: a})
		}
	}
	return m
}

func (z *zoneFile) say(rcode dnswire.Rcode, addrs ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.rcode, z.addrs = rcode, nil
	for _, a := range addrs {
		z.addrs = append(z.addrs, netip.MustParseAddr(a))
	}
}

// The life of a name: unknown while DNS is down, which fails over under the
// class dns; known when DNS is back; another address; and SERVFAIL again, which
// costs nothing.
func TestOriginsAreResolvedByTheirTTL(t *testing.T) {
	t.Parallel()
	old := on(t, "127.0.0.1", "old")
	_, port, _ := net.SplitHostPort(old.Listener.Addr().String())
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.2", port))
	if err != nil {
		t.Skipf("the same port on a second loopback address can't be had: %v", err)
	}
	moved := httptest.NewUnstartedServer(named("moved"))
	_ = moved.Listener.Close()
	moved.Listener = l
	moved.Start()
	t.Cleanup(moved.Close)
	us := origin(t, "us")

	z := serveZone(t)
	resolve := fmt.Sprintf("[resolver]\nservers = [%q]\nmin_ttl = \"50ms\"\n", z.conn.LocalAddr())
	r := start(t, resolve+strings.ReplaceAll(shopOf("http://origin.test:"+port, us.URL, ""),
		`health = { path = "/", interval = "50ms", timeout = "10s", rise = 1 }`, ""))
	k := r.keep()
	url := "http://" + r.address + "/"
	if got := fetchNow(t.Context(), "GET", url); got.body != "us" || got.err != nil {
		t.Fatalf("without DNS: %+v, want the secondary's", got)
	}
	if got := k.await("request", nil); fmt.Sprint(got["attempts"]) == "" || !strings.Contains(fmt.Sprint(got), "dns") {
		t.Errorf("the access record doesn't name the class dns: %v", got)
	}

	z.say(dnswire.RcodeSuccess, "127.0.0.1")
	k.await("addresses changed", line{"host": "origin.test"})
	if got := fetchNow(t.Context(), "POST", url); got.body != "old" {
		t.Fatalf("with DNS: %+v, want the primary's", got)
	}
	z.say(dnswire.RcodeSuccess, "127.0.0.2")
	k.await("addresses changed", line{"host": "origin.test"})
	if got := fetchNow(t.Context(), "POST", url); got.body != "moved" {
		t.Fatalf("after the change: %+v, want that of the new address", got)
	}
	z.say(dnswire.RcodeServerFailure)
	k.await("lookups fail", line{"host": "origin.test", "stale_answer": true})
	if got := fetchNow(t.Context(), "POST", url); got.body != "moved" {
		t.Fatalf("with SERVFAIL: %+v, want that of the last good address", got)
	}
	z.say(dnswire.RcodeSuccess, "127.0.0.2")
	k.await("lookups work again", line{"host": "origin.test"})
}

func TestDNSDangers(t *testing.T) {
	tests := []struct {
		name, listen, more, group string
		ns                        string // left out: ns1.failover.example.
		want                      []string
	}{
		{
			name: "a name without the zone", listen: "192.0.2.1:53", ns: "ns1", group: `dns_name = "shop"`,
			want: []string{`nameserver: ns = "ns1." is a name of its own, not one below the zone; if that is meant, write "ns1.failover.example."`},
		},
		{name: "nothing", listen: "192.0.2.1:53", group: `dns_name = "shop"`},
		{name: "nothing to answer", listen: "192.0.2.1:53", want: []string{"nameserver: no group has a dns_name, so there is nothing to answer"}},
		{
			name: "a nameserver without an address", listen: ":5353", group: `dns_name = "shop"`,
			want: []string{`nameserver: listen = ":5353" is no single address, and there are no ns_addresses: ns1.failover.example. has no address`},
		},
		{name: "its address is said", listen: ":5353", more: `ns_addresses = ["192.0.2.1"]`, group: `dns_name = "shop"`},
		{
			name: "no limit", listen: "192.0.2.1:53", more: "rate_limit = 0", group: `dns_name = "shop"`,
			want: []string{"nameserver: rate_limit = 0: whoever forges an address can have responses sent to it without end"},
		},
		{name: "no limit on loopback", listen: "127.0.0.1:53", more: "rate_limit = 0", group: `dns_name = "shop"`},
		{
			name: "a name that isn't there", listen: "192.0.2.1:53", group: "dns_name = \"shop\"\ndns_answer = \"cname\"",
			want: []string{
				`group shop: dns_answer = "cname", but eu has no name: it is answered with its address`,
				`group shop: dns_answer = "cname", but us has no name: it is answered with its address`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := shopOf("http://192.0.2.11", "http://192.0.2.12", tt.group+"\n[nameserver]\nlisten = \""+tt.listen+
				"\"\nzone = \"failover.example.\"\nns = [\""+cmp.Or(tt.ns, "ns1.failover.example.")+"\"]\n"+tt.more)
			cfg, err := config.Parse("test.toml", []byte(text), config.Options{Patterns: checkPatterns})
			if err != nil {
				t.Fatal(err)
			}
			if got := dangers(cfg); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// A name whose addresses change with every answer writes one line a minute,
// which says how many it stands for.
func TestChangesOfAddressesAreLoggedOnceAMinute(t *testing.T) {
	m := &moves{hosts: make(map[string]*move)}
	now := time.Now()
	for i, tt := range []struct {
		host   string
		after  time.Duration
		unsaid int
		ok     bool
	}{
		{"a", 0, 0, true},
		{"a", time.Second, 0, false},
		{"b", time.Second, 0, true},
		{"a", time.Minute - 1, 0, false},
		{"a", time.Minute, 2, true},
		{"a", time.Minute + 1, 0, false},
		{"a", time.Hour, 1, true},
	} {
		if unsaid, ok := m.say(tt.host, now.Add(tt.after)); unsaid != tt.unsaid || ok != tt.ok {
			t.Errorf("step %d: %d, %v; want %d, %v", i, unsaid, ok, tt.unsaid, tt.ok)
		}
	}
}
