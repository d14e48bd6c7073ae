package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/filestamp"
	"github.com/fairlead/fairlead/internal/handover"
	"github.com/fairlead/fairlead/internal/systemd"
)

// lookEvery is how often a watched file is looked at. It is read when two looks
// in a row found it the same, so that no half of it is.
const lookEvery = 500 * time.Millisecond

// control reloads and replaces a service while it serves: one thing at a time, in
// the order in which it was asked for.
type control struct {
	*program
	file    string
	service *service
	journal journal

	deciding sync.Mutex // held while it is open whether another process takes over
	left     bool       // guarded by deciding: one has

	cfg    *config.Config   // at work
	loaded filestamp.Stamps // of its files as they were before they were last read
	last   filestamp.Stamps // at the last look
}

// run obeys from when the service has begun until ctx ends or another process has
// taken over.
func (c *control) run(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-c.service.begun:
	}
	// No ticker: of one that is late, the next tick comes too soon for a file to
	// have settled in between.
	look := time.NewTimer(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.reload:
			c.reloadNow(ctx, "SIGHUP")
		case <-look.C:
			if c.cfg.Server.Watch && c.changed() {
				c.reloadNow(ctx, "the file has changed")
			}
			look.Reset(lookEvery)
		case <-c.upgrade:
			if c.handOver(ctx) {
				return
			}
		}
	}
}

// watched are the files that make the configuration.
func watched(file string, cfg *config.Config) []string {
	files := []string{file}
	for i := range cfg.Origins {
		if ca := cfg.Origins[i].CA; ca != "" {
			files = append(files, ca)
		}
	}
	return files
}

// changed reports whether the files have settled on something new.
func (c *control) changed() bool {
	now := filestamp.Of(watched(c.file, c.cfg)...)
	settled := now.Same(c.last)
	c.last = now
	return settled && !now.Same(c.loaded)
}

// read reads the configuration, and tells what its files were before, so that
// no later change is taken for one that was read. Known is the configuration that
// says which files to look at first, or nil.
func read(file string, known *config.Config) (*config.Config, filestamp.Stamps, error) {
	files := []string{file}
	if known != nil {
		files = watched(file, known)
	}
	before := filestamp.Of(files...)
	cfg, err := load(file)
	if err != nil {
		return nil, before, err
	}
	named := watched(file, cfg)
	if slices.Equal(files, named) {
		return cfg, before, nil
	}
	// It names other files, which were read without having been looked at.
	now := filestamp.Of(named...)
	again, err := load(file)
	if err != nil {
		return nil, before, err
	}
	return again, now, nil
}

// reloadNow reads the file and puts it to work, or tells why not.
func (c *control) reloadNow(ctx context.Context, why string) {
	c.journal.notify(systemd.Reloading())
	defer func() {
		if ctx.Err() == nil { // or it was told meanwhile that this is the end
			c.journal.notify(systemd.Ready)
		}
	}()
	begun := time.Now()
	// What is watched stays the same if this is refused, so look at that in any case.
	c.loaded = filestamp.Of(watched(c.file, c.cfg)...)
	cfg, loaded, err := read(c.file, c.cfg)
	if err == nil {
		err = c.service.reload(ctx, cfg)
	}
	if err != nil {
		c.reopenLog()
		c.journal.notReloaded(c.file, why, err)
		return
	}
	c.journal.reloaded(c.cfg, cfg, c.file, why, time.Since(begun))
	c.cfg, c.loaded = cfg, loaded
}

// reopenLog opens the log's file anew without a reload: it may have been moved
// away, and be removed soon, whatever the new configuration is worth.
func (c *control) reopenLog() {
	commit, _, err := c.service.logs.prepare(c.cfg.Log)
	if err != nil {
		c.journal.log.Warn("the log goes on where it was", zap.Error(err))
		return
	}
	commit()
}

// handOver starts the binary anew with this process's sockets. It reports
// whether the new process is in charge, and this one on its way out.
func (c *control) handOver(ctx context.Context) bool {
	c.deciding.Lock()
	defer c.deciding.Unlock()
	if ctx.Err() != nil {
		return false
	}
	c.journal.log.Info("starting the new process")
	c.service.keeper.pause() // the new one writes the state from its start
	child, err := c.inherited.Start(ctx, handover.Config{Sockets: c.service.sockets(), State: c.service.keeper.encode()})
	if err == nil {
		err = child.Wait()
	}
	if err != nil {
		c.service.keeper.resume()
		c.journal.log.Error("the new process has not taken over, this one goes on", zap.Error(err))
		return false
	}
	c.journal.log.Info("the new process has taken over, this one drains", zap.Int("pid", child.Pid()))
	c.left = true
	c.service.leave()
	return true
}

// sockets are those that clients come by, to be handed over.
func (s *service) sockets() []handover.Socket {
	var all []handover.Socket
	addresses, listeners := s.proxy.Sockets()
	for i, l := range listeners {
		all = append(all, handover.Socket{Address: addresses[i], Conn: l.(syscall.Conn)})
	}
	for _, n := range s.names.sockets() {
		all = append(all, handover.Socket{Address: n.address, Conn: n.tcp}, handover.Socket{Address: n.address, Conn: n.udp})
	}
	return all
}

// leave ends the service without hurry: another process has its sockets.
func (s *service) leave() {
	s.names.stopAnswering()
	s.proxy.Leave()
}

// notReloaded tells that the configuration at work stays, and each thing that is
// wrong with the other one.
func (j journal) notReloaded(file, why string, err error) {
	fields := []zap.Field{zap.String("config", file), zap.String("why", why)}
	if problems, ok := errors.AsType[config.Problems](err); ok {
		lines := strings.Split(problems.Error(), "\n")
		if more := len(lines) - maxNames; more > 0 {
			lines = append(lines[:maxNames:maxNames], fmt.Sprintf("and %d more; fairlead check %s prints them all", more, file))
		}
		fields = append(fields, zap.Strings("problems", lines))
	} else {
		fields = append(fields, zap.Error(explainListen(err)))
	}
	j.log.Error("not reloaded, the configuration at work stays", fields...)
}

// reloaded tells what has changed, and what is dangerous about it.
func (j journal) reloaded(old, now *config.Config, file, why string, took time.Duration) {
	fields := []zap.Field{zap.String("config", file), zap.String("why", why), zap.Duration("took", took)}
	j.log.Info("reloaded", append(fields, changes(old, now)...)...)
	j.warn(now)
}

// notify tells the service manager.
func (j journal) notify(states ...systemd.State) {
	if err := systemd.Notify(states...); err != nil {
		j.log.Warn("service manager", zap.Error(err))
	}
}

// bound lists addresses for people.
func bound(addresses []net.Addr) string {
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
