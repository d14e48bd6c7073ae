package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/handover"
	"github.com/fairlead/fairlead/internal/memlimit"
	"github.com/fairlead/fairlead/internal/systemd"
)

// program is one start of fairlead. Nothing in it is global, so that a test
// can start the whole.
type program struct {
	stdout, stderr io.Writer
	// force, when closed, ends a drain at once. Nil means never.
	force <-chan struct{}
	// reload and upgrade ask a running proxy to read its configuration again,
	// and to make room for a new process. Nil means never.
	reload, upgrade <-chan struct{}
	// inherited are the sockets that were handed to this process. Nil means none.
	inherited *handover.Sockets
}

// usageError is a command line that makes no sense.
type usageError struct {
	command string // empty: none was recognised
	msg     string
}

func (e *usageError) Error() string {
	if e.command == "" {
		return "fairlead: " + e.msg
	}
	return "fairlead " + e.command + ": " + e.msg
}

// hint says where the right way stands.
func (e *usageError) hint() string {
	if e.command == "" {
		return `Run "fairlead help" for the commands.`
	}
	return fmt.Sprintf("Run %q for its flags and arguments.", "fairlead help "+e.command)
}

// run does what the command line says and returns when it is done. The end of
// ctx asks a running proxy to drain. The error is a *usageError,
// config.Problems, or whatever went wrong.
func (p *program) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return &usageError{msg: "a command is missing"}
	}
	name, args := args[0], args[1:]
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	switch name {
	case "run":
		file := flags.String("c", "fairlead.toml", "")
		return p.command(flags, args, 0, func() error { return p.serve(ctx, *file) })
	case "check":
		return p.command(flags, args, 1, func() error { return p.check(flags.Arg(0)) })
	case "demo":
		once := flags.Bool("once", false, "")
		return p.command(flags, args, 0, func() error { return p.demo(ctx, *once, showPace) })
	case "drill":
		return p.drillCommand(ctx, args)
	case "version", "--version":
		return p.command(flags, args, 0, p.version)
	case "help", "-h", "-help", "--help":
		return p.help(args)
	case "completion":
		return p.completionCommand(args)
	case completeCommand:
		return p.complete(ctx, args)
	}
	if command := adminCommandOf(name); command != nil {
		return p.admin(ctx, command, args)
	}
	return &usageError{msg: fmt.Sprintf("unknown command %q", name)}
}

// command parses the rest of the command line, which must have as many
// arguments after its flags as wanted, and calls do.
func (p *program) command(flags *flag.FlagSet, args []string, arguments int, do func() error) error {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	name := strings.TrimLeft(flags.Name(), "-")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return p.help([]string{name})
	case err != nil:
		return &usageError{name, err.Error()}
	case flags.NArg() > arguments:
		return &usageError{name, fmt.Sprintf("unexpected argument %q", flags.Arg(arguments))}
	case flags.NArg() < arguments:
		return &usageError{name, "the file to check is missing"}
	}
	return do()
}

// load reads and checks a configuration file.
func load(file string) (*config.Config, error) {
	return config.Load(file, config.Options{Patterns: checkPatterns})
}

// missing says what to do about a configuration that is not there.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; write it, or name another file with -c", err)
	}
	return err
}

// reading is a configuration, and what tells its file from another: the
// beginning of the SHA-256, in hexadecimal digits.
type reading struct {
	cfg         *config.Config
	fingerprint string
}

// loadNaming is load, and names the files that it looked for besides.
func loadNaming(file string) (r reading, named []string, err error) {
	r.cfg, err = config.Load(file, config.Options{
		Patterns: checkPatterns,
		ReadFile: func(path string) ([]byte, error) {
			named = append(named, path)
			return config.ReadFile(path)
		},
		OnRead: func(data []byte) {
			sum := sha256.Sum256(data)
			r.fingerprint = hex.EncodeToString(sum[:6])
		},
	})
	return r, named, err
}

// check is "fairlead check".
func (p *program) check(file string) error {
	cfg, err := load(file)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: ok: %s, %s, %s\n", file,
		count(len(cfg.Routes), "route"), count(len(cfg.Groups), "group"), count(len(cfg.Origins), "origin"))
	for _, d := range dangers(cfg) {
		fmt.Fprintf(p.stdout, "%s: warning: %s\n", file, d)
	}
	return nil
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// serve is "fairlead run": it serves until ctx ends and the drain is over.
func (p *program) serve(ctx context.Context, file string) error {
	r, looked, err := read(file, nil)
	if err != nil {
		return missing(err)
	}
	cfg := r.cfg
	l, err := openLogs(cfg.Log, p.stdout, p.stderr)
	if err != nil {
		return err
	}
	defer l.close()
	j := newJournal(l.events)
	j.memory(memlimit.Set())
	parent := p.inherited.Parent()
	k := newKeeper(cfg.Server.State, l.events)
	if parent != nil {
		k = newKeeperFrom(parent.State(), cfg.Server.State, l.events)
	}
	k.load()
	o := newOperator(file, r.fingerprint)
	w := o.watching(j)
	w.asked, w.admin = j.asked, j.admin
	s, err := newService(cfg, l, k, w, p.inherited, o)
	if err != nil {
		return err
	}
	defer s.close()
	addresses, dns, err := s.listen()
	if err != nil {
		return explainListen(err)
	}
	for _, unused := range p.inherited.CloseRest() {
		j.log.Warn("a socket that was handed over is not in the configuration, and is closed", zap.String("address", unused))
	}
	if parent != nil {
		if err := p.takeOver(parent, j); err != nil {
			return err
		}
	}
	j.started(cfg, file, addresses, dns)
	j.administered(s.admin)
	if cfg.Log.Output != "stderr" && cfg.Log.Output != "stdout" {
		for _, a := range addresses {
			fmt.Fprintf(p.stderr, "fairlead: listening on %s, logging to %s\n", a, cfg.Log.Output)
		}
	}
	j.notify(systemd.Ready, systemd.MainPID(os.Getpid()), serving(addresses))
	asks, gone := make(chan reloadAsk), make(chan struct{})
	o.asks, o.gone = asks, gone
	o.tell(adminapi.Event{Kind: "start", Level: "info", Text: "fairlead " + buildVersion() + " serves on " + bound(addresses)})
	err = p.steer(ctx, &control{program: p, file: file, service: s, journal: j, operator: o, asks: asks, gone: gone, cfg: cfg, loaded: looked})
	j.doorTotals(s.proxy)
	j.dnsTotals(s.names)
	j.stopped(s.proxy.Stats(), err)
	return err
}

// takeOver tells the process that started this one to leave. After an error it
// stays.
func (p *program) takeOver(parent *handover.Parent, j journal) error {
	err := parent.Ready()
	if errors.Is(err, handover.ErrParentGone) {
		j.log.Warn("took over", zap.Error(err))
		return nil
	}
	if err == nil {
		j.log.Info("took over from the process that started this one")
	}
	return err
}

// steer runs the service, and obeys signals meanwhile.
func (p *program) steer(ctx context.Context, c *control) error {
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	obey, stop := context.WithCancel(ctx)
	var obeying sync.WaitGroup
	obeying.Go(func() { c.run(obey) })
	c.operator.stopped = func() bool { return ctx.Err() != nil }
	ending := context.AfterFunc(ctx, func() {
		// It ends a hand-over too. The drain waits until that is decided: before,
		// nobody knows who is to remove the sockets' paths and to keep the state.
		c.deciding.Lock()
		defer c.deciding.Unlock()
		if !c.left { // or it would be the new process that is stopped
			c.ending = true
			c.journal.notify(systemd.Stopping)
			c.operator.stopping(time.Now())
		}
		end()
	})
	err := c.service.run(serving, p.force)
	stop()
	obeying.Wait()
	ending()
	return err
}

// explainListen adds what an operator may not see at once.
func explainListen(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && noSocketThere(err):
		return fmt.Errorf("%w: what is there is no socket; move it away, or write another path", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: another program, or another fairlead, listens there", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: this user may not listen there (ports below 1024 take a privilege)", err)
	}
	return err
}

// noSocketThere reports whether err is of a unix socket whose path belongs to
// something else, such as a file.
func noSocketThere(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return false
	}
	addr, ok := op.Addr.(*net.UnixAddr)
	if !ok {
		return false
	}
	info, err := os.Lstat(addr.Name)
	return err == nil && info.Mode().Type() != fs.ModeSocket
}
