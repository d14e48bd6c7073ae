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
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/filestamp"
	"github.com/fairlead/fairlead/internal/handover"
	"github.com/fairlead/fairlead/internal/systemd"
)

// lookEvery is how often a watched file is looked at. It is read when two looks
// in a row found it the same, so that no half of it is.
const lookEvery = 500 * time.Millisecond

// control reloads and replaces a service while it serves: one thing at a time.
// What it is asked for meanwhile waits, and two wishes of a kind are one. Where a
// reload and an upgrade wait, either may come first: a reload that is left over
// when another process has taken over is done by that.
type control struct {
	*program
	file    string
	service *service
	journal journal

	deciding sync.Mutex // held while it is open whether another process takes over
	left     bool       // guarded by deciding: one has
	ending   bool       // guarded by deciding: none will, since this one ends

	operator *operator
	asks     <-chan reloadAsk // reloads that somebody waits for
	gone     chan<- struct{}  // closed once nobody obeys any more

	cfg    *config.Config   // at work
	loaded look             // at its files before they were last read; of more of them while the last reload failed
	last   filestamp.Stamps // of the same at the last look
}

// look is what files were at one time.
type look struct {
	files  []string
	stamps filestamp.Stamps
}

func lookAt(files []string) look { return look{files, filestamp.Of(files...)} }

// and looks at those of the files that it has not.
func (l look) and(files []string) look {
	for _, f := range files {
		if !slices.Contains(l.files, f) {
			l = look{append(slices.Clip(l.files), f), append(slices.Clip(l.stamps), filestamp.Of(f)...)}
		}
	}
	return l
}

// run obeys from when the service has begun until ctx ends or another process has
// taken over.
func (c *control) run(ctx context.Context) {
	defer close(c.gone)
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
			_, _ = c.reloadNow(ctx, "SIGHUP")
		case a := <-c.asks:
			changed, err := c.reloadNow(ctx, a.by)
			a.reply <- reloadAnswer{changed, err}
		case <-look.C:
			if c.cfg.Server.Watch && c.changed() {
				_, _ = c.reloadNow(ctx, "the file has changed")
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
	now := filestamp.Of(c.loaded.files...)
	settled := now.Same(c.last)
	c.last = now
	return settled && !now.Same(c.loaded.stamps)
}

// read reads the configuration, and tells what its files were before, so that
// no later change is taken for one that was read. Known is the configuration that
// says which files to look at first, or nil. After an error the look is also at
// the files that were looked for: one of them may be missing.
func read(file string, known *config.Config) (reading, look, error) {
	files := []string{file}
	if known != nil {
		files = watched(file, known)
	}
	looked := lookAt(files)
	for try := 1; ; try++ {
		r, named, err := loadNaming(file)
		files := looked.and(named).files
		if err == nil {
			files = watched(file, r.cfg)
		}
		if slices.Equal(looked.files, files) || try == 3 {
			return r, looked, err
		}
		looked = lookAt(files) // which were read without having been looked at
	}
}

// reloadNow reads the file and puts it to work, or tells why not.
func (c *control) reloadNow(ctx context.Context, why string) (changed []string, err error) {
	c.notify(ctx, systemd.Reloading())
	begun := time.Now()
	r, loaded, err := read(c.file, c.cfg)
	c.loaded = loaded
	if err == nil {
		err = c.service.reload(ctx, r.cfg)
	}
	switch {
	case err == nil:
		c.journal.reloaded(c.cfg, r.cfg, c.file, why, time.Since(begun))
		changed = changedLines(c.cfg, r.cfg)
		c.cfg = r.cfg
		c.operator.reloadEnded(r.fingerprint, nil)
		c.operator.tell(adminapi.Event{Kind: "reload", Level: "info", By: why, Cause: strings.Join(changed, "; "), Text: "the configuration was reloaded"})
	case ctx.Err() != nil:
		c.reopenLog()
		c.journal.log.Info("the reload is given up, since this process ends", zap.String("config", c.file), zap.NamedError("result", err))
	default:
		c.reopenLog()
		c.service.readCertificates()
		c.journal.notReloaded(c.file, why, err)
		c.operator.reloadEnded("", err)
		c.operator.tell(adminapi.Event{Kind: "reload_failed", Level: "error", By: why, Cause: firstLine(err), Text: "not reloaded, the configuration at work stays"})
	}
	c.notify(ctx, systemd.Ready, serving(c.service.addresses()))
	return changed, err
}

// firstLine is the first line of an error: of many problems, one.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// notify tells the service manager, unless it has been told, or is about to be,
// that the service stops: that is the last word.
func (c *control) notify(ctx context.Context, states ...systemd.State) {
	c.deciding.Lock()
	defer c.deciding.Unlock()
	if ctx.Err() == nil && !c.ending {
		c.journal.notify(states...)
	}
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
	c.service.setHanding(true)
	c.service.keeper.pause() // the new one writes the state from its start
	child, err := c.startChild(ctx)
	for try := 1; errors.Is(err, errMoved) && try < maxStarts && ctx.Err() == nil; try++ {
		c.journal.log.Info("the new process is started again", zap.NamedError("why", err))
		child, err = c.startChild(ctx)
	}
	if err != nil {
		c.service.keeper.resume()
		c.service.setHanding(false)
		if ctx.Err() != nil {
			c.journal.log.Info("the upgrade is given up, since this process ends", zap.NamedError("result", err))
		} else {
			c.journal.log.Error("the new process has not taken over, this one goes on", zap.Error(err))
		}
		return false
	}
	c.journal.log.Info("the new process has taken over, this one drains", zap.Int("pid", child.Pid()))
	c.left = true
	c.service.leave()
	c.passOn(child)
	return true
}

// maxStarts is how often a new process is started for one upgrade, at most.
const maxStarts = 3

// errMoved is a new process that would begin with pointers as they were.
var errMoved = errors.New("what is known of the groups has changed since its start; send the signal again when they are calm")

// startChild starts a process and waits until it is in charge, which it is not if
// the groups' state has changed meanwhile.
func (c *control) startChild(ctx context.Context) (*handover.Child, error) {
	was := c.service.keeper.present()
	child, err := c.inherited.Start(ctx, handover.Config{Sockets: c.service.sockets(), State: c.service.keeper.encode(was), Confirm: func() error {
		if !slices.Equal(was.Groups, c.service.keeper.present().Groups) {
			return errMoved
		}
		return nil
	}})
	if err == nil {
		err = child.Wait()
	}
	return child, err
}

// passOn lets the new process do the reload that this one was asked for while it
// was busy: the new one may have read the file before that.
func (c *control) passOn(child *handover.Child) {
	select {
	case <-c.reload:
		if err := child.Signal(syscall.SIGHUP); err != nil {
			c.journal.log.Error("the new process can't be asked to reload; send it SIGHUP", zap.Int("pid", child.Pid()), zap.Error(err))
		}
	default:
	}
}

// sockets are those that clients come by, to be handed over.
func (s *service) sockets() []handover.Socket {
	var all []handover.Socket
	addresses, listeners := s.proxy.Sockets()
	for i, l := range listeners {
		all = append(all, handover.Socket{Address: addresses[i], Conn: l.(syscall.Conn)})
	}
	if s.admin != nil {
		if address, l := s.admin.Socket(); l != nil {
			all = append(all, handover.Socket{Address: address, Conn: l.(syscall.Conn)})
		}
	}
	for _, n := range s.names.sockets() {
		all = append(all, handover.Socket{Address: n.address, Conn: n.tcp}, handover.Socket{Address: n.address, Conn: n.udp})
	}
	return all
}

// setHanding says whether another process takes over. When it returns, no change
// by hand is under way.
func (s *service) setHanding(handing bool) {
	s.steering.Lock()
	defer s.steering.Unlock()
	s.handing = handing
	if handing { // the other process knows of none
		s.proxy.EndDrills(failover.DrillUpgrade)
	}
}

// addresses are those that clients come to.
func (s *service) addresses() (all []net.Addr) {
	_, listeners := s.proxy.Sockets()
	for _, l := range listeners {
		all = append(all, l.Addr())
	}
	return all
}

// leave ends the service without hurry: another process has its sockets.
func (s *service) leave() {
	s.names.stopAnswering()
	if s.admin != nil {
		s.admin.Leave()
	}
	s.proxy.Leave()
}

// notReloaded tells that the configuration at work stays, and each thing that is
// wrong with the other one.
func (j journal) notReloaded(file, why string, err error) {
	fields := []zap.Field{zap.String("config", file), zap.String("why", why)}
	if lines := problemsOf(err); len(lines) > 0 {
		if more := len(lines) - maxNames; more > 0 {
			lines = append(lines[:maxNames:maxNames], fmt.Sprintf("and %d more; fairlead check %s prints them all", more, file))
		}
		fields = append(fields, zap.Strings("problems", lines))
	} else {
		fields = append(fields, zap.Error(explainListen(err)))
	}
	j.log.Error("not reloaded, the configuration at work stays", fields...)
}

// problemsOf are the mistakes of a configuration, one line each; none if err is
// something else.
func problemsOf(err error) []string {
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return strings.Split(problems.Error(), "\n")
	}
	return nil
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

// serving is what the service manager shows of a process that serves.
func serving(addresses []net.Addr) systemd.State {
	return systemd.Status("serving on " + bound(addresses))
}

// bound lists addresses for people.
func bound(addresses []net.Addr) string {
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
