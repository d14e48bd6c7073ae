package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

func TestResolvConfIsRead(t *testing.T) {
	for _, give := range []struct {
		name, text string
		want       resolvConf
	}{
		{"nothing", "", resolvConf{ndots: 1}},
		{"all", "# a comment\n; another\nnameserver 192.0.2.1\nnameserver 2001:db8::1\r\nnameserver fe80::1%eth0\nnameserver 192.0.2.4\n" +
			"search Corp.example. example\noptions ndots:2 timeout:3 attempts:4 rotate", resolvConf{
			servers: []string{"192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%eth0]:53"},
			search:  []string{"corp.example.", "example."}, searched: true, ndots: 2, timeout: 3 * time.Second, attempts: 4,
		}},
		{"the last of search and domain", "search a b\ndomain c d\n", resolvConf{search: []string{"c."}, searched: true, ndots: 1}},
		{"bounds", "options ndots:99 timeout:99 attempts:99\noptions timeout:99", resolvConf{ndots: 15, timeout: 30 * time.Second, attempts: 5}},
		{"low bounds", "options ndots:0 timeout:0 attempts:0", resolvConf{timeout: time.Second, attempts: 1}},
		{"nonsense", "nameserver\nnameserver localhost\nnameserver 192.0.2.300\noptions ndots: ndots:-1 timeout:x attempts\nsearch ..\n\tnameserver 192.0.2.1 x\nfoo bar",
			resolvConf{servers: []string{"192.0.2.1:53"}, searched: true, ndots: 1}},
		{"a root in the search list", "search .", resolvConf{searched: true, ndots: 1}},
	} {
		t.Run(give.name, func(t *testing.T) {
			if got := parseResolvConf(give.text); !reflect.DeepEqual(got, give.want) {
				t.Errorf("got  %+v\nwant %+v", got, give.want)
			}
		})
	}
}

func TestHostsAreRead(t *testing.T) {
	got := parseHosts("# comment\n192.0.2.1  Shop.example shop # shop2\n2001:db8::1\tshop.EXAMPLE.\n::ffff:192.0.2.9 mapped\n" +
		"fe80::1%lo0 local\n192.0.2.1 shop\n192.0.2.300 bad\nbad bad\n192.0.2.2\n\n192.0.2.3 last")
	want := map[string]string{
		"shop.example": "[192.0.2.1 2001:db8::1]", "shop": "[192.0.2.1]", "mapped": "[192.0.2.9]", "local": "[fe80::1%lo0]", "last": "[192.0.2.3]",
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for name, addrs := range want {
		if ips(got[name]) != addrs {
			t.Errorf("%s: %s, want %s", name, ips(got[name]), addrs)
		}
	}
	var many strings.Builder
	for i := range 500 {
		many.WriteString(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i % 250)}).String() + " many\n")
	}
	if n := len(parseHosts(many.String())["many"]); n != maxAddrs {
		t.Errorf("%d addresses, want %d", n, maxAddrs)
	}
}

func TestTheOrderOfCandidates(t *testing.T) {
	s := setup{search: []string{"corp.example.", "example."}, ndots: 2}
	for host, want := range map[string][]string{
		"db":       {"db.corp.example.", "db.example.", "db."},
		"db.eu":    {"db.eu.corp.example.", "db.eu.example.", "db.eu."},
		"a.b.c":    {"a.b.c.", "a.b.c.corp.example.", "a.b.c.example."},
		"db.":      {"db."},
		"a.b.c.d.": {"a.b.c.d."},
	} {
		if got := s.candidates(host); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	if got := (&setup{}).candidates("db"); !slices.Equal(got, []string{"db."}) {
		t.Errorf("without a search list: %q", got)
	}
}

// system makes a Resolver that reads files, with the script as its network.
func system(t *testing.T, s *script, cfg Config, conf, hosts string) (r *Resolver, write func(conf, hosts string)) {
	t.Helper()
	dir := t.TempDir()
	cfg.ResolvConf, cfg.Hosts = filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "hosts")
	write = func(conf, hosts string) {
		for path, text := range map[string]string{cfg.ResolvConf: conf, cfg.Hosts: hosts} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(conf, hosts)
	r, err := newResolver(cfg, s.exchange)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, write
}

// only knows one absolute name.
func only(name string, ips ...string) func(query) reply {
	return func(q query) reply {
		if q.Name == name {
			return has(60, ips...)(q)
		}
		return q.code(dnswire.RcodeNameError)
	}
}

func TestTheSearchListIsTriedInOrder(t *testing.T) {
	const conf = "nameserver 192.0.2.53\nsearch corp.example example\noptions timeout:2 attempts:1\n"
	for _, give := range []struct {
		host, exists, asked string
	}{
		{"db", "db.corp.example.", "db.corp.example."},
		{"db", "db.example.", "db.corp.example. db.example."},
		{"db", "db.", "db.corp.example. db.example. db."},
		{"db.eu", "db.eu.example.", "db.eu. db.eu.corp.example. db.eu.example."},
		{"db.", "db.", "db."},
	} {
		t.Run(give.host+" is "+give.exists, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t, only(give.exists, "192.0.2.1"))
				r, _ := system(t, s, Config{}, conf, "")
				wantAddrs(t, r, give.host, "192.0.2.1")
				var asked []string
				for _, q := range s.asked {
					if !slices.Contains(asked, q.Name) {
						asked = append(asked, q.Name)
					}
				}
				if got := strings.Join(asked, " "); got != give.asked {
					t.Errorf("asked for %s, want %s", got, give.asked)
				}
			})
		})
	}
	t.Run("a failure ends the search", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t, func(q query) reply {
				if q.Name == "db.corp.example." {
					return reply{}
				}
				return has(60, "192.0.2.66")(q)
			})
			r, _ := system(t, s, Config{}, conf, "")
			before := time.Now()
			wantKind(t, r, "db", Timeout)
			if took := time.Since(before); took != 2*time.Second {
				t.Errorf("took %s, want the one try of 2 s that the file allows", took)
			}
		})
	})
	t.Run("nowhere", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, _ := system(t, newScript(t, only("other.", "192.0.2.1")), Config{}, conf, "")
			wantKind(t, r, "db", NotFound)
		})
	})
	t.Run("with Servers there is none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t, only("db.", "192.0.2.1"))
			r, _ := system(t, s, Config{Servers: []string{ns2}}, conf, "192.0.2.99 db")
			wantAddrs(t, r, "db", "192.0.2.1")
			if n := s.total(); n != 2 {
				t.Errorf("%d queries, want 2", n)
			}
		})
	})
}

// The files are read again when they change; a lookup looks every 5 s at most.
func TestChangedFilesAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, func(q query) reply {
			if q.server == ns2 {
				return has(60, "192.0.2.2")(q)
			}
			return has(60, "192.0.2.1")(q)
		})
		r, write := system(t, s, Config{MaxTTL: 10 * time.Second}, "nameserver 192.0.2.53", "192.0.2.9 Shop.example shop")
		var told eventLog
		defer r.Watch("shop.example.", func(addrs []netip.Addr) { told.add(Event{Kind: Expired, Old: addrs}) })()
		wantAddrs(t, r, "shop.example", "192.0.2.9")
		wantAddrs(t, r, "SHOP", "192.0.2.9")
		wantAddrs(t, r, "other.example", "192.0.2.1")
		write("nameserver 192.0.2.54\n", "192.0.2.10 shop.example\n")
		time.Sleep(15 * time.Second)
		synctest.Wait()
		wantAddrs(t, r, "shop.example.", "192.0.2.10")
		wantAddrs(t, r, "third.example", "192.0.2.2")
		write("", "")
		time.Sleep(15 * time.Second)
		synctest.Wait()
		wantAddrs(t, r, "shop.example.", "192.0.2.2")
		wantLines(t, told.take(), "dns_expired [192.0.2.9]", "dns_expired [192.0.2.10]", "dns_expired [192.0.2.2]")
	})
}

// Without a file there is this machine's own nameserver.
func TestMissingFilesMeanThisMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, func(q query) reply {
			if q.server == "[::1]:53" {
				return has(60, "192.0.2.1")(q)
			}
			return reply{err: errPortClosed}
		})
		f := newFiles(Config{ResolvConf: filepath.Join(t.TempDir(), "none"), Hosts: filepath.Join(t.TempDir(), "none")}.withDefaults())
		f.system = nil
		r := start(t, s, Config{})
		r.setup = f.current
		wantAddrs(t, r, "shop.example", "192.0.2.1")
	})
}

// Where the system resolves, its addresses hold for 30 s and its errors keep
// their kinds.
func TestTheSystemCanBeAskedInstead(t *testing.T) {
	for _, give := range []struct {
		name  string
		addrs []netip.Addr
		err   error
		want  Kind
	}{
		{"found", []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1")}, nil, 0},
		{"nothing", nil, nil, NoAddress},
		{"not found", nil, &net.DNSError{Err: "no such host", IsNotFound: true}, NotFound},
		{"time-out", nil, &net.DNSError{Err: "slow", IsTimeout: true}, Timeout},
		{"broken", nil, errors.New("no resolver"), ServerFailure},
	} {
		t.Run(give.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, newScript(t, silent), Config{})
				r.setup = func() *setup {
					return &setup{servers: []string{ns1}, timeout: time.Second, attempts: 1,
						system: func(context.Context, string) ([]netip.Addr, error) { return give.addrs, give.err }}
				}
				if give.want != 0 {
					wantKind(t, r, "shop.example", give.want)
					return
				}
				wantAddrs(t, r, "shop.example", "192.0.2.1")
				if a, ok := r.Peek("shop.example"); !ok || a.Left != untimedTTL {
					t.Errorf("%+v", a)
				}
			})
		})
	}
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add("nameserver 192.0.2.1\nsearch a b\noptions ndots:2 timeout:3 attempts:4\n")
	f.Add("nameserver fe80::1%eth0\ndomain .\noptions ndots:99999999999999999999")
	f.Fuzz(func(t *testing.T, text string) {
		c := parseResolvConf(text)
		if len(c.servers) > confServers || len(c.search) > confSearch || c.ndots < 0 || c.ndots > confNdots ||
			c.timeout < 0 || c.timeout > confTimeout*time.Second || c.attempts < 0 || c.attempts > confAttempts {
			t.Errorf("out of bounds: %+v", c)
		}
		for _, s := range c.servers {
			if _, err := netip.ParseAddrPort(s); err != nil {
				t.Error(err)
			}
		}
		for _, name := range (&setup{search: c.search, ndots: c.ndots}).candidates("www.shop") {
			if !isHost(name) || !strings.HasSuffix(name, ".") {
				t.Errorf("candidate %q", name)
			}
		}
	})
}

func FuzzParseHosts(f *testing.F) {
	f.Add("192.0.2.1 shop Shop.example. # x\n::1 shop")
	f.Fuzz(func(t *testing.T, text string) {
		for name, addrs := range parseHosts(text) {
			if name != strings.ToLower(name) || len(addrs) == 0 || len(addrs) > maxAddrs {
				t.Errorf("%q: %v", name, addrs)
			}
			for _, a := range addrs {
				if !a.IsValid() || a.Is4In6() {
					t.Errorf("%q: %v", name, a)
				}
			}
		}
	})
}
