package main

import (
	"encoding/json"
	"strings"
	"testing"
)

var testSetup = setup{
	Listen: "127.0.0.1:1000", Origin: "127.0.0.1:2000", Second: "127.0.0.1:3000", Folder: "/scratch", MaxConnections: 5000,
}

func TestFairleadIsConfiguredWithAllThatItIsFor(t *testing.T) {
	const want = `[server]
listen = ["127.0.0.1:1000"]
idle_timeout = "300s"

[log]
access = false

[admin]
listen = "unix:/scratch/admin.sock"

[origins.first]
url = "http://127.0.0.1:2000"

[origins.first.health]
path = "/healthz"

[origins.second]
url = "http://127.0.0.1:3000"

[origins.second.health]
path = "/healthz"

[groups.bench]
primary = "first"
secondary = "second"

[[routes]]
name = "all"
match = "/"
group = "bench"

[routes.bulkhead]
max_concurrent = 1024
`
	if got := fairleadConf(testSetup); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTheAccessLogGoesToTheFile(t *testing.T) {
	s := testSetup
	s.AccessLog = "/scratch/access.log"
	if got := fairleadConf(s); !strings.Contains(got, "access = true\noutput = \"/scratch/access.log\"\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestWithACertificateEverybodySpeaksTLSAndHTTP2(t *testing.T) {
	s := testSetup
	s.Certificate = "/scratch/site.pem"
	for _, tt := range []struct {
		name string
		give func(setup) string
		want []string
	}{
		{"fairlead", fairleadConf, []string{
			"listen = []\ntls_listen = [\"127.0.0.1:1000\"]\n",
			"\n[[server.certificates]]\ncert = \"/scratch/site.pem\"\nkey = \"/scratch/site.pem\"\n",
		}},
		{"nginx", nginxConf, []string{
			"listen 127.0.0.1:1000 ssl http2 backlog=4096;", "ssl_certificate /scratch/site.pem;", "ssl_certificate_key /scratch/site.pem;",
			"ssl_protocols TLSv1.3;", "ssl_session_cache shared:bench:10m;", "keepalive_requests 1000000000;", "keepalive 1024;",
		}},
		{"HAProxy", haproxyConf, []string{"bind 127.0.0.1:1000 ssl crt /scratch/site.pem ssl-min-ver TLSv1.3 alpn h2,http/1.1\n"}},
		{"Caddy", caddyConf, []string{`"certificate": "/scratch/site.pem", "key": "/scratch/site.pem"`, `"tls_connection_policies": [{"protocol_min": "tls1.3", "alpn": ["h2", "http/1.1"]}]`}},
	} {
		secure, plain := tt.give(s), tt.give(testSetup)
		for _, want := range tt.want {
			if !strings.Contains(secure, want) {
				t.Errorf("%s: %q is missing in\n%s", tt.name, want, secure)
			}
		}
		for _, word := range []string{"ssl", "tls", "certificate"} {
			if strings.Contains(plain, word) {
				t.Errorf("%s without a certificate speaks of %s:\n%s", tt.name, word, plain)
			}
		}
	}
}

func TestHotPathsAreRoutesOfTheTable(t *testing.T) {
	for _, routes := range []int{1, 10, 10000} {
		s := testSetup
		s.Routes = routes
		conf := fairleadConf(s)
		if got := strings.Count(conf, "[[routes]]"); got != routes {
			t.Errorf("%d routes: the file has %d", routes, got)
		}
		seen := map[string]bool{}
		for _, path := range hotPaths(routes, 7) {
			match, ok := strings.CutSuffix(path, "/7")
			if !ok || routes > 1 && !strings.Contains(conf, "match = \""+match+"/{size}\"") {
				t.Errorf("%d routes: %s has no route", routes, path)
			}
			seen[path] = true
		}
		if want := min(routes, 10); len(seen) != want {
			t.Errorf("%d routes: %d paths are hot, want %d", routes, len(seen), want)
		}
	}
}

func TestEverybodyHasOneWorkerAndKeepsConnections(t *testing.T) {
	for _, tt := range []struct {
		name string
		give string
		want []string
	}{
		{"nginx", nginxConf(testSetup), []string{
			"worker_processes 1;", "access_log off;", "keepalive 1024;", "listen 127.0.0.1:1000 ", "server 127.0.0.1:2000 ",
			"proxy_http_version 1.1;", `proxy_set_header Connection "";`, "worker_connections 5000;", "/scratch/proxy;",
		}},
		{"HAProxy", haproxyConf(testSetup), []string{
			"nbthread 1\n", "maxconn 5000\n", "http-reuse always\n", "pool-max-conn 1024 ", "bind 127.0.0.1:1000\n", "server origin 127.0.0.1:2000 ",
		}},
		{"Caddy", caddyConf(testSetup), []string{`"max_idle_conns_per_host": 1024`, `"listen": ["127.0.0.1:1000"]`, `"dial": "127.0.0.1:2000"`}},
	} {
		for _, want := range tt.want {
			if !strings.Contains(tt.give, want) {
				t.Errorf("%s: %q is missing in\n%s", tt.name, want, tt.give)
			}
		}
	}
}

func TestCaddysConfigurationIsJSON(t *testing.T) {
	s := testSetup
	s.Certificate = "/scratch/site.pem"
	for _, s := range []setup{testSetup, s} {
		var v any
		if err := json.Unmarshal([]byte(caddyConf(s)), &v); err != nil {
			t.Errorf("%v in\n%s", err, caddyConf(s))
		}
	}
}
