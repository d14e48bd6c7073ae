package handover

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// ErrParentGone says that the parent ended before it confirmed that this process
// is in charge. Nobody else has the sockets then: serve.
var ErrParentGone = errors.New("the process that handed the sockets over has ended without confirming it")

// Bytes by which the two processes agree.
const (
	sayReady   = 'r' // the child: I am ready
	sayConfirm = 'c' // the parent: you are in charge
)

// patience is how long this process waits for what a living parent does at once.
const patience = 10 * time.Second

// Parent is the process that hands its sockets over to this one, seen from here.
type Parent struct {
	in, out *os.File
	charge  func()

	once  sync.Once
	err   error
	state []byte // until Ready
}

// State is what the parent gave as Config.State, until Ready is called.
func (p *Parent) State() []byte { return p.state }

// Ready tells the parent that this process is ready to serve, and waits for the
// parent's word that it is in charge from now on. Call it last, from one
// goroutine, when nothing can fail any more. The end of the process without
// it leaves the parent in charge.
//
// After ErrParentGone the process is in charge too. After any other error the
// parent is: end the process. Calling it again returns the same.
func (p *Parent) Ready() error {
	p.once.Do(func() {
		p.err = p.agree()
		p.state = nil
		_ = p.in.Close()
		_ = p.out.Close()
		if p.err == nil || errors.Is(p.err, ErrParentGone) {
			p.charge()
		}
	})
	return p.err
}

func (p *Parent) agree() error {
	_ = p.in.SetReadDeadline(time.Now().Add(patience))
	if _, err := p.out.Write([]byte{sayReady}); errors.Is(err, syscall.EPIPE) {
		return ErrParentGone
	} else if err != nil {
		return fmt.Errorf("tell the parent that this process is ready: %w", err)
	}
	var answer [1]byte
	switch _, err := io.ReadFull(p.in, answer[:]); {
	case err == io.EOF:
		return ErrParentGone // a parent that gave up would have killed us first
	case err != nil:
		return fmt.Errorf("wait for the parent to confirm the hand-over: %w", err)
	case answer[0] != sayConfirm:
		return fmt.Errorf("the parent said %q, not that it confirms the hand-over", answer)
	}
	return nil
}
