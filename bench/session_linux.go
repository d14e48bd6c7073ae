package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// session is one run of the benchmark: the cores, the origin and a scratch folder. close ends and removes everything.
type session struct {
	cores          cores
	all            int // cores of the machine that this process may use
	folder         string
	origin         *process
	originAddr     string
	secondAddr     string
	maxConnections int
	progress       io.Writer
}

// measure runs the mode that the options name and prints to stdout; progress goes to stderr.
func measure(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	folder, err := os.MkdirTemp("", "fairlead-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := os.Chmod(folder, 0o755); err != nil {
		return err
	}
	s := &session{folder: folder, progress: stderr}
	var found []contender
	if o.Routes || o.AccessLog {
		o.Only = []string{"fairlead"}
	}
	busy := busyNote(readText("/proc/loadavg")) // before the build
	if found, err = s.find(ctx, o); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	defer s.origin.stop()

	parts, err := s.parts(o, found)
	if err != nil {
		return err
	}
	for i, part := range parts {
		r, err := part(ctx)
		if err != nil {
			return err
		}
		if busy != "" {
			r.Notes = append(r.Notes, busy)
		}
		r.Machine = s.machine(found)
		if i > 0 {
			fmt.Fprintln(stdout)
		}
		fmt.Fprint(stdout, r.text())
		if o.Docs == "" {
			continue
		}
		if err := writeDocs(o.Docs, r); err != nil {
			return err
		}
	}
	return nil
}

// part measures what one report is about.
type part func(context.Context) (report, error)

// parts are what the options ask for. Without h2load, a whole run leaves TLS out and says so.
func (s *session) parts(o options, found []contender) ([]part, error) {
	switch {
	case o.Idle > 0:
		return []part{func(ctx context.Context) (report, error) { return s.idle(ctx, found, o.Idle) }}, nil
	case o.Routes:
		return []part{func(ctx context.Context) (report, error) { return s.routes(ctx, found[0], o) }}, nil
	case o.AccessLog:
		return []part{func(ctx context.Context) (report, error) { return s.accessLog(ctx, found[0], o) }}, nil
	}
	compare := func(ctx context.Context) (report, error) { return s.compare(ctx, found, o) }
	if !o.TLS && !o.WithTLS {
		return []part{compare}, nil
	}
	g, err := findGenerator()
	secure := func(ctx context.Context) (report, error) { return s.secure(ctx, found, g, doors, o) }
	switch {
	case o.TLS && err != nil:
		return nil, fmt.Errorf("-tls: %w", err)
	case o.TLS:
		return []part{secure}, nil
	case err != nil:
		fmt.Fprintf(s.progress, "TLS and HTTP/2 are left out: %v\n", err)
		return []part{compare}, nil
	}
	return []part{compare, secure}, nil
}

// errFewFiles says that this user may not open enough files to measure anything.
var errFewFiles = errors.New("the limit of open files is too low")

// open takes the cores, raises the limit of open files as far as an ordinary user may, and starts the origin.
func (s *session) open() error {
	all, err := usableCores()
	if err != nil {
		return err
	}
	s.all = len(all)
	s.cores = shareCores(all)
	if err := pinSelf(s.cores.Load); err != nil {
		return err
	}
	spareProcessor()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("setrlimit: %w", err)
	}
	// A proxy has two descriptors for a connection and some of its own; HAProxy insists on a reserve beyond that.
	s.maxConnections = int(min(limit.Max/3, 20000)) - 200
	if s.maxConnections < 300 {
		return fmt.Errorf("%w: it is %d, and 1500 are needed", errFewFiles, limit.Max)
	}
	origin, addrs, err := startRole(originRole, nil, s.cores.Origin, s.folder)
	if err != nil {
		return err
	}
	if len(addrs) != 2 {
		origin.stop()
		return fmt.Errorf("start origin: it said %q", addrs)
	}
	s.origin, s.originAddr, s.secondAddr = origin, addrs[0], addrs[1]
	return nil
}

// startAll starts the contenders; the function returned stops them. It is never nil.
func (s *session) startAll(ctx context.Context, found []contender) ([]*proxy, func(), error) {
	var proxies []*proxy
	stop := func() {
		for _, p := range proxies {
			p.stop()
		}
	}
	for _, c := range found {
		p, err := s.start(ctx, c)
		if err != nil {
			return nil, stop, err
		}
		proxies = append(proxies, p)
	}
	return proxies, stop, nil
}

// machine says in one paragraph what was measured on what.
func (s *session) machine(found []contender) string {
	plural := "s"
	if s.all == 1 {
		plural = ""
	}
	parts := []string{
		fmt.Sprintf("%s, %d core%s", modelOf(readText("/proc/cpuinfo")), s.all, plural),
		"Linux " + strings.TrimSpace(readText("/proc/sys/kernel/osrelease")), "Go " + strings.TrimPrefix(runtime.Version(), "go"),
	}
	for _, c := range found {
		if c.Version != "" && c.Key != "reverseproxy" {
			parts = append(parts, c.Label+" "+c.Version)
		}
	}
	return strings.Join(parts, ", ") + "; " + s.cores.String() + "; " + time.Now().Format(time.DateOnly) + "."
}

// readText is a file of /proc, or nothing if there is none.
func readText(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(b)
}

// writeDocs rewrites the report's section of performance.md, and the chart if there is one.
func writeDocs(folder string, r report) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(root, folder)
	}
	file := filepath.Join(folder, "performance.md")
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err := replaceSection(string(old), r.Section, r.markdown())
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	if len(r.Sizes) == 0 {
		return nil
	}
	return os.WriteFile(filepath.Join(folder, "performance.svg"), []byte(chart(r.Sizes)), 0o644)
}
