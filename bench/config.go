package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// setup is what each contender's configuration is made from.
type setup struct {
	Listen         string // host:port of the proxy
	Origin         string // host:port of the origin
	Second         string // host:port at which the same origin listens too: fairlead's secondary
	Folder         string // scratch space, already made
	MaxConnections int    // what the file-descriptor limit allows
	Routes         int    // fairlead only; below 2 means one route for everything
	AccessLog      string // fairlead only: the file to log to; empty means no access log
	Certificate    string // PEM file with certificate and key; empty means no TLS
}

// Everybody keeps this many connections to the origin, and an idle client this long.
const (
	upstreamIdle = 1024
	clientIdle   = "300s"
)

// nginxConf is nginx with one worker. Its buffers take a large body in few reads, and never go to disk.
func nginxConf(s setup) string {
	return fmt.Sprintf(`worker_processes 1;
daemon off;
pid %[3]s/nginx.pid;
error_log stderr crit;
events {
    worker_connections %[4]d;
    multi_accept on;
}
http {
    access_log off;
    server_tokens off;
    keepalive_timeout %[6]s;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    client_body_temp_path %[3]s/body;
    proxy_temp_path %[3]s/proxy;
    fastcgi_temp_path %[3]s/fastcgi;
    uwsgi_temp_path %[3]s/uwsgi;
    scgi_temp_path %[3]s/scgi;
    upstream origin {
        server %[2]s max_fails=0;
        keepalive %[5]d;
        keepalive_requests 1000000000;
        keepalive_timeout %[6]s;
    }
    server {
        %[7]s
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_buffer_size 16k;
            proxy_buffers 8 64k;
            proxy_busy_buffers_size 128k;
            proxy_max_temp_file_size 0;
        }
    }
}
`, s.Listen, s.Origin, s.Folder, s.MaxConnections, upstreamIdle, clientIdle, nginxListen(s))
}

// nginxListen is the listener. Over TLS it has what nginx's own examples for speed have; sessions are cached though every
// handshake here is a full one.
func nginxListen(s setup) string {
	if s.Certificate == "" {
		return fmt.Sprintf("listen %s backlog=4096;", s.Listen)
	}
	return fmt.Sprintf(`listen %[1]s ssl http2 backlog=4096;
        ssl_certificate %[2]s;
        ssl_certificate_key %[2]s;
        ssl_protocols TLSv1.3;
        ssl_session_cache shared:bench:10m;
        ssl_session_timeout 1h;`, s.Listen, s.Certificate)
}

// haproxyConf is HAProxy with one thread that shares its connections to the origin freely.
func haproxyConf(s setup) string {
	secure := ""
	if s.Certificate != "" {
		secure = " ssl crt " + s.Certificate + " ssl-min-ver TLSv1.3 alpn h2,http/1.1"
	}
	return fmt.Sprintf(`global
    nbthread 1
    maxconn %[3]d
defaults
    mode http
    timeout connect 1s
    timeout client %[5]s
    timeout server 30s
    timeout http-keep-alive %[5]s
    option http-keep-alive
    option forwardfor
    option splice-auto
    http-reuse always
    retries 0
frontend bench
    bind %[1]s%[6]s
    default_backend origin
backend origin
    server origin %[2]s pool-max-conn %[4]d pool-purge-delay %[5]s
`, s.Listen, s.Origin, s.MaxConnections, upstreamIdle, clientIdle, secure)
}

// caddyConf is Caddy's JSON: no administration, no automatic HTTPS, no log.
func caddyConf(s setup) string {
	policies, certificates := "", ""
	if s.Certificate != "" {
		policies = "\n    \"tls_connection_policies\": [{\"protocol_min\": \"tls1.3\", \"alpn\": [\"h2\", \"http/1.1\"]}],"
		certificates = fmt.Sprintf("\"tls\": {\"certificates\": {\"load_files\": [{\"certificate\": %[1]q, \"key\": %[1]q}]}},\n    ", s.Certificate)
	}
	return fmt.Sprintf(`{
  "admin": {"disabled": true, "config": {"persist": false}},
  "logging": {"logs": {"default": {"level": "ERROR"}}},
  "apps": {%[6]s"http": {"servers": {"bench": {
    "listen": [%[1]q],%[5]s
    "idle_timeout": %[4]q,
    "automatic_https": {"disable": true},
    "routes": [{"handle": [{
      "handler": "reverse_proxy",
      "upstreams": [{"dial": %[2]q}],
      "transport": {"protocol": "http", "compression": false,
        "keep_alive": {"enabled": true, "max_idle_conns": 0, "max_idle_conns_per_host": %[3]d, "idle_timeout": %[4]q}}
    }]}]
  }}}}
}
`, s.Listen, s.Origin, upstreamIdle, clientIdle, policies, certificates)
}

// fairleadConf is fairlead with all that it is for: a secondary, health checks, a bulkhead and a breaker on each route, and
// an admin listener with metrics, which are read while it is measured.
func fairleadConf(s setup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[server]\n%s\nidle_timeout = %q\n", fairleadListen(s), clientIdle)
	if s.Certificate != "" {
		fmt.Fprintf(&b, "\n[[server.certificates]]\ncert = %[1]q\nkey = %[1]q\n", s.Certificate)
	}
	fmt.Fprintf(&b, "\n[log]\naccess = %t\n", s.AccessLog != "")
	if s.AccessLog != "" {
		fmt.Fprintf(&b, "output = %q\n", s.AccessLog)
	}
	fmt.Fprintf(&b, "\n[admin]\nlisten = %q\n", "unix:"+adminSocket(s.Folder))
	for _, origin := range [][2]string{{"first", s.Origin}, {"second", s.Second}} {
		fmt.Fprintf(&b, "\n[origins.%s]\nurl = \"http://%s\"\n\n[origins.%s.health]\npath = \"/healthz\"\n", origin[0], origin[1], origin[0])
	}
	b.WriteString("\n[groups.bench]\nprimary = \"first\"\nsecondary = \"second\"\n")
	if s.Routes < 2 {
		writeRoute(&b, "all", "/")
		return b.String()
	}
	for i := range s.Routes {
		name := routeName(i)
		writeRoute(&b, name, "/"+name+"/{size}")
	}
	return b.String()
}

// adminSocket is where operators and their tools reach fairlead.
func adminSocket(folder string) string { return filepath.Join(folder, "admin.sock") }

func fairleadListen(s setup) string {
	if s.Certificate == "" {
		return fmt.Sprintf("listen = [%q]", s.Listen)
	}
	return fmt.Sprintf("listen = []\ntls_listen = [%q]", s.Listen)
}

func writeRoute(b *strings.Builder, name, match string) {
	fmt.Fprintf(b, "\n[[routes]]\nname = %q\nmatch = %q\ngroup = \"bench\"\n\n[routes.bulkhead]\nmax_concurrent = %d\n", name, match, upstreamIdle)
}

func routeName(i int) string { return fmt.Sprintf("route%05d", i) }

// hotPaths are the paths that the load asks for: ten routes, evenly spread over the table, whatever its size. Were all
// of 10,000 routes hot, the figure would be that of 10,000 pools of connections.
func hotPaths(routes int, size int64) []string {
	if routes < 2 {
		return []string{fmt.Sprintf("/%d", size)}
	}
	const hot = 10
	var paths []string
	for i := range hot {
		paths = append(paths, fmt.Sprintf("/%s/%d", routeName(i*routes/hot), size))
	}
	return paths
}
