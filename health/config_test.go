package health

import (
	"crypto/tls"
	"net/url"
	"strings"
	"testing"
	"time"
)

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestZeroFieldsMeanTheDocumentedDefaults(t *testing.T) {
	cfg := Config{URL: mustURL(t, "http://origin.test:9101")}.withDefaults()
	if err := cfg.check(); err != nil {
		t.Fatal(err)
	}
	if cfg.Path != "/healthz" || cfg.Host != "origin.test:9101" {
		t.Errorf("path %q, host %q", cfg.Path, cfg.Host)
	}
	if cfg.Interval != 2*time.Second || cfg.Timeout != time.Second || cfg.FastInterval != 250*time.Millisecond {
		t.Errorf("times %s, %s, %s", cfg.Interval, cfg.Timeout, cfg.FastInterval)
	}
	if cfg.Fall != 3 || cfg.Rise != 3 || joinStatusRanges(cfg.ExpectStatus) != "200-399" {
		t.Errorf("fall %d, rise %d, statuses %v", cfg.Fall, cfg.Rise, cfg.ExpectStatus)
	}
	short := Config{Interval: 100 * time.Millisecond}.withDefaults()
	if short.Timeout != short.Interval || short.FastInterval != short.Interval {
		t.Errorf("a short interval left %s and %s", short.Timeout, short.FastInterval)
	}
}

func TestURLSaysWhereToConnectAndWhichHostToAsk(t *testing.T) {
	tests := []struct {
		url                                string
		wantNetwork, wantAddress, wantHost string
	}{
		{"http://origin.test", "tcp", "origin.test:80", "origin.test"},
		{"http://origin.test:9101", "tcp", "origin.test:9101", "origin.test:9101"},
		{"https://origin.test", "tcp", "origin.test:443", "origin.test"},
		{"https://[2001:db8::1]", "tcp", "[2001:db8::1]:443", "[2001:db8::1]"},
		{"unix:/run/origin.sock", "unix", "/run/origin.sock", "localhost"},
		{"unix:run/origin.sock", "unix", "run/origin.sock", "localhost"},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			cfg := Config{URL: mustURL(t, tt.url)}.withDefaults()
			if err := cfg.check(); err != nil {
				t.Fatal(err)
			}
			if cfg.Network != tt.wantNetwork || cfg.Address != tt.wantAddress || cfg.Host != tt.wantHost {
				t.Errorf("got %s %s, host %s; want %s %s, host %s",
					cfg.Network, cfg.Address, cfg.Host, tt.wantNetwork, tt.wantAddress, tt.wantHost)
			}
		})
	}
}

func TestTLSConfigOfTheCallerIsNotTouched(t *testing.T) {
	give := &tls.Config{NextProtos: []string{"h2"}}
	cfg := Config{URL: mustURL(t, "https://origin.test:8443"), TLS: give}
	got := cfg.tlsConfig()
	if got.ServerName != "origin.test" || got.NextProtos[0] != "http/1.1" {
		t.Errorf("server name %q, protocols %v", got.ServerName, got.NextProtos)
	}
	if give.ServerName != "" || give.NextProtos[0] != "h2" {
		t.Errorf("the caller's configuration was changed: %q, %v", give.ServerName, give.NextProtos)
	}
	cfg.TLS = &tls.Config{ServerName: "sni.test"}
	if got := cfg.tlsConfig().ServerName; got != "sni.test" {
		t.Errorf("server name %q, want the caller's", got)
	}
}

func TestBadConfigurationsAreRefusedWithAReason(t *testing.T) {
	tests := []struct {
		name string
		give Config
		want string
	}{
		{"no URL", Config{}, "no URL"},
		{"scheme", Config{URL: mustURL(t, "ftp://o.test")}, `URL scheme "ftp" must be http, https or unix`},
		{"no host", Config{URL: mustURL(t, "http:///x")},
			`nothing says where to connect: URL "http:///x", network "tcp", address ""`},
		{"network alone", Config{URL: mustURL(t, "http://o.test"), Network: "unix"},
			`nothing says where to connect: URL "http://o.test", network "unix", address ""`},
		{"relative path", Config{URL: mustURL(t, "http://o.test"), Path: "healthz"},
			`path "healthz" must start with a slash and hold visible ASCII only`},
		{"a path that ends its line", Config{URL: mustURL(t, "http://o.test"), Path: "/\r\nX: y"},
			`path "/\r\nX: y" must start with a slash and hold visible ASCII only`},
		{"a host that ends its line", Config{URL: mustURL(t, "http://o.test"), Host: "a\nb"},
			`host "a\nb" must hold visible ASCII only`},
		{"fast interval", Config{URL: mustURL(t, "http://o.test"), FastInterval: 3 * time.Second},
			"fast interval 3s is longer than interval 2s"},
		{"negative interval", Config{URL: mustURL(t, "http://o.test"), Interval: -1},
			"interval -1ns, timeout -1ns and fast interval -1ns must be at least 1ms"},
		{"negative fall", Config{URL: mustURL(t, "http://o.test"), Fall: -1},
			"fall -1 and rise 3 must be at least 1"},
		{"status", Config{URL: mustURL(t, "http://o.test"), ExpectStatus: []StatusRange{{300, 200}}},
			"status 300-200: the range is upside down, write 200-300"},
		{"body", Config{URL: mustURL(t, "http://o.test"), ExpectBody: strings.Repeat("x", 5121)},
			"expected body of 5121 bytes can't be found in the first 5120"},
		{"two at once", Config{URL: mustURL(t, "ftp://o.test"), Fall: -1},
			"URL scheme \"ftp\" must be http, https or unix\nfall -1 and rise 3 must be at least 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.give.Origin = "eu"
			checker, err := NewChecker(tt.give, nil)
			if want := "health check of origin eu: " + tt.want; err == nil || err.Error() != want || checker != nil {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}
