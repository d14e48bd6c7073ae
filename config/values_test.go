package config

import (
	"strings"
	"testing"
	"time"
)

func TestAURLIsTakenApart(t *testing.T) {
	for _, c := range []struct {
		url, address, authority, serverName string
	}{
		{"http://shop.example", "shop.example:80", "shop.example", ""},
		{"http://shop.example:80", "shop.example:80", "shop.example", ""},
		{"http://shop.example:443", "shop.example:443", "shop.example:443", ""},
		{"https://shop.example:443", "shop.example:443", "shop.example", "shop.example"},
		{"HTTPS://Shop.example", "Shop.example:443", "Shop.example", "Shop.example"},
		{"http://[2001:db8::1]", "[2001:db8::1]:80", "[2001:db8::1]", ""},
		{"https://[2001:db8::1]:8443", "[2001:db8::1]:8443", "[2001:db8::1]:8443", "2001:db8::1"},
		{"https://192.0.2.1", "192.0.2.1:443", "192.0.2.1", "192.0.2.1"},
		{"http://app_1", "app_1:80", "app_1", ""},
		{"unix:/run/app.sock", "/run/app.sock", "localhost", ""},
	} {
		source := strings.Replace(skeleton, "https://eu.example", c.url, 1)
		cfg, err := Parse("a.toml", []byte(source), Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		o := cfg.Origins[0]
		if o.URL != c.url || o.Address != c.address || o.Authority != c.authority || o.ServerName != c.serverName {
			t.Errorf("%s: address %s, authority %s, server name %s", c.url, o.Address, o.Authority, o.ServerName)
		}
	}
}

func TestHostsThatAreTakenAsTheyAre(t *testing.T) {
	for _, host := range []string{"client", "origin", "shop.example", "shop.example:8080", "192.0.2.1", "[2001:db8::1]", "[2001:db8::1]:80", "localhost", "origin-1", "client:80"} {
		cfg, err := Parse("a.toml", with("[origins.NAME]", `host = "`+host+`"`), Options{})
		if err != nil {
			t.Error(err)
		} else if cfg.Origins[0].Host != host {
			t.Errorf("%s became %s", host, cfg.Origins[0].Host)
		}
	}
}

func TestAddressesThatDoNotClashAreAccepted(t *testing.T) {
	for _, listen := range []string{
		`[":8080", ":8081"]`,
		`["127.0.0.1:8080", "127.0.0.2:8080"]`,
		`["0.0.0.0:8080", "[::1]:8080"]`,
		`["127.0.0.1:0", ":0"]`,
		`["unix:/run/a.sock", "unix:/run/b.sock", ":8080"]`,
	} {
		if _, err := Parse("a.toml", with("[server]", "listen = "+listen), Options{}); err != nil {
			t.Error(err)
		}
	}
}

func TestARouteNeedsNoTimeForWhatItsGroupDoesNotPromise(t *testing.T) {
	for _, c := range []struct{ name, group string }{
		{"a plain proxy has no second attempt, and its default park time is cut short", ""},
		{"without methods to fail over there is no second attempt", "secondary = \"us\"\nfailover_methods = []\nunsafe = \"never\""},
		{"a park time that isn't used may be long", "unsafe = \"unsent\"\npark_timeout = \"1h\""},
	} {
		source := strings.Replace(skeleton, "secondary = \"us\"", c.group, 1)
		if !strings.Contains(c.group, "secondary") {
			source = strings.Replace(source, "[origins.us]\nurl = \"https://us.example\"\n", "", 1)
		}
		source = strings.Replace(source, "#[[routes]]", "timeout = \"1s\"", 1)
		if _, err := Parse("a.toml", []byte(source), Options{}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAPasswordIsNeverRepeated(t *testing.T) {
	for _, line := range []string{
		`url = "http://admin:hunter2@127.0.0.1"`,
		`url = "http://admin:hunter2@127.0.0.1:web"`,
		`url = "htp://admin:hunter2@127.0.0.1"`,
		`url = "admin:hunter2@127.0.0.1:80"`,
		`url = http://admin:hunter2@127.0.0.1`,
		`url: http://admin:hunter2@127.0.0.1`,
		`url http://admin:hunter2@127.0.0.1`,
	} {
		source := strings.Replace(skeleton, `url = "https://eu.example"`, line, 1)
		_, err := Parse("a.toml", []byte(source), Options{})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestAStatusRangeIsWrittenAsItIsRead(t *testing.T) {
	for want, r := range map[string]StatusRange{"200-399": {200, 399}, "204": {204, 204}} {
		if r.String() != want {
			t.Errorf("%v is written %s", r, r)
		}
	}
}

func TestADurationIsWrittenAsAFileDoes(t *testing.T) {
	for want, d := range map[string]time.Duration{
		`"0s"`: 0, `"250ms"`: 250 * time.Millisecond, `"10s"`: 10 * time.Second, `"15m"`: 15 * time.Minute,
		`"24h"`: 24 * time.Hour, `"1h30m"`: 90 * time.Minute, `"1h0m10s"`: time.Hour + 10*time.Second, `"10m"`: 10 * time.Minute,
	} {
		if got := showDuration(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}

func TestTheClosestWordIsFound(t *testing.T) {
	words := []string{"idle_timeout", "body_idle_timeout", "max_connections", "listen", "ttl"}
	for give, want := range map[string]string{
		"idle_timout": "idle_timeout", "idletimeout": "idle_timeout", "IdleTimeout": "idle_timeout", "idle-timeout": "idle_timeout",
		"lsiten": "listen", "listne": "listen", "listens": "listen", "list": "listen", "tt": "ttl", "ttls": "ttl",
		"max_connect": "max_connections", "max_conn": "max_connections", "workers": "", "": "", "x": "",
	} {
		if got := closest(give, words); got != want {
			t.Errorf("%q: got %q, want %q", give, got, want)
		}
	}
}
