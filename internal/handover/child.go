package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// Child is a process that was started to take over. Its methods may be called
// from any goroutine.
type Child struct {
	process *os.Process
	in, out *os.File
	sockets []Socket
	started time.Time

	exited  chan struct{} // closed by reap
	status  string        // how it ended; read it after exited
	decided chan struct{} // closed by handOver
	err     error         // nil: it has taken over; read it after decided
	leave   sync.Once
}

// Pid is the process id.
func (c *Child) Pid() int { return c.process.Pid }

// Signal sends a signal to the process. The error is os.ErrProcessDone if it has
// ended.
func (c *Child) Signal(s os.Signal) error { return c.process.Signal(s) }

// Exited is closed when the process has ended, at any time. A process that was
// killed because it wasn't ready has ended too.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Status says how the process ended, "exit status 1" or "signal: killed". It is
// empty until Exited is closed.
func (c *Child) Status() string {
	select {
	case <-c.exited:
		return c.status
	default:
		return ""
	}
}

// Wait waits until the child has taken over or has failed to.
//
// With nil the child is in charge, and goes on when this process ends: close the
// listeners, finish what is in flight, end. Listeners of unix sockets
// won't remove their paths when they are closed, which Wait sees to: don't close
// any listener while it waits. Don't tell systemd that the service is stopping.
//
// With an error this process is in charge as before, and the child has been
// ended. The error says whether it exited (and how), wasn't ready in time, or
// closed its pipe; it wraps what Config.Confirm said, and is the cause of the context's end, if that was it.
func (c *Child) Wait() error {
	<-c.decided
	if c.err != nil {
		return c.err
	}
	c.leave.Do(func() {
		for _, s := range c.sockets {
			if l, ok := s.Conn.(interface{ SetUnlinkOnClose(unlink bool) }); ok {
				l.SetUnlinkOnClose(false)
			}
		}
	})
	return nil
}

// reap waits for the end of the process, as long as that takes, so that it
// leaves no zombie.
func (c *Child) reap() {
	state, err := c.process.Wait()
	if c.status = state.String(); err != nil {
		c.status = err.Error()
	}
	close(c.exited)
	c.interrupt()
}

// interrupt ends reading from the child and writing to it.
func (c *Child) interrupt() {
	_ = c.in.SetDeadline(longAgo)
	_ = c.out.SetDeadline(longAgo)
}

var longAgo = time.Unix(1, 0)

// handOver gives the child what it needs and decides whether it takes over.
func (c *Child) handOver(ctx context.Context, cfg Config, head []byte) {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.Timeout, &timeoutError{cfg.Timeout})
	defer cancel()
	stop := context.AfterFunc(ctx, c.interrupt)
	err := c.agree(head, cfg)
	stop()
	if err != nil {
		c.err = fmt.Errorf("hand over: the new process %d %w", c.Pid(), c.fail(ctx, err))
	}
	_ = c.in.Close()
	_ = c.out.Close()
	close(c.decided)
}

// agree returns nil once the child is in charge.
func (c *Child) agree(head []byte, cfg Config) error {
	for _, b := range [][]byte{head, cfg.State} {
		if _, err := c.out.Write(b); err != nil {
			return err
		}
	}
	var word [1]byte
	if _, err := io.ReadFull(c.in, word[:]); err != nil {
		return err
	}
	if word[0] != sayReady {
		return fmt.Errorf("said %q, not that it is ready", word)
	}
	if cfg.Confirm != nil {
		if err := cfg.Confirm(); err != nil {
			return &refusal{err}
		}
	}
	_, err := c.out.Write([]byte{sayConfirm})
	return err
}

// Times for what takes none, as a rule.
const (
	toExit = time.Second     // for a process whose pipe is closed
	toDie  = 5 * time.Second // for a process that was killed
)

// fail ends the child and says why it didn't take over. It is called before the
// pipes are closed, so that a child never takes a parent that gives up for one
// that has ended.
func (c *Child) fail(ctx context.Context, err error) error {
	_, refused := errors.AsType[*refusal](err)
	closed := err == io.EOF || errors.Is(err, syscall.EPIPE)
	if closed {
		c.hasExited(toExit) // it may be about to, which says more
	}
	switch {
	case refused: // which is why, even if it has ended meanwhile
	case c.hasExited(0):
		return &exitError{c.status, time.Since(c.started)}
	case errors.Is(ctx.Err(), context.Canceled):
		err = fmt.Errorf("was not waited for: %w", context.Cause(ctx))
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case closed:
		err = errors.New("closed its end of the pipe without being ready")
	}
	_ = c.process.Kill()
	if !c.hasExited(toDie) {
		err = fmt.Errorf("%w, and doesn't end though it was killed", err)
	}
	return err
}

// hasExited reports whether the child ends within a time.
func (c *Child) hasExited(within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-c.exited:
		return true
	default:
	}
	select {
	case <-c.exited:
		return true
	case <-t.C:
		return false
	}
}

// refusal is a child that was ready and that Config.Confirm didn't want.
type refusal struct{ error }

func (e *refusal) Error() string { return "was ready, but " + e.error.Error() }

func (e *refusal) Unwrap() error { return e.error }

// exitError is a child that ended by itself.
type exitError struct {
	status string
	after  time.Duration
}

func (e *exitError) Error() string {
	return fmt.Sprintf("ended after %v without being ready: %s; its own log says why", e.after.Round(time.Millisecond), e.status)
}

// timeoutError is a child that took too long.
type timeoutError struct{ limit time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("wasn't ready within %v", e.limit) }

// Unwrap makes it what the end of a context by its deadline is.
func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }
