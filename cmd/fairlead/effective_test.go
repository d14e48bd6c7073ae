package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/config"
)

// documentedKeys are the keys of each table in docs/configuration.md.
func documentedKeys(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	keys, table := make(map[string][]string), ""
	for l := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(l, "## "); ok {
			table = strings.TrimSpace(title)
		}
		if rest, ok := strings.CutPrefix(l, "| `"); ok {
			key, _, _ := strings.Cut(rest, "`")
			keys[table] = append(keys[table], key)
		}
	}
	if len(keys) != 12 {
		t.Fatalf("tables documented: %q", slices.Sorted(maps.Keys(keys)))
	}
	return keys
}

const secret = "s3cret-s3cret-s3cret"

// everyTable is a configuration with each table that there is, and with each key
// that stands for nothing where it is left out.
func everyTable(t *testing.T) *config.Config {
	t.Helper()
	dir := t.TempDir()
	writeCertificate(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "fairlead.toml")
	text := `
[server]
tls_listen = ["127.0.0.1:8443"]
client_ca = "site.pem"
state = "state"
trusted_proxies = ["10.0.0.0/8"]
[[server.certificates]]
cert = "site.pem"
key = "site.key"
[log]
[resolver]
servers = ["127.0.0.1:53"]
[nameserver]
listen = "127.0.0.1:5353"
zone = "failover.example."
ns = ["ns1.failover.example."]
[admin]
token_file = "token"
[origins.eu]
url = "https://eu.example"
ca = "site.pem"
[origins.eu.health]
[origins.us]
url = "http://127.0.0.1:9102"
[groups.shop]
primary = "eu"
secondary = "us"
dns_name = "shop"
[groups.blog]
primary = "eu"
secondary = "us"
follow = "dns://192.0.2.53:53/shop.failover.example."
[[routes]]
name = "all"
match = "/"
group = "shop"
[routes.bulkhead]
max_concurrent = 1
[[routes]]
name = "blog"
match = "/blog"
group = "blog"
[routes.bulkhead]
max_concurrent = 1
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// The configuration that the admin API shows has exactly the documented keys,
// called as in the file, and what a file would hold as their values.
func TestTheEffectiveConfigurationHasTheDocumentedKeys(t *testing.T) {
	text, err := json.Marshal(effective(everyTable(t)))
	if err != nil {
		t.Fatal(err)
	}
	var shown map[string]any
	if err := json.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	at := func(v any, path ...string) map[string]any {
		for _, p := range path {
			v = v.(map[string]any)[p]
			if list, ok := v.([]any); ok {
				v = list[0]
			}
		}
		return v.(map[string]any)
	}
	blog := at(shown, "groups", "blog")
	tables := map[string]map[string]any{
		"[server]": at(shown, "server"), "[[server.certificates]]": at(shown, "server", "certificates"), "[log]": at(shown, "log"),
		"[resolver]": at(shown, "resolver"), "[nameserver]": at(shown, "nameserver"), "[admin]": at(shown, "admin"),
		"[origins.NAME]": at(shown, "origins", "eu"), "[origins.NAME.health]": at(shown, "origins", "eu", "health"),
		"[groups.NAME]": blog, "[[routes]]": at(shown, "routes"), "[routes.bulkhead]": at(shown, "routes", "bulkhead"),
		"[routes.breaker]": at(shown, "routes", "breaker"),
	}
	subTables := map[string][]string{"[server]": {"certificates"}, "[origins.NAME]": {"health"}, "[[routes]]": {"bulkhead", "breaker"}}
	for table, keys := range documentedKeys(t) {
		want := slices.Sorted(slices.Values(append(keys, subTables[table]...)))
		if got := slices.Sorted(maps.Keys(tables[table])); !slices.Equal(got, want) {
			t.Errorf("%s shows %q, documented are %q", table, got, want)
		}
	}
	for _, v := range []struct {
		table, key string
		want       any
	}{
		{"[server]", "idle_timeout", "1m15s"}, {"[server]", "max_header_bytes", 32768.0}, {"[server]", "trusted_proxies", []any{"10.0.0.0/8"}},
		{"[origins.NAME]", "url", "https://eu.example"}, {"[origins.NAME]", "sni", "eu.example"}, {"[groups.NAME]", "failback", "auto"},
		{"[groups.NAME]", "follow", "dns://192.0.2.53:53/shop.failover.example."}, {"[resolver]", "servers", []any{"127.0.0.1:53"}},
		{"[origins.NAME.health]", "expect_status", []any{"200-399"}}, {"[admin]", "listen", "127.0.0.1:9900"},
	} {
		if got := tables[v.table][v.key]; fmt.Sprint(got) != fmt.Sprint(v.want) {
			t.Errorf("%s %s is shown as %v, want %v", v.table, v.key, got, v.want)
		}
	}
}

func TestTheEffectiveConfigurationHasNoSecret(t *testing.T) {
	text, err := json.Marshal(effective(everyTable(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{secret, "PRIVATE KEY", "BEGIN CERTIFICATE"} {
		if strings.Contains(string(text), s) {
			t.Errorf("it has %q: %s", s, text)
		}
	}
	if !strings.Contains(string(text), "token_file") {
		t.Errorf("nothing says where the token is: %s", text)
	}
}
