package nameserver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// reload puts another configuration to use.
func reload(t testing.TB, s *Server, cfg Config) {
	t.Helper()
	commit, err := s.Prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	commit()
}

// Zone, names, groups and rate change between two queries; what belongs to the
// sockets and to the clients stays.
func TestAReloadShowsInTheNextAnswer(t *testing.T) {
	world := newWorld()
	s := world.server(t)
	addr := serve(t, s)
	udp, tcp := dial(t, "udp", addr), dial(t, "tcp", addr)
	soa := func(zone string) dnswire.SOA {
		t.Helper()
		tcp.Write(framed(t, question(zone, dnswire.TypeSOA)))
		m := readFrame(t, tcp)
		if len(m.Answer) != 1 {
			t.Fatalf("SOA of %s: %s", zone, brief(&m))
		}
		return m.Answer[0].SOA
	}
	before := soa("failover.example.")

	cfg := world.config()
	cfg.Zone, cfg.NS, cfg.Admin, cfg.RateLimit = "other.example.", []string{"ns7.other.example."}, "root@other.example", 5
	cfg.Groups = []Group{{
		Name: "store", TTL: 9 * time.Second, Origins: []Origin{world.origin("us", "")},
		Pointer: func() Pointer { return Pointer{Target: "us", Generation: 3, Since: start, Reason: "start"} },
	}}
	commit, err := s.Prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if m := exchange(t, udp, question("shop.failover.example.", dnswire.TypeA)); len(m.Answer) != 2 {
		t.Errorf("between Prepare and commit: %s", brief(&m))
	}
	commit()
	for _, tt := range []struct {
		name  string
		qtype dnswire.Type
		want  string
	}{
		{"store.other.example.", dnswire.TypeA, "NOERROR aa; store.other.example. 9 A 192.0.2.9"},
		{"store.other.example.", dnswire.TypeTXT, `NOERROR aa; store.other.example. 9 TXT ["target=us generation=3 since=2026-11-23T03:14:15Z reason=start"]`},
		{"ns7.other.example.", dnswire.TypeA, "NOERROR aa; ns7.other.example. 3600 A 127.0.0.1"},
		{"shop.failover.example.", dnswire.TypeA, "REFUSED"},
		{"failover.example.", dnswire.TypeSOA, "REFUSED"},
	} {
		m := exchange(t, udp, question(tt.name, tt.qtype))
		if got := brief(&m); got != tt.want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", tt.name, tt.qtype, got, tt.want)
		}
	}
	after := soa("other.example.") // over the connection that was open
	if int32(after.Serial-before.Serial) <= 0 || after.Mailbox != "root.other.example." {
		t.Errorf("the SOA went from %+v to %+v", before, after)
	}
	if s.limiter.Load() == nil {
		t.Error("the rate limit is not in force")
	}
	st := s.Stats()
	if st.UDP.Queries != 6 || st.TCP.Queries != 2 || st.Connections != 1 || st.Serial != after.Serial {
		t.Errorf("counted as %+v", st)
	}
	commit() // again, which is nothing
	if got := soa("other.example."); got.Serial != after.Serial {
		t.Error("a commit counted twice")
	}
}

// A cookie from before a reload still vouches for its client, and a rate that
// stays the same is not given anew.
func TestAReloadKeepsWhatClientsHaveEarned(t *testing.T) {
	world := newWorld()
	s := world.server(t, func(c *Config) { c.RateLimit = 1 })
	s.distrustLoopback = true
	addr := serve(t, s)
	c := dial(t, "udp", addr)
	q := question("shop.failover.example.", dnswire.TypeA)
	q.EDNS, q.OPTs = dnswire.EDNS{UDPSize: 1232, Cookie: []byte("12345678")}, 1
	first := exchange(t, c, q)
	if len(first.EDNS.Cookie) != cookieLen {
		t.Fatalf("no cookie came: %+v", first)
	}
	cfg := world.config()
	cfg.RateLimit = 1
	before := s.limiter.Load()
	reload(t, s, cfg)
	if s.limiter.Load() != before {
		t.Error("the rate limit began anew")
	}
	q.EDNS.Cookie = first.EDNS.Cookie
	if m := exchange(t, c, q); m.Truncated || len(m.Answer) != 2 || s.Stats().Cookies != 1 {
		t.Errorf("with the cookie of before: %s", brief(&m))
	}
	cfg.RateLimit = 0
	reload(t, s, cfg)
	if s.limiter.Load() != nil {
		t.Error("the rate limit is still in force")
	}
}

// What is wrong with a configuration is said before anything changes.
func TestAReloadThatIsWrongChangesNothing(t *testing.T) {
	world := newWorld()
	s := world.server(t)
	z, p := s.current(start), s.plan
	for name, edit := range map[string]func(*Config){
		"another address":  func(c *Config) { c.Listen = "127.0.0.1:5353" },
		"no zone":          func(c *Config) { c.Zone = "" },
		"no nameserver":    func(c *Config) { c.NS = nil },
		"a group twice":    func(c *Config) { c.Groups = append(c.Groups, c.Groups[0]) },
		"a negative limit": func(c *Config) { c.RateLimit = -1 },
	} {
		cfg := world.config()
		edit(&cfg)
		if commit, err := s.Prepare(cfg); err == nil || commit != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if s.current(start) != z || s.plan != p {
		t.Error("something changed")
	}
}

// Every query is answered, at the first try and with one of the two
// configurations whole, while one reload follows the other.
func TestAHundredReloadsLoseNoQuery(t *testing.T) {
	world := newWorld()
	s := world.server(t)
	addr := serve(t, s)
	other := world.config()
	other.Groups = other.Groups[:1]
	other.Groups[0].TTL = 7 * time.Second
	other.Groups[0].Pointer = func() Pointer { return Pointer{Target: "us", Since: start} }
	cfgs := []Config{other, world.config()}
	var stop atomic.Bool
	var clients sync.WaitGroup
	var answered atomic.Int64
	for range 4 {
		c := dial(t, "udp", addr)
		clients.Go(func() {
			for i := 0; !stop.Load(); i++ {
				q := question("shop.failover.example.", dnswire.TypeA)
				q.ID = uint16(i)
				m := exchange(t, c, q) // fails the test without an answer
				got := brief(&m)
				if m.ID != q.ID || got != "NOERROR aa; shop.failover.example. 7 A 192.0.2.9" &&
					got != "NOERROR aa; shop.failover.example. 5 A 192.0.2.1; shop.failover.example. 5 A 192.0.2.2" {
					t.Errorf("answer %s", got)
				}
				answered.Add(1)
			}
		})
	}
	probe := dial(t, "udp", addr)
	last := uint32(0)
	for i := range 100 {
		reload(t, s, cfgs[i%2])
		m := exchange(t, probe, question("failover.example.", dnswire.TypeSOA))
		if serial := m.Answer[0].SOA.Serial; i > 0 && int32(serial-last) < 0 {
			t.Fatalf("reload %d: the serial went back from %d to %d", i, last, serial)
		} else {
			last = serial
		}
		if m := exchange(t, probe, question("shop.failover.example.", dnswire.TypeA)); len(m.Answer) != 1+i%2 {
			t.Fatalf("reload %d doesn't show: %s", i, brief(&m))
		}
	}
	stop.Store(true)
	clients.Wait()
	if st := s.Stats(); st.UDP.Rcodes["NOERROR"] != uint64(answered.Load())+200 || st.Errors != 0 {
		t.Errorf("%d answered, counted as %+v", answered.Load(), st)
	}
	t.Logf("%d queries beside 100 reloads", answered.Load())
}

// Whatever happens how fast, the serial never goes back, is never far ahead of
// the clock, and shows a change a second later at the latest.
func TestTheSerialNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(rapid.Int64Range(1<<31, 1<<32+1<<31).Draw(rt, "start"), 0)
		var s serials
		s.begin(0, now)
		owed := false
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			if rapid.IntRange(0, 3).Draw(rt, "wait") == 0 {
				now = now.Add(time.Duration(rapid.IntRange(0, 25).Draw(rt, "tenths")) * 100 * time.Millisecond)
			}
			before, waited := s.current, now.Sub(s.moved)
			changed := rapid.Bool().Draw(rt, "changed")
			again := s.next(changed, now)
			moved := s.current != before
			ahead := int32(s.current - uint32(now.Unix()))
			switch {
			case int32(s.current-before) < 0:
				rt.Fatalf("from %d to %d", before, s.current)
			case ahead > maxAhead+1:
				rt.Fatalf("ahead of the clock by %d", ahead)
			case moved && !changed && !owed:
				rt.Fatal("moved, but nothing changed")
			case (changed || owed) && waited >= time.Second && !moved:
				rt.Fatal("a change doesn't show after a second")
			case (changed || owed) && !moved && (again.IsZero() || again.Sub(now) > time.Second):
				rt.Fatalf("a change will show at %v, and it is %v", again, now)
			}
			owed = (changed || owed) && !moved
		}
	})
}

// After a restart, or at another address, the serial goes on where the earlier
// server's was, if it is known, however fast that one's changes came. A clock
// that was set back holds nothing up.
func TestTheSerialSurvivesARestart(t *testing.T) {
	world := newWorld()
	first := world.server(t)
	now := start
	for range 3 * maxAhead {
		world.set(func() { world.pointer.Generation++ })
		first.Update()
		first.current(now)
	}
	last := first.Stats().Serial
	if ahead := last - uint32(now.Unix()); ahead != maxAhead {
		t.Errorf("the first server is ahead by %d, want %d", ahead, maxAhead)
	}
	second := world.server(t, func(c *Config) { c.Serial = func() uint32 { return first.Stats().Serial } })
	now = now.Add(time.Second)
	if got := second.current(now).serial; int32(got-last) <= 0 {
		t.Errorf("it went from %d to %d", last, got)
	}
	third := world.server(t)
	if got := third.current(now.Add(maxAhead * time.Second)).serial; int32(got-last) <= 0 {
		t.Errorf("without knowing, %d s later, it went from %d to %d", maxAhead+1, last, got)
	}
	last = third.Stats().Serial
	for i := range 5 { // the clock is an hour back
		now = start.Add(-time.Hour + time.Duration(i)*2*time.Second)
		third.Update()
		world.set(func() { world.pointer.Generation++ })
		third.current(now)
	}
	if got := third.Stats().Serial; int32(got-last) < 0 {
		t.Errorf("with the clock set back it went from %d to %d", last, got)
	}
}

// A change that shared its serial with the one before gets its own within a
// second, in the SOA and in the denials.
func TestASerialThatIsOwedIsPaid(t *testing.T) {
	world := newWorld()
	s := world.server(t)
	for range 2 * maxAhead {
		world.set(func() { world.pointer.Generation++ })
		s.Update()
		s.current(start)
	}
	before := s.current(start).serial
	later := start.Add(1500 * time.Millisecond)
	soa := ask(t, s, question("failover.example.", dnswire.TypeSOA), later)
	none := ask(t, s, question("none.failover.example.", dnswire.TypeA), later)
	if got, denied := soa.Answer[0].SOA.Serial, none.Authority[0].SOA.Serial; got != before+1 || denied != got {
		t.Errorf("the serial went from %d to %d, %d in denials", before, got, denied)
	}
}

// Sockets that another server opened, or one of the two, are used as they are.
func TestListenOnSocketsThatAreThere(t *testing.T) {
	open := func() (*net.TCPListener, *net.UDPConn) {
		t.Helper()
		s := newWorld().server(t)
		if _, err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		return s.Sockets()
	}
	for _, tt := range []struct {
		name     string
		tcp, udp bool
	}{{"both", true, true}, {"TCP", true, false}, {"UDP", false, true}} {
		tcp, udp := open()
		want := udp.LocalAddr().String()
		if !tt.tcp {
			tcp.Close()
			tcp = nil
		}
		if !tt.udp {
			udp.Close()
			udp = nil
		}
		s := newWorld().server(t)
		addr, err := s.ListenOn(tcp, udp)
		if err != nil || addr.String() != want {
			t.Fatalf("%s: at %v, %v; want %s", tt.name, addr, err, want)
		}
		gotTCP, gotUDP := s.Sockets()
		if tt.tcp && gotTCP != tcp || tt.udp && gotUDP != udp {
			t.Errorf("%s: others are used", tt.name)
		}
		runUntilEnd(t, s)
		c := dial(t, "tcp", udpAddrPort(addr))
		c.Write(framed(t, question("shop.failover.example.", dnswire.TypeA)))
		if m := readFrame(t, c); len(m.Answer) != 2 {
			t.Errorf("%s: %s", tt.name, brief(&m))
		}
		if m := exchange(t, dial(t, "udp", udpAddrPort(addr)), question("shop.failover.example.", dnswire.TypeA)); len(m.Answer) != 2 {
			t.Errorf("%s: %s", tt.name, brief(&m))
		}
	}
	tcp, other := open()
	otherTCP, udp := open()
	if _, err := newWorld().server(t).ListenOn(tcp, udp); err == nil {
		t.Error("two ports were taken for one")
	}
	if err := udp.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after an error the sockets are still open: %v", err)
	}
	other.Close()
	otherTCP.Close()
}

func udpAddrPort(a net.Addr) netip.AddrPort { return a.(*net.UDPAddr).AddrPort() }

// runUntilEnd has s, which listens, run until the test ends or stop is called.
func runUntilEnd(t testing.TB, s *Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// What has arrived when the end comes is still answered.
func TestTheEndLeavesNoQueryUnanswered(t *testing.T) {
	for range 10 {
		s := newWorld().server(t)
		addr, err := s.Listen()
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, "udp", udpAddrPort(addr))
		stop := runUntilEnd(t, s)
		const queries = 40 // more than one batch
		for i := range queries {
			q := question("shop.failover.example.", dnswire.TypeA)
			q.ID = uint16(i)
			if _, err := c.Write(packed(t, q)); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		b := make([]byte, dnswire.MaxSize)
		for i := range queries {
			if _, err := c.Read(b); err != nil {
				t.Fatalf("answer %d: %v", i, err)
			}
		}
	}
}

// Two servers share sockets, as two processes do in an upgrade, and one after
// the other takes its leave: no query is lost.
func TestHandingSocketsOverLosesNoQuery(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("sockets can't be duplicated there")
	}
	server := newWorld().server(t)
	addr, err := server.Listen()
	if err != nil {
		t.Fatal(err)
	}
	stop := runUntilEnd(t, server)
	var ended atomic.Bool
	var clients sync.WaitGroup
	for range 4 {
		c := dial(t, "udp", udpAddrPort(addr))
		clients.Go(func() {
			for !ended.Load() {
				if m := exchange(t, c, question("shop.failover.example.", dnswire.TypeA)); len(m.Answer) != 2 {
					t.Errorf("answer %s", brief(&m))
				}
			}
		})
	}
	handOvers := 4 // each takes a second, in which the old one goes on beside the new one
	if os.Getenv("FAIRLEAD_TEST_FULL") != "" {
		handOvers = 20
	}
	for range handOvers {
		next := newWorld().server(t)
		tcp, udp := duplicates(t, server)
		if _, err := next.ListenOn(tcp, udp); err != nil {
			t.Fatal(err)
		}
		stopNext := runUntilEnd(t, next)
		stop()
		server, stop = next, stopNext
	}
	ended.Store(true)
	clients.Wait()
}

// duplicates gives the same sockets once more.
func duplicates(t *testing.T, s *Server) (*net.TCPListener, *net.UDPConn) {
	t.Helper()
	tcp, udp := s.Sockets()
	tcpFile, err1 := tcp.File()
	udpFile, err2 := udp.File()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	defer closeAll(tcpFile, udpFile)
	l, err1 := net.FileListener(tcpFile)
	c, err2 := net.FilePacketConn(udpFile)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return l.(*net.TCPListener), c.(*net.UDPConn)
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
