package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// contender is a proxy that can be started. Key names it on the command line, Label in tables.
type contender struct {
	Key, Label, Version string
	Setup               setup // what its configuration adds to the session's
	program             string
}

// proxy is a contender that runs and answers.
type proxy struct {
	contender
	*process
	addr    netip.AddrPort
	pids    []int
	metrics *scraper // nil without metrics
}

// stop ends the proxy, and who reads its metrics.
func (p *proxy) stop() {
	p.metrics.stop()
	p.process.stop()
}

func (p *proxy) cpu() (time.Duration, error) { return cpuOf(p.pids) }

// explain adds the proxy's last words to an error if the proxy has ended.
func (p *proxy) explain(err error) error {
	if err == nil || !p.ended() {
		return err
	}
	return fmt.Errorf("%w; the proxy has ended: %s", err, p.complaint())
}

// Roles that the benchmark's own binary plays when it is started again.
const (
	originRole       = "origin-role"
	reverseProxyRole = "reverseproxy-role"
)

func isRole(arg string) bool { return arg == originRole || arg == reverseProxyRole }

func runRole(role string, args []string) error {
	if role == originRole {
		return runOrigin()
	}
	if len(args) != 2 {
		return errors.New("want the origin's address, and the certificate or nothing")
	}
	return runReverseProxy(args[0], args[1])
}

// startRole starts this binary again and reads the addresses that it prints on one line.
func startRole(role string, args []string, on []int, folder string) (*process, []string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	c := command{Args: append([]string{self, role}, args...), Env: []string{"GOMAXPROCS=1"}}
	p, err := startProcess(role, c, on, folder, w)
	w.Close()
	if err != nil {
		return nil, nil, err
	}
	r.SetReadDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, nil, fmt.Errorf("start %s: %w: %s", role, err, p.complaint())
	}
	return p, strings.Fields(line), nil
}

// find locates what the command line asked for. A contender that was not asked for by name is left out if it is not
// installed; fairlead is built, and has to be.
func (s *session) find(ctx context.Context, o options) ([]contender, error) {
	var found []contender
	for _, key := range contenderNames {
		wanted, named := o.wants(key)
		if !wanted {
			continue
		}
		c, err := s.locate(ctx, key, o.Binary)
		if err != nil && (named || key == "fairlead") {
			return nil, err
		}
		if err == nil {
			found = append(found, c)
		}
	}
	return found, nil
}

func (s *session) locate(ctx context.Context, key, binary string) (contender, error) {
	c := contender{Key: key}
	var err error
	switch key {
	case "fairlead":
		c.Label = "Fairlead"
		c.program, err = s.build(ctx, binary)
	case "nginx":
		c.Label = "nginx"
		c.program, err = lookUp(key)
		c.Version = versionOf(c.program, "-v")
	case "haproxy":
		c.Label = "HAProxy"
		c.program, err = lookUp(key)
		c.Version = versionOf(c.program, "-v")
	case "caddy":
		c.Label = "Caddy"
		c.program, err = lookUp(key)
		c.Version = versionOf(c.program, "version")
	case "reverseproxy":
		c.Label = "ReverseProxy"
		c.Version = strings.TrimPrefix(runtime.Version(), "go")
	}
	return c, err
}

// lookUp also looks where an ordinary user's PATH doesn't.
func lookUp(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(folder, program)); err == nil {
			return path, nil
		}
	}
	return "", err
}

// versionOf is what a program says of itself, or nothing.
func versionOf(program string, args ...string) string {
	if program == "" {
		return ""
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		return ""
	}
	return firstVersion(string(out))
}

// build compiles ./cmd/fairlead into the session's folder, unless a binary was given.
func (s *session) build(ctx context.Context, binary string) (string, error) {
	if binary != "" {
		return exec.LookPath(binary)
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	out := filepath.Join(s.folder, "fairlead")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "./cmd/fairlead")
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build ./cmd/fairlead: %w\n%s(-only measures the others)", err, text)
	}
	return out, nil
}

// moduleRoot is the nearest folder upwards that holds a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod here or above: run this inside the repository")
		}
		dir = filepath.Dir(dir)
	}
}

// start runs a contender on the proxy's core and waits until it answers. A port that was free may be taken by the time
// the contender listens; then it is tried again with another one.
func (s *session) start(ctx context.Context, c contender) (*proxy, error) {
	var err error
	for range 3 {
		var p *proxy
		if p, err = s.startOnce(ctx, c); err == nil || ctx.Err() != nil {
			return p, err
		}
	}
	return nil, err
}

func (s *session) startOnce(ctx context.Context, c contender) (*proxy, error) {
	var child *process
	var addr, socket string
	var err error
	if c.Key == "reverseproxy" {
		var addrs []string
		child, addrs, err = startRole(reverseProxyRole, []string{s.originAddr, c.Setup.Certificate}, s.cores.Proxy, s.folder)
		if err == nil && len(addrs) == 1 {
			addr = addrs[0]
		}
	} else {
		addr, err = freePort()
		if err != nil {
			return nil, err
		}
		var cmd command
		if cmd, socket, err = s.prepare(c, addr); err == nil {
			child, err = startProcess(c.Key, cmd, s.cores.Proxy, s.folder, nil)
		}
	}
	if err != nil {
		return nil, err
	}
	p := &proxy{contender: c, process: child}
	if p.addr, err = netip.ParseAddrPort(addr); err == nil {
		err = p.ready(ctx)
	}
	if err == nil {
		p.pids, err = p.tree()
	}
	if err == nil && socket != "" {
		p.metrics, err = startScraper(ctx, socket, scrapeEvery(c.Setup.Routes))
	}
	if err != nil {
		child.stop()
		return nil, fmt.Errorf("start %s: %w\n%s", c.Key, err, child.complaint())
	}
	return p, nil
}

// prepare writes the contender's configuration and says how to start it, and the socket at which its metrics are, if it has
// any.
func (s *session) prepare(c contender, listen string) (cmd command, metrics string, err error) {
	folder, err := os.MkdirTemp(s.folder, c.Key+"-")
	if err != nil {
		return command{}, "", err
	}
	if err := os.Chmod(folder, 0o755); err != nil { // nginx's worker may be another user
		return command{}, "", err
	}
	cfg := c.Setup
	cfg.Listen, cfg.Origin, cfg.Second = listen, s.originAddr, s.secondAddr
	cfg.Folder, cfg.MaxConnections = folder, s.maxConnections
	file := filepath.Join(folder, "config")
	one := []string{"GOMAXPROCS=1"}
	var text string
	switch c.Key {
	case "fairlead":
		text, cmd = fairleadConf(cfg), command{[]string{c.program, "run", "-c", file}, one}
		metrics = adminSocket(folder)
	case "nginx":
		text, cmd = nginxConf(cfg), command{[]string{c.program, "-e", "stderr", "-p", folder, "-c", file}, nil}
	case "haproxy":
		text, cmd = haproxyConf(cfg), command{[]string{c.program, "-db", "-f", file}, nil}
	case "caddy":
		text, cmd = caddyConf(cfg), command{[]string{c.program, "run", "--config", file}, append(one, "HOME="+folder, "XDG_CONFIG_HOME="+folder, "XDG_DATA_HOME="+folder)}
	}
	return cmd, metrics, os.WriteFile(file, []byte(text), 0o644)
}

// freePort is an address on the loopback interface that nobody listened on a moment ago.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// ready waits up to 15 seconds for a right answer.
func (p *proxy) ready(ctx context.Context) error {
	limit := time.Now().Add(15 * time.Second)
	for {
		err := p.askOnce(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case p.ended():
			return errors.New("it ended")
		case time.Now().After(limit):
			return fmt.Errorf("not ready: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *proxy) askOnce(ctx context.Context) error {
	if p.Setup.Certificate != "" {
		return p.askSecurely(ctx, hotPaths(p.Setup.Routes, 1)[0], 1)
	}
	l, err := newLoad(p.addr, 0, hotPaths(p.Setup.Routes, 1), 1)
	if err != nil {
		return err
	}
	defer l.close()
	return l.oneEach(ctx, 1)
}
