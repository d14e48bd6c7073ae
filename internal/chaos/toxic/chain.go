package toxic

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// chain takes what one side of a connection sends through a slot for each kind of toxic, most of them empty, to the
// other side.
type chain struct {
	first chan *chunk
	slots [kinds]*slot
	last  chan *chunk

	source verdict // of the source's end; valid when first is closed
}

// buffered is how many chunks may be on their way under Latency. More would make a slow reader look like a fast one.
const buffered = 64

func newChain(set *[kinds]func() pipe) *chain {
	c := &chain{first: make(chan *chunk, buffered)}
	input := c.first
	var before *slot
	for i := range c.slots {
		output := make(chan *chunk)
		c.slots[i] = &slot{stub: newStub(input, output), chain: c, input: input, before: before, ended: make(chan struct{}), toxic: set[i]}
		c.slots[i].stub.Interrupt = make(chan struct{}, 1) // so that a change need not wait for who sleeps or writes
		input, before = output, c.slots[i]
	}
	c.last = input
	return c
}

func (c *chain) change(set *[kinds]func() pipe) {
	for i, s := range c.slots {
		s.change(set[i])
	}
}

// run relays until the source or a toxic ends the chain, and returns when every goroutine of it has ended.
func (c *chain) run(w *wire, from, to *net.TCPConn) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { c.read(from) })
	for _, s := range c.slots {
		all.Go(s.run)
	}
	for piece := range c.last {
		if _, err := to.Write(piece.Data); err != nil {
			w.end(false)
			drain(c.last)
			return
		}
	}
	final := c.slots[len(c.slots)-1]
	<-final.ended
	switch final.verdict {
	case sourceEnded:
		_ = to.CloseWrite()
	case cut:
		w.end(false)
	case broken:
		w.end(true)
	}
}

func (c *chain) read(from net.Conn) {
	defer close(c.first)
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			c.first <- &chunk{Data: append([]byte(nil), buf[:n]...), Timestamp: time.Now()}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				c.source = broken // so is the other side then, after what came before
			}
			return
		}
	}
}

// drain takes what nobody wants any more, so that whoever sends it can end.
func drain(input <-chan *chunk) {
	for range input {
	}
}

// verdict is why a slot passes nothing more.
type verdict uint8

const (
	sourceEnded verdict = iota // the source has ended its side, and all that it sent has passed
	cut                        // a toxic closes the connection
	broken                     // a toxic resets it, or the source did
)

// slot is the place of one kind of toxic in a chain.
type slot struct {
	chain   *chain
	stub    *stub
	input   chan *chunk // the stub's
	before  *slot       // nil for the first
	ended   chan struct{}
	verdict verdict // valid when ended is closed

	mu    sync.Mutex
	toxic func() pipe // nil for none
}

// change makes the slot's goroutine take up another toxic as soon as it can.
func (s *slot) change(toxic func() pipe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.toxic == nil && toxic == nil {
		return
	}
	s.toxic = toxic
	select {
	case s.stub.Interrupt <- struct{}{}:
	default: // it has yet to take up the last change, and will find this one
	}
}

func (s *slot) run() {
	for !s.stub.Closed() {
		s.mu.Lock()
		toxic := s.toxic
		s.mu.Unlock()
		if toxic == nil {
			toxic = noToxic
		}
		p := toxic()
		s.stub.State = newState(p)
		p.Pipe(s.stub)
		cleanUp(p, s.stub)
		s.verdict = s.judge(isReset(p))
	}
	close(s.ended)
	drain(s.input)
}

// judge says why the toxic closed the stub.
func (s *slot) judge(resets bool) verdict {
	if !s.stub.Closed() {
		return sourceEnded // not yet
	}
	if resets {
		return broken
	}
	select {
	case _, more := <-s.input:
		if more {
			return cut
		}
	default:
		return cut
	}
	if s.before == nil {
		return s.chain.source
	}
	<-s.before.ended
	return s.before.verdict
}
