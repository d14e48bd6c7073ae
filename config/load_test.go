package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLeftOutKeysHaveTheDefaultsOfTheSpecification(t *testing.T) {
	got, err := Parse("skeleton.toml", []byte(skeleton), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Server: Server{
			Listen:               []string{"127.0.0.1:8080"},
			RequestHeaderTimeout: 10 * time.Second,
			IdleTimeout:          75 * time.Second,
			BodyIdleTimeout:      60 * time.Second,
			MaxHeaderBytes:       32768,
			DrainTimeout:         30 * time.Second,
			ProxyStatus:          true,
			EncodedSlash:         "reject",
		},
		Log:      Log{Level: "info", Format: "json", Access: true, Output: "stderr"},
		Resolver: Resolver{MinTTL: time.Second, MaxTTL: 5 * time.Minute, StaleMax: time.Hour},
		Origins: []Origin{
			{
				Name: "NAME", URL: "https://eu.example", Scheme: "https", Network: "tcp", Address: "eu.example:443", Authority: "eu.example",
				ServerName: "eu.example", Host: "client", ConnectTimeout: time.Second, ResponseHeaderTimeout: 10 * time.Second,
				Health: &Health{
					Path: "/healthz", Interval: 2 * time.Second, Timeout: time.Second, Fall: 3, Rise: 3,
					FastInterval: 250 * time.Millisecond, ExpectStatus: []StatusRange{{200, 399}},
				},
			},
			{
				Name: "us", URL: "https://us.example", Scheme: "https", Network: "tcp", Address: "us.example:443", Authority: "us.example",
				ServerName: "us.example", Host: "client", ConnectTimeout: time.Second, ResponseHeaderTimeout: 10 * time.Second,
			},
		},
		Groups: []Group{{
			Name: "NAME", Primary: "NAME", Secondary: "us",
			FailoverMethods: []string{"GET", "HEAD", "OPTIONS"}, FailoverStatuses: []int{500, 502, 503, 504},
			Unsafe: "park", ParkTimeout: 3 * time.Second, Failback: "auto", FailbackAfter: 30 * time.Second,
			MinHold: 60 * time.Second, BothDown: "fail_open", TTL: 5 * time.Second, DNSAnswer: "address",
		}},
		Routes: []Route{{
			Name: "all", Match: "/", Group: "NAME", Timeout: 30 * time.Second,
			Bulkhead: Bulkhead{MaxConcurrent: 1, QueueTimeout: 500 * time.Millisecond},
			Breaker:  Breaker{ConsecutiveFailures: 5, OpenFor: 5 * time.Second, HalfOpenTrials: 1},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestANameserverHasItsDefaults(t *testing.T) {
	got, err := Parse("skeleton.toml", []byte(fullSkeleton), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	want := &Nameserver{
		Listen: "127.0.0.1:5353", Zone: "failover.example.", NS: []string{"ns1.failover.example."},
		Admin: "hostmaster.failover.example.", RateLimit: 100,
	}
	if !reflect.DeepEqual(got.Nameserver, want) || got.Groups[0].DNSName != "shop" || got.Groups[0].DNSAnswer != DNSAnswerAddress {
		t.Errorf("got %+v, %+v", got.Nameserver, got.Groups[0])
	}
}

func TestTheSharedFilesAreGood(t *testing.T) {
	files, _ := filepath.Glob("../testdata/*.toml")
	if len(files) < 3 {
		t.Fatalf("only %q", files)
	}
	for _, file := range files {
		if _, err := Load(file, testOptions()); err != nil {
			t.Error(err)
		}
	}
}

func TestHeadersInlineTablesAndDottedKeysMeanTheSame(t *testing.T) {
	headers := skeleton
	others := map[string]string{
		"inline": `
server = {}
origins = { NAME = { url = "https://eu.example", health = {} }, us = { url = "https://us.example" } }
groups.NAME = { primary = "NAME", secondary = "us" }

[[routes]]
name = "all"
match = "/"
group = "NAME"
bulkhead = { max_concurrent = 1 }
`,
		"dotted": `
origins.NAME.url = "https://eu.example"
origins.NAME.health.fall = 3
origins.us.url = "https://us.example"
groups.NAME.primary = "NAME"
groups.NAME.secondary = "us"

[[routes]]
name = "all"
match = "/"
group = "NAME"
bulkhead.max_concurrent = 1
`,
		"quoted and spaced": `
[ "origins" . 'NAME' ]
"url"   =   'https://eu.example'
[ origins.NAME . "health" ] # nothing else
[origins."us"]
url = """https://us.example"""
[groups.NAME]
primary = "\u004eAME"
secondary = 'us'
[[ routes ]]
name = "all"
match = "/"
group = "NAME"
	[ routes.bulkhead ]
	max_concurrent = 0x01
`,
		"out of order": `
[origins.NAME.health]
[groups.NAME]
primary = "NAME"
secondary = "us"
[[routes]]
name = "all"
match = "/"
group = "NAME"
[routes.breaker]
[routes.bulkhead]
max_concurrent = +1
[origins.NAME]
url = "https://eu.example"
[origins.us]
url = "https://us.example"
`,
		"windows": "\xef\xbb\xbf" + strings.ReplaceAll(skeleton, "\n", "\r\n"),
	}
	want, err := Parse("a.toml", []byte(headers), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range others {
		got, err := Parse("a.toml", []byte(source), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, want)
		}
	}
}

// with returns the skeleton with some lines added to a table.
func with(table, lines string) []byte {
	return []byte(strings.Replace(skeleton, "#"+table+"\n", lines+"\n", 1))
}

func TestEveryKeyReachesItsField(t *testing.T) {
	source := `
[server]
listen = [":8080", "unix:/run/fairlead.sock", "[::1]:8081", "localhost:0"]
request_header_timeout = "1s"
idle_timeout = "2s"
body_idle_timeout = "3s"
max_header_bytes = 4096
max_connections = 5
trusted_proxies = ["10.0.0.0/8", "2001:db8::/32"]
drain_timeout = "0s"
proxy_status = false
encoded_slash = "keep"
tls_listen = [":8443"]
client_ca = "ca.pem"
https_redirect = true
h2c = true
watch = true
state = "run/fairlead.state"
[[server.certificates]]
cert = "site.pem"
key = "site.key"
[log]
level = "debug"
format = "console"
access = false
output = "stdout"
[resolver]
servers = ["192.0.2.53:53", "[2001:db8::53]:5353"]
timeout = "300ms"
min_ttl = "2s"
max_ttl = "1m"
stale_max = "24h"
[nameserver]
listen = "192.0.2.1:53"
zone = "Failover.example"
ns = ["NS1.failover.example", "ns.other.example."]
ns_addresses = ["192.0.2.1", "2001:db8::1"]
admin = "dns@Other.example"
rate_limit = 0
[admin]
listen = "192.0.2.1:9900"
token_file = "token"
hosts = ["Fairlead.internal"]
[origins.eu]
url = "https://eu.example:8443"
host = "shop.example"
sni = "inner.example"
ca = "ca.pem"
connect_timeout = "1500ms"
response_header_timeout = "2s"
max_connections = 7
[origins.eu.health]
path = "/up?deep=1"
interval = "9s"
timeout = "8s"
fall = 7
rise = 6
fast_interval = "500ms"
expect_status = "200, 204,301-303"
expect_body = "fine"
[origins.us]
url = "unix:/run/us.sock"
[groups.shop]
primary = "eu"
secondary = "us"
failover_methods = ["GET"]
failover_statuses = [404, 503]
unsafe = "unsent"
park_timeout = "1h"
failback = "manual"
failback_after = "0s"
min_hold = "1m30s"
both_down = "fail_fast"
ttl = "0s"
dns_name = "Shop.web"
dns_answer = "cname"
follow = "dns://[2001:db8::1]/Shop.Failover.example"
[[routes]]
name = "api"
match = "POST api.example/v1/{rest...}"
group = "shop"
max_body_bytes = 1_048_576
timeout = "4s"
bulkhead = { max_concurrent = 10, max_queue = 20, queue_timeout = "3s" }
breaker = { consecutive_failures = 0, open_for = "1m", half_open_trials = 2 }
`
	got, err := Parse(filepath.Join("etc", "fairlead.toml"), []byte(source), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if got.Origins[0].RootCAs == nil {
		t.Error("the CA was not read")
	}
	got.Origins[0].RootCAs = nil
	want := &Config{
		Server: Server{
			Listen:               []string{":8080", "unix:/run/fairlead.sock", "[::1]:8081", "localhost:0"},
			RequestHeaderTimeout: time.Second, IdleTimeout: 2 * time.Second, BodyIdleTimeout: 3 * time.Second,
			MaxHeaderBytes: 4096, MaxConnections: 5,
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
			EncodedSlash:   EncodedSlashKeep,
			TLSListen:      []string{":8443"}, ClientCA: "etc/ca.pem", HTTPSRedirect: true, H2C: true,
			Watch: true, State: filepath.Join("etc", "run", "fairlead.state"),
			Certificates: []Certificate{{"etc/site.pem", "etc/site.key"}},
		},
		Log: Log{Level: "debug", Format: "console", Output: "stdout"},
		Resolver: Resolver{
			Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("[2001:db8::53]:5353")},
			Timeout: 300 * time.Millisecond, MinTTL: 2 * time.Second, MaxTTL: time.Minute, StaleMax: 24 * time.Hour,
		},
		Nameserver: &Nameserver{
			Listen: "192.0.2.1:53", Zone: "failover.example.", NS: []string{"ns1.failover.example.", "ns.other.example."},
			NSAddresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
			Admin:       "dns.other.example.",
		},
		Admin: &Admin{Listen: "192.0.2.1:9900", TokenFile: filepath.Join("etc", "token"), Hosts: []string{"fairlead.internal"}},
		Origins: []Origin{
			{
				Name: "eu", URL: "https://eu.example:8443", Scheme: "https", Network: "tcp", Address: "eu.example:8443", Authority: "eu.example:8443",
				Host: "shop.example", ServerName: "inner.example", CA: filepath.Join("etc", "ca.pem"),
				ConnectTimeout: 1500 * time.Millisecond, ResponseHeaderTimeout: 2 * time.Second, MaxConnections: 7,
				Health: &Health{
					Path: "/up?deep=1", Interval: 9 * time.Second, Timeout: 8 * time.Second, Fall: 7, Rise: 6,
					FastInterval: 500 * time.Millisecond, ExpectStatus: []StatusRange{{200, 200}, {204, 204}, {301, 303}}, ExpectBody: "fine",
				},
			},
			{
				Name: "us", URL: "unix:/run/us.sock", Scheme: "http", Network: "unix", Address: "/run/us.sock", Authority: "localhost",
				Host: HostClient, ConnectTimeout: time.Second, ResponseHeaderTimeout: 10 * time.Second,
			},
		},
		Groups: []Group{{
			Name: "shop", Primary: "eu", Secondary: "us", FailoverMethods: []string{"GET"}, FailoverStatuses: []int{404, 503},
			Unsafe: UnsafeUnsent, ParkTimeout: time.Hour, Failback: FailbackManual, MinHold: 90 * time.Second, BothDown: BothDownFailFast,
			DNSName: "shop.web", DNSAnswer: DNSAnswerCNAME,
			Follow: &Follow{Server: netip.MustParseAddrPort("[2001:db8::1]:53"), Name: "shop.failover.example."},
		}},
		Routes: []Route{{
			Name: "api", Match: "POST api.example/v1/{rest...}", Group: "shop", MaxBodyBytes: 1 << 20, Timeout: 4 * time.Second,
			Bulkhead: Bulkhead{MaxConcurrent: 10, MaxQueue: 20, QueueTimeout: 3 * time.Second},
			Breaker:  Breaker{OpenFor: time.Minute, HalfOpenTrials: 2},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.Origin("us") != &got.Origins[1] || got.Group("shop") != &got.Groups[0] || got.Origin("") != nil || got.Group("us") != nil {
		t.Error("Origin or Group finds the wrong one")
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	dir := t.TempDir()
	pem, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	source := strings.Replace(string(with("[origins.NAME]", `ca = "ca.pem"`)), "#[log]", `output = "log/access.log"`, 1)
	file := filepath.Join(dir, "fairlead.toml")
	for name, data := range map[string][]byte{file: []byte(source), filepath.Join(dir, "ca.pem"): pem} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := Load(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Origins[0].CA != filepath.Join(dir, "ca.pem") || cfg.Origins[0].RootCAs == nil {
		t.Errorf("CA is %s", cfg.Origins[0].CA)
	}
	if want := filepath.Join(dir, "log", "access.log"); cfg.Log.Output != want {
		t.Errorf("output is %s, want %s", cfg.Log.Output, want)
	}
}

func TestAFileThatCannotBeReadIsNoProblemList(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "nowhere.toml"), Options{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	_, err = Load(t.TempDir(), Options{})
	if _, ok := errors.AsType[Problems](err); ok || err == nil {
		t.Errorf("a folder gave %v", err)
	}
}

func TestAFileThatIsNoTextIsRefused(t *testing.T) {
	for _, c := range []struct{ name, give, want string }{
		{"UTF-16", "\xff\xfe[\x00s\x00", "x.toml:1:1: this is not UTF-8; save the file as UTF-8"},
		{"Latin-1", "[log]\noutput = \"m\xfcnchen\"\n", "x.toml:2:12: this is not UTF-8; save the file as UTF-8"},
		{"too large", strings.Repeat("#", maxFileBytes+1), "x.toml:1:1: the file is larger than 16777216 bytes; no configuration needs that"},
	} {
		cfg, err := Parse("x.toml", []byte(c.give), Options{})
		if cfg != nil || err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestPatternsAreCheckedInTheOrderOfTheFile(t *testing.T) {
	var asked []string
	opt := Options{Patterns: func(patterns []string) []PatternProblem {
		asked = patterns
		return nil
	}}
	second := "\n[[routes]]\nname = \"b\"\nmatch = \"GET /b\"\ngroup = \"NAME\"\n[routes.bulkhead]\nmax_concurrent = 1\n"
	if _, err := Parse("a.toml", []byte(skeleton+second), opt); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/", "GET /b"}; !slices.Equal(asked, want) {
		t.Errorf("asked about %q, want %q", asked, want)
	}
}
