// Command fairlead is an HTTP edge reverse proxy that keeps a site up while its
// origin is down.
//
//	fairlead demo                    see an outage that nobody notices
//	fairlead check fairlead.toml     is this file good?
//	fairlead drill -c fairlead.toml  what would each kind of outage do to it?
//	fairlead run -c fairlead.toml    serve
//	fairlead version
//	fairlead status                  what a running one does, by its admin API
//	fairlead pin shop us --for 30m   move traffic by hand, by the same
//
// "fairlead help" and "fairlead help COMMAND" say everything about the
// commands, their flags, signals and exit codes.
//
// This is the one package that knows all the others. It turns the checked
// configuration into each package's own, lets the health checkers tell the
// groups what they found, lets failed requests hurry the checkers, and writes
// the log. It decides nothing about requests and refuses to daemonise, to write
// pid files, to rotate logs and to change its user: that is the work of whoever
// starts it.
//
// The work is divided by file: main.go has signals and exit codes, run.go the
// commands and the life of "run", control.go what it obeys meanwhile. service.go,
// plan.go and reload.go are the wiring, dns.go and tls.go their parts of it,
// translate.go what the configuration means to each package, state.go what
// survives a restart. logs.go is where lines go, events.go and changes.go what
// they say, dangers.go what a good file leaves dangerous, demo.go and script.go
// the demonstration, the drill_ files the drill of a configuration, help.go and cli_help.go the texts. client.go asks the admin
// API of another process, the cli_ files are the commands that do so, and
// completion.go helps shells with all of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/handover"
	"github.com/fairlead/fairlead/proxy"
)

// Exit codes.
const (
	exitDone  = 0
	exitWrong = 1 // a bad configuration, a check, a run or a demo that went wrong, or an API that refused
	exitUsage = 2
)

func main() {
	// Whoever reads the log may go away. That is no reason to stop serving.
	signal.Ignore(syscall.SIGPIPE)
	ctx, drain := context.WithCancel(context.Background())
	force := make(chan struct{})
	go watchSignals(drain, force)
	p := program{stdout: os.Stdout, stderr: os.Stderr, force: force}
	if len(os.Args) > 1 && os.Args[1] == "run" { // the others end when their terminal hangs up
		p.reload, p.upgrade = tokens(reloadSignals), tokens(upgradeSignals)
	}
	os.Exit(exitCode(p.inherit(ctx, os.Args[1:]), os.Stderr))
}

// inherit takes what another process has handed over, and runs.
func (p *program) inherit(ctx context.Context, args []string) error {
	var err error
	if p.inherited, err = handover.Inherit(); err != nil {
		return err
	}
	return p.run(ctx, args)
}

// watchSignals drains at the first signal and forces at the second. After that
// the system's own way is back: a third one kills.
func watchSignals(drain func(), force chan<- struct{}) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	drain()
	<-signals
	close(force)
	signal.Stop(signals)
}

// tokens has a token when one of the signals has come. Those that come while it has
// one are the same wish.
func tokens(signals []os.Signal) <-chan struct{} {
	if len(signals) == 0 {
		return nil // Notify would take that for all
	}
	came, token := make(chan os.Signal, 1), make(chan struct{}, 1)
	signal.Notify(came, signals...)
	go func() {
		for range came {
			select {
			case token <- struct{}{}:
			default:
			}
		}
	}()
	return token
}

// exitCode says on stderr what went wrong and returns the exit code for it.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	if problems, ok := errors.AsType[config.Problems](err); ok {
		fmt.Fprintln(stderr, problems)
		return exitWrong
	}
	if u, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(stderr, "%v\n%s\n", u, u.hint())
		return exitUsage
	}
	fmt.Fprintln(stderr, "fairlead:", err)
	if errors.Is(err, proxy.ErrForced) {
		return exitDone // it was asked to end, and it said what that cost
	}
	return exitWrong
}
