// Package asyncwriter puts a bounded buffer and one goroutine between a logger
// and its file, so that a slow or full disk never makes a request wait.
//
//	w := asyncwriter.New(file, asyncwriter.Config{})
//	logger := zap.New(zapcore.NewCore(encoder, w, level))
//	...
//	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
//	defer cancel()
//	err := w.Close(ctx) // then close the file
//
// A line that fits the buffer is accepted and will be written, whole and in
// order, as soon as the file takes it: after an error the writer goes on where it
// stopped, so a disk that was full for a minute leaves no torn line behind. A line
// that does not fit is dropped, whole, and counted. While the file is stuck it is
// thus the newest lines that are lost, and what the log shows is the start of the
// trouble.
//
// The package refuses to block in Write, to grow, to rotate files and to close
// the file, which stays its owner's.
package asyncwriter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultMaxBytes      = 4 << 20
	defaultFlushInterval = 20 * time.Millisecond

	// syncTimeout bounds Sync, which a logger calls on its way to a panic or to
	// os.Exit.
	syncTimeout = time.Second
)

// ErrSyncTimeout is returned by Sync when the underlying writer is too slow.
var ErrSyncTimeout = errors.New("asyncwriter: sync timeout")

// Config sizes a Writer. Its zero value gives the defaults.
type Config struct {
	// MaxBytes is the memory for lines that are not written yet; half of it
	// collects new lines while the other half is being written. A line longer
	// than half of it is always dropped. Zero or less means 4 MiB.
	MaxBytes int

	// FlushInterval is how long a line waits for others to share its write
	// with. The wait ends early when half the buffer is full, and for Sync and
	// Close. Zero or less means 20ms.
	FlushInterval time.Duration
}

// A Writer is an io.Writer for a logger, with the Sync method that zap wants.
// Make one with New and end it with Close. All methods may be called from any
// goroutine.
type Writer struct {
	dst      io.Writer
	interval time.Duration
	dropped  atomic.Uint64

	wake  chan struct{} // one token: lines came into an empty buffer
	hurry chan struct{} // one token: don't wait for more
	stop  chan struct{} // closed by Close: write what is left and end
	quit  chan struct{} // closed by Close when its context ends: end now
	done  chan struct{} // closed when the goroutine has ended

	closing bool // belongs to the goroutine: stop was seen

	mu      sync.Mutex // guards what follows
	pending []byte     // whole lines; never grows past its capacity
	in, out uint64     // bytes accepted, and written or given up, ever
	syncs   []syncCall
	closed  bool
	gaveUp  bool
}

// A syncCall is a Sync that waits until out has reached target.
type syncCall struct {
	target uint64
	done   chan struct{}
}

// New returns a Writer that writes to dst from a goroutine of its own, which
// lives until Close. Nothing else may write to dst meanwhile, unless dst keeps
// whole writes apart, as a file opened for appending does.
func New(dst io.Writer, cfg Config) *Writer {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.FlushInterval <= 0 {
		cfg.FlushInterval = defaultFlushInterval
	}
	half := cfg.MaxBytes / 2
	w := &Writer{
		dst:      dst,
		interval: cfg.FlushInterval,
		wake:     make(chan struct{}, 1),
		hurry:    make(chan struct{}, 1),
		stop:     make(chan struct{}),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
		pending:  make([]byte, 0, half),
	}
	go w.run(make([]byte, 0, half))
	return w
}

// Write accepts p, one line with its line feed, or drops and counts it. It
// copies p, never blocks on the underlying writer and never fails: it always
// returns len(p) and nil, since a logger has nobody to tell. After Close every
// line is dropped.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	before, limit := len(w.pending), cap(w.pending)
	accepted := !w.closed && len(p) <= limit-before
	if accepted {
		w.pending = append(w.pending, p...)
		w.in += uint64(len(p))
	}
	after := len(w.pending)
	w.mu.Unlock()

	if !accepted {
		w.drop(p)
		return len(p), nil
	}
	if before == 0 {
		signal(w.wake)
	}
	if before <= limit/2 && after > limit/2 {
		signal(w.hurry)
	}
	return len(p), nil
}

// Dropped returns how many lines were dropped since New.
func (w *Writer) Dropped() uint64 { return w.dropped.Load() }

// Sync waits until all lines accepted before the call have been written (or
// given up by a Close that ran out of time), for a second at most: then it returns
// ErrSyncTimeout. It does not ask the system to put them on the disk.
func (w *Writer) Sync() error {
	w.mu.Lock()
	if w.out == w.in {
		w.mu.Unlock()
		return nil
	}
	call := syncCall{target: w.in, done: make(chan struct{})}
	w.syncs = append(w.syncs, call)
	w.mu.Unlock()
	signal(w.hurry)

	timeout := time.NewTimer(syncTimeout)
	defer timeout.Stop()
	select {
	case <-call.done:
		return nil
	case <-timeout.C:
		return ErrSyncTimeout
	}
}

// Close refuses new lines, writes those it has and ends the goroutine. While
// the underlying writer fails, Close goes on trying until ctx ends; then it gives
// the rest up, counts it as dropped and returns an error that wraps ctx's cause. If
// the underlying writer hangs in a Write even then, the goroutine ends when that
// returns; until it does, the underlying writer is in use and what it was given is
// not counted. Closing again waits in the same way.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.stop)
	}
	w.mu.Unlock()

	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		if w.giveUp() {
			return fmt.Errorf("close log: lines left unwritten: %w", context.Cause(ctx))
		}
		return nil
	}
}

// giveUp tells the goroutine to end now, drops the lines that it has not taken
// yet, and reports whether any line was left.
func (w *Writer) giveUp() (left bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.gaveUp {
		w.gaveUp = true
		close(w.quit)
	}
	left = w.out < w.in
	w.drop(w.pending)
	w.advanceLocked(len(w.pending))
	w.pending = w.pending[:0]
	return left
}

// advanceLocked notes that n more bytes are done with.
func (w *Writer) advanceLocked(n int) {
	w.out += uint64(n)
	w.syncs = slices.DeleteFunc(w.syncs, func(c syncCall) bool {
		if c.target > w.out {
			return false
		}
		close(c.done)
		return true
	})
}

// drop counts the lines of p, of which the last may lack its line feed.
func (w *Writer) drop(p []byte) {
	lines := bytes.Count(p, newline)
	if len(p) > 0 && !bytes.HasSuffix(p, newline) {
		lines++
	}
	w.dropped.Add(uint64(lines))
}

var newline = []byte{'\n'}

// signal leaves a token in c unless there is one already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
