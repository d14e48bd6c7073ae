package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// A Config says which origin is probed, how, and how often.
type Config struct {
	// Origin is the origin's name in errors and events.
	Origin string

	// URL names the origin: an http or https URL with a host, or a unix URL
	// (unix:/path) for plain HTTP over a socket. Its path is used for unix
	// only, and nothing else of it. It is required.
	URL *url.URL

	// Network and Address say where to connect, as for [net.Dial]. Both
	// empty means what URL says. With them an http or https origin can be
	// reached over a unix socket.
	Network, Address string

	// Path is the request target: a path with an optional query, sent byte
	// for byte. Empty means /healthz.
	Path string

	// Host is the Host field of the request. Empty means URL's host, or
	// localhost if that has none.
	Host string

	// Interval is the time between the starts of two probes, less up to a
	// tenth of jitter. Zero means 2 s.
	Interval time.Duration

	// Timeout bounds a whole probe, from dialling to the last byte that is
	// read. Probes never overlap: while a probe hangs for longer than
	// Interval, the next one begins when it ends, and a verdict takes
	// accordingly longer. Zero means 1 s, or Interval if that is shorter.
	Timeout time.Duration

	// FastInterval takes Interval's place while a verdict is being decided
	// or real requests fail. It can't be longer than Interval. Zero means
	// 250 ms, or Interval if that is shorter.
	FastInterval time.Duration

	// Fall is the number of failures in a row that make an origin Down,
	// Rise the number of successes in a row that make it Healthy. Zero
	// means 3.
	Fall, Rise int

	// ExpectStatus lists the statuses that are a success. Empty means
	// 200-399. Redirects are not followed: their own status is judged.
	ExpectStatus []StatusRange

	// ExpectBody must occur in the first 5120 bytes of the body, after
	// chunked coding is removed. Empty means that the body is not read.
	ExpectBody string

	// TLS is used for https; it is cloned. Nil means the system's roots. An
	// empty ServerName means URL's host.
	TLS *tls.Config

	// Dial opens a probe's connection, without TLS. It is there so that
	// probes connect the same way as requests do, with the same resolver and
	// the same choice among an origin's addresses: with it, nothing here
	// resolves a name. It must return soon after ctx is done: Run waits for
	// it when it ends. Nil means the system's resolver and a plain
	// [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// withDefaults returns a copy in which every zero value is replaced by what it
// means, so that nothing else has to know defaults.
func (cfg Config) withDefaults() Config {
	if cfg.Network == "" && cfg.Address == "" && cfg.URL != nil {
		cfg.Network, cfg.Address = endpoint(cfg.URL)
	}
	if cfg.Path == "" {
		cfg.Path = "/healthz"
	}
	if cfg.Host == "" && cfg.URL != nil {
		cfg.Host = cfg.URL.Host
	}
	if cfg.Host == "" {
		cfg.Host = "localhost"
	}
	if cfg.Interval == 0 {
		cfg.Interval = 2 * time.Second
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = min(time.Second, cfg.Interval)
	}
	if cfg.FastInterval == 0 {
		cfg.FastInterval = min(250*time.Millisecond, cfg.Interval)
	}
	if cfg.Fall == 0 {
		cfg.Fall = 3
	}
	if cfg.Rise == 0 {
		cfg.Rise = 3
	}
	if len(cfg.ExpectStatus) == 0 {
		cfg.ExpectStatus = []StatusRange{{From: 200, To: 399}}
	}
	if cfg.Dial == nil {
		// A probe is over long before TCP keep-alive could matter.
		dialer := &net.Dialer{KeepAlive: -1}
		cfg.Dial = dialer.DialContext
	}
	return cfg
}

// endpoint is where a URL's origin listens; the address is empty when the URL
// does not say.
func endpoint(u *url.URL) (network, address string) {
	if u.Scheme == "unix" {
		return "unix", u.Path + u.Opaque
	}
	if u.Hostname() == "" {
		return "tcp", ""
	}
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return "tcp", net.JoinHostPort(u.Hostname(), port)
}

// tlsConfig is nil for an origin that speaks plain HTTP.
func (cfg *Config) tlsConfig() *tls.Config {
	if cfg.URL.Scheme != "https" {
		return nil
	}
	t := cfg.TLS.Clone()
	if t == nil {
		t = &tls.Config{}
	}
	if t.ServerName == "" {
		t.ServerName = cfg.URL.Hostname()
	}
	// A probe speaks HTTP/1.1, whatever the origin's real traffic negotiates.
	t.NextProtos = []string{"http/1.1"}
	return t
}

// check reports all that is wrong with a Config that has its defaults.
func (cfg *Config) check() error {
	problems := []error{cfg.checkTarget(), cfg.checkTimes()}
	if min(cfg.Fall, cfg.Rise) < 1 {
		problems = append(problems, fmt.Errorf("fall %d and rise %d must be at least 1", cfg.Fall, cfg.Rise))
	}
	for _, r := range cfg.ExpectStatus {
		problems = append(problems, r.check())
	}
	if len(cfg.ExpectBody) > bodyLimit {
		problems = append(problems, fmt.Errorf("expected body of %d bytes can't be found in the first %d", len(cfg.ExpectBody), bodyLimit))
	}
	return errors.Join(problems...)
}

func (cfg *Config) checkTarget() error {
	switch {
	case cfg.URL == nil:
		return errors.New("no URL")
	case cfg.URL.Scheme != "http" && cfg.URL.Scheme != "https" && cfg.URL.Scheme != "unix":
		return fmt.Errorf("URL scheme %q must be http, https or unix", cfg.URL.Scheme)
	case cfg.Network == "" || cfg.Address == "":
		return fmt.Errorf("nothing says where to connect: URL %q, network %q, address %q", cfg.URL, cfg.Network, cfg.Address)
	case !strings.HasPrefix(cfg.Path, "/") || !visible(cfg.Path):
		return fmt.Errorf("path %q must start with a slash and hold visible ASCII only", cfg.Path)
	case !visible(cfg.Host):
		return fmt.Errorf("host %q must hold visible ASCII only", cfg.Host)
	}
	return nil
}

func (cfg *Config) checkTimes() error {
	switch {
	case min(cfg.Interval, cfg.Timeout, cfg.FastInterval) < time.Millisecond:
		return fmt.Errorf("interval %s, timeout %s and fast interval %s must be at least 1ms", cfg.Interval, cfg.Timeout, cfg.FastInterval)
	case cfg.FastInterval > cfg.Interval:
		return fmt.Errorf("fast interval %s is longer than interval %s", cfg.FastInterval, cfg.Interval)
	}
	return nil
}

// visible reports whether s may stand in a request head without being able to
// end a line or a word of it.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
