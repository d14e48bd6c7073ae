package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// besieged is a process with a route for good traffic and one for hostile
// clients, on one origin that is probed, and a good load on it.
type besieged struct {
	*process
	t      *testing.T
	origin *chaos.Origin
	secure string // the address of its TLS listener
}

// besiegedRoutes is its configuration. The routes share everything but their
// permits and their connections to the origin.
const besiegedRoutes = `
[[server.certificates]]
cert = %q
key = %q
`

const besiegedRest = `
[origins.app]
url = %q
[origins.app.health]
interval = "100ms"
timeout = "2s"
[groups.app]
primary = "app"
[[routes]]
name = "good"
match = "/good/"
group = "app"
bulkhead = { max_concurrent = 64 }
[[routes]]
name = "fresh"
match = "/fresh/"
group = "app"
bulkhead = { max_concurrent = 1 }
[[routes]]
name = "held"
match = "/held/"
group = "app"
timeout = "5m"
bulkhead = { max_concurrent = 3000 }
[[routes]]
name = "bad"
match = "/bad/"
group = "app"
timeout = "2s"
bulkhead = { max_concurrent = 3000 }
`

// bigBody is the size of what the origin answers below /bad/big/: more than all
// the buffers on the way to a client that takes nothing.
const bigBody = 10 << 20

// besiege starts the process with a setup, whose server keys come first.
func besiege(t *testing.T, s setup) *besieged {
	t.Helper()
	dir := t.TempDir()
	writeCertificate(t, dir)
	b := &besieged{t: t, origin: chaos.NewOrigin(t, "app")}
	b.origin.SetPath("/bad/big/", chaos.Plenty(bigBody))
	s.server = "tls_listen = [\"127.0.0.1:0\"]\nh2c = true\n" + s.server +
		fmt.Sprintf(besiegedRoutes, filepath.Join(dir, "site.pem"), filepath.Join(dir, "site.key"))
	s.toml = fmt.Sprintf(besiegedRest, b.origin.URL()) + s.toml
	b.process = s.start(t)
	b.secure = b.await("listening", line{"tls": true})["address"].(string)
	b.await("verdict", line{"to": "healthy"})
	return b
}

// load is the good traffic: keep-alive connections and so many requests a
// second, whether they are answered or not.
func (b *besieged) load(rate float64) *chaos.Run {
	return chaos.Load{Address: b.address, Rate: rate, Conns: 8, Timeout: patience, Duration: 5 * time.Minute,
		Mix: []chaos.Shot{{Weight: 9, Path: "/good/"}, {Weight: 1, Method: "POST", Path: "/good/", BodySize: 2048}}}.Start(b.t.Context())
}

// attack begins one with a setup's address filled in.
func (b *besieged) attack(a chaos.Attack) *chaos.Siege {
	if a.Address == "" {
		a.Address = b.address
	}
	return a.Start(b.t.Context())
}

// unhurt ends the good load and the process, and asserts that no good request
// failed, that none was altered and that every permit came back.
func (b *besieged) unhurt(run *chaos.Run) *chaos.Ledger {
	b.t.Helper()
	ledger := run.Stop()
	if bad := ledger.Unserved(); len(bad) > 0 {
		b.t.Errorf("%d good requests failed, the first: %v", len(bad), bad[0])
	}
	if err := chaos.Check(ledger, b.origin); err != nil {
		b.t.Error(err)
	}
	if n := b.said("verdict", line{"to": "down"}); n > 0 {
		b.t.Errorf("the origin was found down %d times, through no fault of its own", n)
	}
	if code := b.end(); code != exitDone {
		b.t.Errorf("exit code %d", code)
	}
	if good, fresh := b.totals("good"), b.totals("fresh"); good["served"].(float64)+fresh["served"].(float64) < float64(ledger.Len()) {
		b.t.Errorf("of %d good requests the totals have %v and %v", ledger.Len(), good, fresh)
	}
	b.totals("bad")
	return ledger
}

// Hostile clients of each kind come and go beside good traffic, whose 99th
// percentile is compared with that right before. Both run on the same cores, and
// a window is short. What is wrong with us shows in every window beside an attack,
// what is wrong with the machine in some: so it is the best of three, or the second
// best of five in full size, that is compared with the median of the others, with room.
func TestHostileClientsDoNotHurtGoodOnes(t *testing.T) {
	rounds := ofFull(3, 5)
	const (
		length = 100 * time.Millisecond // of a window
		most   = 3                      // times as slow
		floor  = 20 * time.Millisecond  // below which a machine's own noise is all that is seen
	)
	b := besiege(t, setup{})
	conns := min(300, descriptorsOfTest()/8)
	attacks := []chaos.Attack{
		{Hostile: chaos.SlowHead("/bad/", 200*time.Millisecond), Conns: conns},
		{Hostile: chaos.SlowBody("/bad/", 200*time.Millisecond), Conns: conns},
		// What fills the buffers on the way to these is moved like any other
		// response, on the cores that the good requests have.
		{Hostile: chaos.DeafReader("/bad/big/", bigBody), Conns: 10, Rate: 40},
		{Hostile: chaos.Idle(), Conns: conns},
		{Hostile: chaos.ShortHello(), Conns: conns, Address: b.secure},
		{Hostile: chaos.OpenAndClose(), Conns: 16, Rate: 2000, Again: true},
		{Hostile: chaos.ShutWindows("/bad/big/", bigBody, 4), Conns: 5, Rate: 20},
	}
	run := b.load(600)
	type window struct{ from, to time.Time }
	pass := func() (w window) {
		w.from = time.Now()
		<-time.After(length)
		w.to = time.Now()
		return w
	}
	pass() // the first connections
	var quiet, beside [][]window
	for _, a := range attacks {
		rest := b.usage().sockets
		var q, s []window
		opened, burnt := 0, time.Duration(0)
		for range rounds {
			q = append(q, pass())
			before := b.usage().cpu
			siege := b.attack(a)
			if a.Rate == 0 { // what it costs to come is measured with those that leave at once
				chaos.Await(t, patience, "the siege to stand", func() bool { return siege.Opened() == a.Conns })
			}
			s = append(s, pass())
			burnt += b.usage().cpu - before
			siege.Stop()
			opened += siege.Opened()
			b.awaitSockets(rest + 16) // those that wait in the route's pool may stay
		}
		t.Logf("%s: %d connections, %v of CPU in %v", a.Hostile.Name, opened, burnt, time.Duration(rounds)*length)
		if want := rounds * a.Conns; opened < want/3 {
			t.Errorf("%s: only %d of %d connections were opened: no attack", a.Hostile.Name, opened, want)
		}
		quiet, beside = append(quiet, q), append(beside, s)
	}
	ledger := b.unhurt(run)
	p99 := func(windows []window, rank int) time.Duration {
		var all []time.Duration
		for _, w := range windows {
			all = append(all, chaos.Quantile(ledger.Select(func(r *chaos.Result) bool {
				return !r.Start.Before(w.from) && r.Start.Before(w.to)
			}), 0.99))
		}
		slices.Sort(all)
		return all[rank]
	}
	for i, a := range attacks {
		alone, attacked := p99(quiet[i], rounds/2), p99(beside[i], rounds/4)
		t.Logf("p99 of good requests %v alone, %v beside %d of %s", alone, attacked, a.Conns, a.Hostile.Name)
		if attacked > most*alone+floor {
			t.Errorf("%s: p99 of good requests rose from %v to %v", a.Hostile.Name, alone, attacked)
		}
	}
}

// Every kind of hostile connection is ended by the limit that is there for it,
// all at once, while good requests on the same routes go on.
func TestHostileConnectionsEndByTheirLimits(t *testing.T) {
	t.Parallel()
	const slack = 8 * time.Second // of a machine that is busy with the other tests
	b := besiege(t, setup{server: `
request_header_timeout = "1s"
idle_timeout = "4s"
body_idle_timeout = "1s"
`})
	conns := min(100, descriptorsOfTest()/40)
	tests := []struct {
		attack chaos.Attack
		limit  time.Duration
		answer string // of HTTP/1.1, to each; for a body 504 will do, if it was the origin that seemed stuck
	}{
		{chaos.Attack{Hostile: chaos.SlowHead("/good/", 200*time.Millisecond)}, time.Second, "408"},
		{chaos.Attack{Hostile: chaos.SlowBody("/bad/", 200*time.Millisecond)}, time.Second, "408"},
		{chaos.Attack{Hostile: chaos.EndlessBody("/bad/", 50*time.Millisecond)}, 2 * time.Second, "504"}, // the route's timeout, unless the origin is slower
		{chaos.Attack{Hostile: chaos.StuckBody("/bad/")}, time.Second, "408"},
		{chaos.Attack{Hostile: chaos.DeafReader("/bad/big/", bigBody)}, time.Second, ""},
		{chaos.Attack{Hostile: chaos.Idle()}, 4 * time.Second, ""},
		{chaos.Attack{Hostile: chaos.ShutWindows("/bad/big/", bigBody, 4)}, 5 * time.Second, ""}, // the streams, and then the wait for others,
		{chaos.Attack{Hostile: chaos.ShortHello(), Address: b.secure}, 10 * time.Second, ""},
		{chaos.Attack{Hostile: chaos.OnlyHello(), Address: b.secure}, 10 * time.Second, ""},
	}
	run := b.load(100)
	rest := b.usage().sockets
	var sieges []*chaos.Siege
	for _, tt := range tests {
		tt.attack.Conns = conns
		sieges = append(sieges, b.attack(tt.attack))
	}
	for i, tt := range tests {
		name, s := tt.attack.Hostile.Name, sieges[i]
		s.Wait()
		ended := s.Ended()
		if len(ended) != conns {
			t.Errorf("%s: %d of %d connections were ended", name, len(ended), conns)
			continue
		}
		slices.Sort(ended)
		t.Logf("%s: limit %v, ended after %v to %v, answers %v", name, tt.limit, ended[0], ended[conns-1], s.Answers())
		if ended[0] < min(tt.limit, time.Second)-100*time.Millisecond || ended[conns-1] > tt.limit+slack {
			t.Errorf("%s: ended after %v to %v, want %v", name, ended[0], ended[conns-1], tt.limit)
		}
		if a := s.Answers(); a[tt.answer] != conns && (tt.answer == "" || a["408"]+a["504"] != conns) {
			t.Errorf("%s: answers %v, want %q to each", name, s.Answers(), tt.answer)
		}
	}
	b.awaitSockets(rest + 16)
	b.unhurt(run)
}

// Who fills a whole route with uploads that never come shuts others out of that
// route, and no longer than body_idle_timeout.
func TestARouteFilledByStuckBodiesIsFreeAfterBodyIdleTimeout(t *testing.T) {
	t.Parallel()
	b := besiege(t, setup{server: `body_idle_timeout = "1s"`})
	siege := b.attack(chaos.Attack{Hostile: chaos.StuckBody("/fresh/"), Conns: 1}) // which has one permit
	chaos.Await(t, patience, "the upload at the origin", func() bool { return len(b.origin.Arrivals("")) > b.probes() })
	get := func() *chaos.Ledger {
		return chaos.Load{Address: b.address, Conns: 1, Count: 1, Mix: []chaos.Shot{{Path: "/fresh/"}}}.Do(t.Context())
	}
	chaos.Await(t, patience, "the route being full", func() bool { return get().Count(chaos.Refused) == 1 })
	full := time.Now()
	chaos.Await(t, patience, "the route being free", func() bool { return get().Count(chaos.Served) == 1 })
	if took := time.Since(full); took > 4*time.Second {
		t.Errorf("the route was full for %v", took)
	}
	siege.Wait()
	if code := b.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if fresh := b.totals("fresh"); fresh["shed"] == 0.0 || fresh["served"] != 1.0 {
		t.Errorf("totals %v, want some shed and one served", fresh)
	}
}

// Thousands of connections that say nothing, over a limit of 200: the one that
// has waited the longest makes room, so good clients keep theirs and get new
// ones.
func TestThousandsOfIdleConnectionsMakeRoomForGoodOnes(t *testing.T) {
	t.Parallel()
	b := besiege(t, setup{server: "max_connections = 200\n"})
	run := b.load(200)
	thousands := min(2000, descriptorsOfTest()/4)
	siege := b.attack(chaos.Attack{Hostile: chaos.Idle(), Conns: thousands, Rate: 1000})
	// While they come, a new client has as long to send its request as 200 more
	// need to connect, which on a busy machine may be too short.
	chaos.Await(t, patience, "most to have made room", func() bool { return len(siege.Ended()) >= thousands-200 })
	if ledger := (chaos.Load{Address: b.address, Conns: 20, Count: 200, Mix: []chaos.Shot{{Path: "/good/"}}}).Do(t.Context()); ledger.Count(chaos.Served) != 200 {
		t.Errorf("new good connections: %v", ledger)
	}
	if open := b.usage().sockets; open > 250 {
		t.Errorf("%d sockets are open", open)
	}
	siege.Stop()
	ledger := run.Stop()
	if bad := ledger.Unserved(); len(bad) > 0 {
		t.Errorf("%d good requests failed, the first: %v", len(bad), bad[0])
	}
}

// A process that may have 256 descriptors, of which somebody else has some, and
// hostile clients that would take them all, and stay. What is kept in reserve
// is enough for probes and for a connection to the origin; nothing spins; and
// no want of our own is held against the origin.
func TestOutOfDescriptorsGoodTrafficGoesOn(t *testing.T) {
	t.Parallel()
	others := make([]*os.File, 90)
	for i := range others {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		others[i] = f
	}
	bodies, heads := chaos.SlowBody("/bad/", time.Second), chaos.SlowHead("/bad/", time.Second)
	tests := []struct {
		name    string
		setup   setup
		hostile chaos.Hostile
	}{
		{"uploads, which take four each", setup{descriptors: 256}, bodies},
		{"more clients wished for than there can be", setup{descriptors: 256, server: "max_connections = 1000\n"}, heads},
		{"descriptors that were open at the start", setup{descriptors: 256, inherited: others}, bodies},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := besiege(t, tt.setup)
			run := b.load(50)
			fresh := &chaos.Client{Address: b.address}
			defer fresh.Close()
			ask := func(path string) {
				r := fresh.Do(t.Context(), chaos.Request{Path: path})
				if run.Ledger().Add(r); r.Kind != chaos.Served {
					t.Error(r)
				}
			}
			ask("/good/first")
			chaos.Await(t, patience, "good connections", func() bool { return run.Ledger().Len() > 20 })
			siege := b.attack(chaos.Attack{Hostile: tt.hostile, Conns: 200})
			defer siege.Stop()
			chaos.Await(t, patience, "the siege to stand", func() bool {
				ask("/good/" + chaos.NewID()) // who never pauses for long keeps the connection
				return siege.Opened() == 200
			})
			probes, before, begun := b.probes(), b.usage().cpu, time.Now()
			for i := range 12 {
				<-time.After(100 * time.Millisecond)
				ask(fmt.Sprint("/good/", i))
			}
			used := b.usage()
			share := float64(used.cpu-before) / float64(time.Since(begun))
			t.Logf("%d descriptors open, %.0f%% of a core, %d probes", used.descriptors, 100*share, b.probes()-probes)
			if share > 0.3 {
				t.Errorf("the process takes %.0f%% of a core at its limit", 100*share)
			}
			if b.probes()-probes < 3 {
				t.Error("the origin is probed no more")
			}
			if used.descriptors > 256-8 {
				t.Errorf("%d of 256 descriptors are in use: no reserve is left", used.descriptors)
			}
			ask("/fresh/second") // takes a new connection to the origin
			siege.Stop()
			b.unhurt(run)
		})
	}
}

// probes is how often the origin was probed.
func (b *besieged) probes() (n int) {
	for _, a := range b.origin.AllArrivals() {
		if a.Path() == "/healthz" {
			n++
		}
	}
	return n
}

// What a connection of each kind costs in resident memory, with 800 of them, in
// full size 2,000 (fewer where a descriptor limit or the kernel's own buffers
// forbid it), at its peak. The figures are those of docs/security.md, with room for another
// machine. A second wave finds the memory of the first one.
func TestMemoryOfHostileConnectionsStaysWithinTheFigures(t *testing.T) {
	t.Parallel()
	skipUnderRace(t)
	thousands := min(ofFull(800, 2000), descriptorsOfTest()/8)
	hundreds := min(ofFull(100, 200), descriptorsOfTest()/8)
	tests := []struct {
		hostile chaos.Hostile
		conns   int
		secure  bool
		kib     int64 // for each
	}{
		{hostile: chaos.Idle(), conns: thousands, kib: 12},
		{hostile: chaos.SlowHead("/bad/", time.Second), conns: thousands, kib: 24},
		{hostile: chaos.SlowBody("/held/", time.Second), conns: thousands, kib: 56},
		{hostile: chaos.DeafReader("/bad/big/", bigBody), conns: hundreds, kib: 200},
		{hostile: chaos.ShutWindows("/bad/big/", bigBody, 1), conns: hundreds, kib: 220},
		{hostile: chaos.ShortHello(), conns: thousands, secure: true, kib: 32},
	}
	for _, tt := range tests {
		t.Run(tt.hostile.Name, func(t *testing.T) {
			// None is ended before all of them stand.
			b := besiege(t, setup{server: "body_idle_timeout = \"5m\"\nrequest_header_timeout = \"5m\"\n"})
			rest := b.usage()
			rest.sockets-- // one may be the probe's, which is about to go
			var peaks []int64
			for range 2 {
				a := chaos.Attack{Hostile: tt.hostile, Conns: tt.conns}
				if tt.secure {
					a.Address = b.secure
				}
				siege := b.attack(a)
				chaos.Await(t, patience, "the siege to stand", func() bool {
					return siege.Opened() == tt.conns && b.usage().sockets >= rest.sockets+tt.conns
				})
				<-time.After(200 * time.Millisecond) // what is on its way fills the buffers
				peaks = append(peaks, b.usage().peak)
				siege.Stop()
				b.awaitSockets(rest.sockets + 16)
			}
			each := (peaks[0] - rest.rss) / int64(tt.conns)
			t.Logf("%d connections: %d KiB each at the peak, %d MiB in all; after a second wave %d MiB", tt.conns, each>>10, peaks[0]>>20, peaks[1]>>20)
			const noise = 8 << 20
			if most := rest.rss + int64(tt.conns)*tt.kib<<10 + noise; peaks[0] > most {
				t.Errorf("the peak is %d KiB, want no more than %d", peaks[0]>>10, most>>10)
			}
			if peaks[1] > peaks[0]*5/4+noise {
				t.Errorf("a second wave raised the peak from %d to %d KiB", peaks[0]>>10, peaks[1]>>10)
			}
			if code := b.end(); code != exitDone {
				t.Errorf("exit code %d", code)
			}
			b.totals("held")
			b.totals("bad")
		})
	}
}

// GOMEMLIMIT holds under wave after wave of heads that each take memory and
// leave it: what is garbage is collected before the limit, and not after. It is
// compared with the same waves without a limit, both with a lazy collector.
func TestGOMEMLIMITHoldsUnderHostileLoad(t *testing.T) {
	t.Parallel()
	skipUnderRace(t)
	const limit, conns = 40 << 20, 10
	peak := func(env ...string) int64 {
		b := besiege(t, setup{env: append(env, "GOGC=800"), server: "max_header_bytes = 1048576\n"})
		heads := chaos.SlowHead("/bad/", time.Second)
		heads.First += strings.Repeat("a", 900<<10) // a head may be as long as that
		rest := b.usage().sockets                   // one of them may be the probe's, which is about to go
		for range 8 {
			siege := b.attack(chaos.Attack{Hostile: heads, Conns: conns})
			chaos.Await(t, patience, "the wave", func() bool { return siege.Opened() == conns && b.usage().sockets >= rest-1+conns })
			<-time.After(50 * time.Millisecond)
			siege.Stop()
			b.awaitSockets(rest)
		}
		top := b.usage().peak
		if code := b.end(); code != exitDone {
			t.Errorf("exit code %d", code)
		}
		return top
	}
	without, with := peak("GOMEMLIMIT=off"), peak(fmt.Sprintf("GOMEMLIMIT=%d", limit))
	t.Logf("peak %d MiB without a limit, %d MiB with one of %d MiB", without>>20, with>>20, limit>>20)
	// The runtime counts its own memory; the program's text is resident too.
	if with > limit+16<<20 || with > without {
		t.Errorf("peak %d MiB with a limit of %d MiB, %d MiB without", with>>20, limit>>20, without>>20)
	}
}
