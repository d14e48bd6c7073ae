package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What a new configuration names is in use from the next handshake on, and what
// it doesn't change is as it was: sessions too.
func TestANewConfigurationIsInUseAtOnce(t *testing.T) {
	ca, f, told := newAuthority(t, "ca"), newFiles(t), &events{}
	var pairs []Pair
	for _, name := range []string{"a", "b", "c"} {
		cert, key := ca.issue(t, year, name+".example")
		pairs = append(pairs, f.pair(name, cert, key))
	}
	s := newStore(t, Config{Pairs: pairs[:2], NextProtos: []string{"h2"}, OnEvent: told.tell})
	told.take()
	before := s.TLSConfig()
	client := &tls.Config{RootCAs: ca.pool(), ServerName: "b.example", ClientSessionCache: tls.NewLRUClientSessionCache(4), NextProtos: []string{"h2"}}
	if _, err := connect(t, s.TLSConfig(), client); err != nil {
		t.Fatal(err)
	}
	if err := s.Configure(Config{Pairs: []Pair{pairs[2], pairs[1]}}); err != nil {
		t.Fatal(err)
	}
	if got := told.take(); !slices.Equal(got, []Kind{Loaded}) {
		t.Errorf("told %v, want that the one new pair was loaded", got)
	}
	if got := serverName(t, s); got != "c.example" {
		t.Errorf("the first pair is %s", got)
	}
	state, err := connect(t, s.TLSConfig(), client)
	if err != nil || !state.DidResume || state.NegotiatedProtocol != "h2" {
		t.Errorf("resumed %v, protocol %q, %v", state.DidResume, state.NegotiatedProtocol, err)
	}
	if s.TLSConfig() != before {
		t.Error("TLSConfig is another one")
	}
	if err := s.Configure(Config{Pairs: []Pair{pairs[2], pairs[1]}}); err != nil || told.take() != nil {
		t.Errorf("the same once more: %v", err)
	}
}

// A configuration with something wrong in it changes nothing, and every file that
// is wrong is named.
func TestAConfigurationThatCannotBeUsedChangesNothing(t *testing.T) {
	ca, f, told := newAuthority(t, "ca"), newFiles(t), &events{}
	cert, key := ca.issue(t, year, "a.example")
	good := f.pair("a", cert, key)
	cert, key = ca.issue(t, year, "new.example")
	fresh := f.pair("new", cert, key)
	s := newStore(t, Config{Pairs: []Pair{good}, OnEvent: told.tell})
	told.take()
	view := s.view.Load()
	missing, empty := f.path("missing.pem"), f.write("empty.pem", nil)
	tests := []struct {
		name string
		give Config
		want []string
	}{
		{"no pair", Config{}, []string{"no certificate is configured"}},
		{"a good one and a missing one", Config{Pairs: []Pair{fresh, {missing, good.Key}}}, []string{missing}},
		{"two wrong", Config{Pairs: []Pair{{missing, good.Key}, {empty, good.Key}}}, []string{missing, empty}},
		{"pair and authorities", Config{Pairs: []Pair{{missing, good.Key}}, ClientCA: empty}, []string{missing, "client authorities: " + empty}},
	}
	for _, tt := range tests {
		err := s.Configure(tt.give)
		if err == nil {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", tt.name, err, want)
			}
		}
	}
	if s.view.Load() != view || told.take() != nil || !slices.Equal(s.cfg.Pairs, []Pair{good}) {
		t.Error("something changed")
	}
}

// What was read for a configuration is not put in use any more if the same file
// was read again in the meantime.
func TestACommitBringsBackNothingStale(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	stranger := newAuthority(t, "stranger")
	write := func(name, dnsName string) Pair {
		cert, key := ca.issue(t, year, dnsName)
		return f.pair(name, cert, key)
	}
	a := write("a", "first.example")
	authorities := f.write("ca.pem", ca.pem())
	s := newStore(t, Config{Pairs: []Pair{a}, ClientCA: authorities})
	next := Config{Pairs: []Pair{a, write("b", "b.example")}, ClientCA: authorities}
	prepare := func() func() {
		t.Helper()
		commit, err := s.Prepare(next)
		if err != nil {
			t.Fatal(err)
		}
		return commit
	}

	commit := prepare()
	write("a", "second.example")
	f.write("ca.pem", stranger.pem())
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	commit()
	if got := s.pairs[0].cert.Leaf.DNSNames[0]; got != "second.example" {
		t.Errorf("after a reload in between, %s is in use", got)
	}
	if !s.view.Load().config.ClientCAs.Equal(stranger.pool()) {
		t.Error("after a reload in between, the authorities are those of before")
	}

	commit = prepare()
	f.remove("ca.pem")
	_ = s.Reload() // refuses everybody from now on
	commit()
	if s.view.Load().refuse == nil {
		t.Error("authorities that are gone are in use again")
	}
	f.write("ca.pem", ca.pem())
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}

	next.ClientCA = f.write("other.pem", stranger.pem())
	commit = prepare()
	_ = s.Reload() // of the authorities that are about to go
	commit()
	if !s.view.Load().config.ClientCAs.Equal(stranger.pool()) {
		t.Error("other authorities are configured, and those of before are in use")
	}

	write("a", "third.example")
	commit = prepare()
	f.write("a.key", nil)
	_ = s.Reload() // has only the second one
	commit()
	if got := s.pairs[0].cert.Leaf.DNSNames[0]; got != "third.example" {
		t.Errorf("%s is in use, want the last one that could be read", got)
	}

	write("a", "fourth.example")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	commit() // again
	if got := s.pairs[0].cert.Leaf.DNSNames[0]; got != "fourth.example" {
		t.Errorf("a commit that was called again brought %s", got)
	}
}

// Watch looks at the files of the configuration in use, also where one changed
// between reading and commit.
func TestWatchGoesOnWithTheNewFiles(t *testing.T) {
	ca, f, told := newAuthority(t, "ca"), newFiles(t), &events{}
	write := func(name, dnsName string) Pair {
		cert, key := ca.issue(t, year, dnsName)
		return f.pair(name, cert, key)
	}
	a, b := write("a", "a.example"), write("b", "b.example")
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{Pairs: []Pair{a}, OnEvent: told.tell})
		go s.Watch(t.Context(), 0)
		pass := func(want string, kinds ...Kind) {
			t.Helper()
			time.Sleep(3 * defaultEvery)
			synctest.Wait()
			if got := told.take(); !slices.Equal(got, kinds) {
				t.Errorf("told %v, want %v", got, kinds)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if got := s.pairs[0].cert.Leaf.DNSNames[0]; got != want {
				t.Errorf("%s is in use, want %s", got, want)
			}
		}
		pass("a.example", Loaded)
		commit, err := s.Prepare(Config{Pairs: []Pair{b}})
		if err != nil {
			t.Fatal(err)
		}
		write("b", "between.example") // which nobody watches yet
		commit()
		pass("between.example", Loaded, Loaded)
		write("a", "unused.example")
		pass("between.example")
		write("b", "later.example")
		pass("later.example", Loaded)

		kept := copyOf(t, b)
		write("b", "passing.example")
		if commit, err = s.Prepare(Config{Pairs: []Pair{b}}); err != nil {
			t.Fatal(err)
		}
		kept.restore(t) // as Watch has seen it before
		commit()
		pass("later.example", Loaded, Loaded)
	})
}

// copied are files with their times.
type copied []struct {
	path    string
	content []byte
	time    time.Time
}

func copyOf(t *testing.T, p Pair) copied {
	t.Helper()
	c := make(copied, 2)
	for i, path := range []string{p.Cert, p.Key} {
		info, err1 := os.Stat(path)
		content, err2 := os.ReadFile(path)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		c[i].path, c[i].content, c[i].time = path, content, info.ModTime()
	}
	return c
}

func (c copied) restore(t *testing.T) {
	t.Helper()
	for _, f := range c {
		if err := errors.Join(os.WriteFile(f.path, f.content, 0o600), os.Chtimes(f.path, f.time, f.time)); err != nil {
			t.Fatal(err)
		}
	}
}

// A hundred reloads of the configuration, back and forth, under handshakes: none
// fails, and each gets one of the two certificates whole.
func TestAHundredConfigurationsDisturbNoHandshake(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	var cfgs []Config
	for i := range 2 {
		cert, key := ca.issue(t, year, "a.example", fmt.Sprintf("%d.example", i))
		cfgs = append(cfgs, Config{Pairs: []Pair{f.pair(fmt.Sprint(i), cert, key)}})
	}
	s := newStore(t, cfgs[0])
	done := make(chan struct{})
	var wg sync.WaitGroup
	var handshakes [2]int
	for i := range handshakes {
		client := &tls.Config{RootCAs: ca.pool(), ServerName: "a.example"}
		if i%2 == 0 {
			client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		}
		wg.Go(func() {
			for ended := false; !ended; handshakes[i]++ {
				select {
				case <-done:
					ended = true // after this one more
				default:
				}
				if _, err := connect(t, s.TLSConfig(), client); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 100 {
		if err := s.Configure(cfgs[(i+1)%2]); err != nil {
			t.Error(err)
		}
		if name := serverName(t, s); name != "a.example" {
			t.Errorf("reload %d: %s", i, name)
		}
		if got := s.view.Load(); got.refuse != nil {
			t.Errorf("reload %d: %v", i, got.refuse)
		}
	}
	close(done)
	wg.Wait()
	t.Logf("%v handshakes beside 100 reloads", handshakes)
}
