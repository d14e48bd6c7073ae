package asyncwriter

import "time"

// The pause after a failed write doubles from minBackoff to maxBackoff.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second
)

// run is the goroutine: it swaps the collecting buffer with its own and writes
// what it got, until Close.
func (w *Writer) run(own []byte) {
	defer close(w.done)
	for w.await() {
		own = w.flush(own)
	}
	w.flush(own) // closed is set, so nothing comes after this
}

// await returns true when it is time to write, and false when Close was
// called. A token that is left over from a write that is done makes one empty
// flush, no harm.
func (w *Writer) await() bool {
	if w.closing {
		return false
	}
	select {
	case <-w.wake:
	case <-w.hurry:
		return true
	case <-w.stop:
		return false
	}
	more := time.NewTimer(w.interval)
	defer more.Stop()
	select {
	case <-more.C:
		return true
	case <-w.hurry:
		return true
	case <-w.stop:
		return false
	}
}

// flush writes the lines collected so far, leaves own, which is empty, to
// collect the next ones, and returns the buffer that it emptied.
func (w *Writer) flush(own []byte) []byte {
	w.mu.Lock()
	batch := w.pending
	w.pending = own[:0]
	w.mu.Unlock()

	w.write(batch)
	return batch[:0]
}

// write writes all of batch, however often it takes, unless Close gives up.
// What the underlying writer took of a batch it failed on is not written again, so
// a torn line is mended when it recovers. The pauses between tries begin anew with
// each batch.
func (w *Writer) write(batch []byte) {
	backoff := minBackoff
	for len(batch) > 0 {
		n, err := w.dst.Write(batch)
		n = min(max(n, 0), len(batch))
		w.mu.Lock()
		w.advanceLocked(n)
		w.mu.Unlock()
		batch = batch[n:]
		if err == nil && n > 0 || len(batch) == 0 {
			continue
		}
		if !w.pause(backoff) {
			w.mu.Lock()
			w.drop(batch)
			w.advanceLocked(len(batch))
			w.mu.Unlock()
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// pause waits before the next try, and returns false if there is none. Close
// cuts the pause short once, and later ones stay short: its caller waits.
func (w *Writer) pause(d time.Duration) bool {
	stop := w.stop
	if w.closing {
		stop, d = nil, minBackoff
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		w.closing = true
		return true
	case <-w.quit:
		return false
	}
}
