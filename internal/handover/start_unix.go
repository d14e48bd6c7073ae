//go:build unix

package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Start starts the program of this process anew, with the same arguments,
// environment and working directory, and hands cfg over to it. The file is the
// one that is found now where this process was started from. Wait says
// how it goes; the end of ctx before that ends the child.
//
// It returns an error if no child could be started. Nothing has changed then,
// and it may be tried again. One child at a time, and none after one that has
// taken over. A process that has a parent must be Ready itself.
func (s *Sockets) Start(ctx context.Context, cfg Config) (*Child, error) {
	c, err := s.start(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("hand over: %w", err)
	}
	return c, nil
}

func (s *Sockets) start(ctx context.Context, cfg Config) (*Child, error) {
	if s == nil || s.program == "" && s.programErr == nil {
		return nil, errNoInherit
	}
	if s.programErr != nil {
		return nil, s.programErr
	}
	if os.Getpid() == 1 {
		return nil, errors.New("this is process 1, whose end would end every other: replace the container instead")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayStartLocked(); err != nil {
		return nil, err
	}
	head, err := s.manifestLocked(cfg).encode()
	if err != nil {
		return nil, err
	}
	c, err := s.spawn(cfg)
	if err != nil {
		return nil, err
	}
	s.child = c
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	go c.reap()
	go c.handOver(ctx, cfg, head)
	return c, nil
}

func (s *Sockets) mayStartLocked() error {
	if !s.inCharge {
		return errors.New("this process is not ready itself")
	}
	if s.child == nil {
		return nil
	}
	select {
	case <-s.child.decided:
		if s.child.err == nil {
			return fmt.Errorf("process %d has taken over already", s.child.Pid())
		}
		return nil
	default:
		return fmt.Errorf("process %d is about to take over", s.child.Pid())
	}
}

func (s *Sockets) manifestLocked(cfg Config) *manifest {
	m := &manifest{Sockets: make([]entry, len(cfg.Sockets)), State: len(cfg.State)}
	for i, socket := range cfg.Sockets {
		m.Sockets[i] = entry{Address: socket.Address, Managed: s.managed[socket.Address]}
	}
	return m
}

// spawn starts the process. What it inherits is closed here again, whatever
// happens.
func (s *Sockets) spawn(cfg Config) (*Child, error) {
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr}
	defer func() {
		for _, f := range files[3:] {
			_ = f.Close()
		}
	}()
	childIn, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	files = append(files, childIn)
	in, childOut, err := os.Pipe()
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	files = append(files, childOut)
	process, err := s.startProcess(files, cfg.Sockets)
	if err != nil {
		_ = out.Close()
		_ = in.Close()
		return nil, err
	}
	return &Child{
		process: process, in: in, out: out, sockets: cfg.Sockets, started: time.Now(),
		exited: make(chan struct{}), decided: make(chan struct{}),
	}, nil
}

// startProcess starts the process with files and with duplicates of sockets.
func (s *Sockets) startProcess(files []*os.File, sockets []Socket) (*os.Process, error) {
	var dups []*os.File
	defer func() {
		for _, f := range dups {
			_ = f.Close()
		}
	}()
	for _, socket := range sockets {
		dup, err := duplicate(socket.Conn)
		if err != nil {
			return nil, fmt.Errorf("duplicate the socket of %s: %w", socket.Address, err)
		}
		dups = append(dups, dup)
	}
	return os.StartProcess(s.program, os.Args, &os.ProcAttr{
		Env:   childEnvironment(os.Environ(), len(sockets)),
		Files: append(slices.Clip(files), dups...),
	})
}
