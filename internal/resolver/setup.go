package resolver

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A setup is whom a lookup asks and how. It is never changed, only replaced.
type setup struct {
	hosts    map[string][]netip.Addr
	servers  []string
	search   []string // absolute
	ndots    int
	timeout  time.Duration
	attempts int

	// system, unless nil, is asked in the servers' place.
	system func(ctx context.Context, host string) ([]netip.Addr, error)
}

// budget bounds the lookup of one name.
func (s *setup) budget() time.Duration {
	return s.timeout * time.Duration(len(s.servers)*s.attempts)
}

// candidates are the absolute names that host may stand for, in the order of
// resolv.conf(5): with fewer than ndots dots the search list comes first.
func (s *setup) candidates(host string) []string {
	if strings.HasSuffix(host, ".") {
		return []string{host}
	}
	var names []string
	asIs := host + "."
	if strings.Count(host, ".") >= s.ndots {
		names = append(names, asIs)
	}
	for _, domain := range s.search {
		if name := asIs + domain; isHost(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 || names[0] != asIs {
		names = append(names, asIs)
	}
	return names
}

// fixedSetup is the one of a Config with servers.
func fixedSetup(cfg Config) *setup {
	s := &setup{servers: cfg.Servers, timeout: cfg.Timeout, attempts: defaultAttempts}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	return s
}

// recheck is how often the files are looked at, at most.
const recheck = 5 * time.Second

// maxFile bounds how much of a file is read.
const maxFile = 4 << 20

// files keeps the setup that the system's files say. It is safe for
// concurrent use.
type files struct {
	cfg    Config
	system func(ctx context.Context, host string) ([]netip.Addr, error)

	mu          sync.Mutex
	checked     time.Time
	conf, hosts stamp
	setup       *setup
}

// A stamp tells one version of a file from another. The zero value is a file
// that can't be read.
type stamp struct {
	mtime time.Time
	size  int64
}

func newFiles(cfg Config) *files {
	f := &files{cfg: cfg, setup: &setup{servers: []string{"127.0.0.1:53", "[::1]:53"}, ndots: 1}}
	if _, err := os.Stat(cfg.ResolvConf); runtime.GOOS == "windows" && errors.Is(err, fs.ErrNotExist) {
		f.system = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return f
}

// current reads the files again if they have changed.
func (f *files) current() *setup {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.checked.IsZero() && now.Sub(f.checked) < recheck {
		return f.setup
	}
	first := f.checked.IsZero()
	f.checked = now
	conf, hosts := stampOf(f.cfg.ResolvConf), stampOf(f.cfg.Hosts)
	if !first && conf == f.conf && hosts == f.hosts {
		return f.setup
	}
	f.conf, f.hosts = conf, hosts
	f.setup = f.read(f.setup)
	return f.setup
}

// read makes a setup of both files as they are now. Without any nameserver the
// old ones stay.
func (f *files) read(old *setup) *setup {
	c := parseResolvConf(readFile(f.cfg.ResolvConf))
	s := &setup{
		hosts: parseHosts(readFile(f.cfg.Hosts)), servers: c.servers, search: c.search, ndots: c.ndots,
		timeout: f.cfg.Timeout, attempts: c.attempts, system: f.system,
	}
	if len(s.servers) == 0 {
		s.servers = old.servers
	}
	if !c.searched {
		s.search = hostDomain()
	}
	if s.timeout == 0 {
		s.timeout = c.timeout
	}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	if s.attempts == 0 {
		s.attempts = defaultAttempts
	}
	return s
}

// hostDomain is the search list where no file has one: what follows the first
// dot of this machine's name.
func hostDomain() []string {
	name, err := os.Hostname()
	if err != nil {
		return nil
	}
	_, domain, _ := strings.Cut(strings.ToLower(strings.TrimSuffix(name, ".")), ".")
	if domain == "" || !isHost(domain) {
		return nil
	}
	return []string{domain + "."}
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}

// readFile gives what can be read of a file; that of one which can't is empty.
func readFile(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	text, _ := io.ReadAll(io.LimitReader(file, maxFile))
	return string(text)
}

// lookupSystem asks the system's own resolver, which tells no TTL.
func lookupSystem(ctx context.Context, s *setup, host string) result {
	ctx, cancel := context.WithTimeout(ctx, s.budget())
	defer cancel()
	addrs, err := s.system(ctx, host)
	if err == nil && len(addrs) > 0 {
		for i := range addrs {
			addrs[i] = addrs[i].Unmap()
		}
		return fixed(addrs[:min(len(addrs), maxAddrs)], "", untimedTTL)
	}
	var dns *net.DNSError
	switch {
	case err == nil:
		return nothing(&Error{Kind: NoAddress, Err: errNoAddress})
	case errors.As(err, &dns) && dns.IsNotFound:
		return nothing(&Error{Kind: NotFound, Err: errNoName})
	case errors.As(err, &dns) && dns.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return nothing(&Error{Kind: Timeout, Err: err})
	}
	return nothing(&Error{Kind: ServerFailure, Err: err})
}
