package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A Config says whom to ask and how long to believe it.
type Config struct {
	// Servers are the nameservers, "ip:port" each, which do recursion. They
	// are tried in this order, but that one which answered when those before it
	// did not comes first for 30 s. With them, the system's files don't matter and no search list
	// applies.
	//
	// Empty means what the system's files say: nameservers, search list,
	// ndots, timeout and attempts from ResolvConf, and before that the names
	// in Hosts. Both are looked at again, at most every 5 s, when a lookup is
	// made. A ResolvConf that is missing or names no nameserver means the one
	// that was read before it or else port 53 of this machine, as
	// resolv.conf(5) has it. On Windows, which has no such file, the system
	// itself is asked ([net.DefaultResolver]) and its answers, which come
	// without a TTL, hold for 30 s.
	Servers []string

	// ResolvConf and Hosts are paths. Empty means /etc/resolv.conf and
	// /etc/hosts.
	ResolvConf, Hosts string

	// Timeout is how long one server may take for one try, over UDP and again
	// over TCP. Zero means what ResolvConf says, or 1 s. All servers are
	// tried twice at most (or as often as ResolvConf says), so a lookup takes
	// at most Timeout times servers times 2 for each name of the search list.
	Timeout time.Duration

	// MinTTL and MaxTTL bound how long an answer is fresh. Zero means 1 s and
	// 5 min.
	MinTTL, MaxTTL time.Duration

	// StaleMax is how long an answer may be used after its TTL has ended,
	// because the lookup that would replace it fails or is not finished. Zero
	// means 1 h, negative means not at all.
	StaleMax time.Duration

	// NegativeTTL is how long "no such name" and "no address" hold. Zero
	// means 30 s.
	NegativeTTL time.Duration

	// OnEvent is told what [Event] lists: one call at a time for each name,
	// under no lock, after Lookup shows the change. The next lookup of the
	// name waits for it, so it must not block; nor may it call Close. Nil
	// means nobody.
	OnEvent func(Event)
}

const (
	defaultTimeout  = time.Second
	defaultAttempts = 2
	maxNames        = 1024 // that nobody watches
	maxLookups      = 16   // at once
	maxAddrs        = 64
	maxLinks        = 8
	resolutionDelay = 50 * time.Millisecond // RFC 8305, section 3
	untimedTTL      = 30 * time.Second      // of what comes without a TTL: the files, the system
)

// withDefaults returns a copy in which every zero value but Timeout, for which
// the system's files have a say, is replaced by what it means.
func (cfg Config) withDefaults() Config {
	for _, d := range []struct {
		field   *time.Duration
		meaning time.Duration
	}{
		{&cfg.MinTTL, time.Second},
		{&cfg.MaxTTL, 5 * time.Minute},
		{&cfg.StaleMax, time.Hour},
		{&cfg.NegativeTTL, 30 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.meaning
		}
	}
	cfg.StaleMax = max(cfg.StaleMax, 0)
	if cfg.ResolvConf == "" {
		cfg.ResolvConf = "/etc/resolv.conf"
	}
	if cfg.Hosts == "" {
		cfg.Hosts = "/etc/hosts"
	}
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(Event) {}
	}
	return cfg
}

// check finds every problem of a Config that has its defaults.
func (cfg *Config) check() error {
	var errs []error
	for _, s := range cfg.Servers {
		if a, err := netip.ParseAddrPort(s); err != nil || a.Port() == 0 {
			errs = append(errs, fmt.Errorf("nameserver %q: must be an IP address and a port, such as 127.0.0.1:53", s))
		}
	}
	if cfg.Timeout < 0 || cfg.MinTTL < 0 || cfg.MaxTTL < 0 || cfg.NegativeTTL < 0 {
		errs = append(errs, errors.New("time-outs and TTLs can't be negative"))
	}
	if cfg.MinTTL > cfg.MaxTTL {
		errs = append(errs, fmt.Errorf("the least TTL, %s, is above the greatest, %s", cfg.MinTTL, cfg.MaxTTL))
	}
	return errors.Join(errs...)
}
