package http2

import "runtime"

const (
	// outStart is what a fresh buffer holds.
	outStart = 16 << 10
	// outLimit is from how many gathered bytes on streams have to wait, and
	// outMost what makes a peer that takes no answers too dear to keep.
	outLimit = 64 << 10
	outMost  = 256 << 10
	// writePiece is the most that is written before a slow peer is seen to
	// have taken some.
	writePiece = 32 << 10
)

// outBuffer is what has gathered for one write.
type outBuffer struct{ b []byte }

// orNew returns o, or a buffer from the pool for nil.
func (o *outBuffer) orNew() *outBuffer {
	if o == nil {
		return outPool.Get().(*outBuffer)
	}
	return o
}

func (o *outBuffer) put() {
	o.b = o.b[:0]
	outPool.Put(o)
}

// appendLocked gathers frames and sees that they are written.
func (c *Conn) appendLocked(frames []byte) {
	if c.closing {
		return
	}
	c.out = c.out.orNew()
	c.out.b = append(c.out.b, frames...)
	c.wakeWriterLocked()
}

// roomLocked reports whether streams may add to what has gathered.
func (c *Conn) roomLocked() bool { return c.out == nil || len(c.out.b) < outLimit }

// flooded reports whether the peer makes us answer and takes no answers.
func (c *Conn) floodedLocked() bool { return c.out != nil && len(c.out.b) > outMost }

func (c *Conn) wakeWriterLocked() {
	if c.writerIdle {
		c.writerIdle = false
		c.writeCond.Signal()
	}
}

// writeLoop writes what has gathered until the connection ends. Before it takes
// it, and while streams are open, it lets others run: a response of one of them
// may be ready to leave in the same write, which is a system call and, with TLS,
// a record (BenchmarkRequests).
func (c *Conn) writeLoop() {
	defer close(c.writerDone)
	for {
		o := c.takeOut()
		if o == nil {
			break
		}
		err := c.write(o.b)
		o.put()
		c.mu.Lock()
		if err != nil {
			c.killLocked(err)
			c.mu.Unlock()
			break
		}
		c.passLocked()
		c.mu.Unlock()
	}
	// The reader may be waiting for a client that has nothing more to say.
	_ = c.nc.SetReadDeadline(longAgo)
}

// takeOut waits until there is something to write. nil means that there will be
// nothing more.
func (c *Conn) takeOut() *outBuffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.out == nil {
		if c.closing {
			return nil
		}
		c.writerIdle = true
		c.writeCond.Wait()
	}
	c.writerIdle = false
	if c.open > 0 && !c.closing {
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	o := c.out
	c.out = nil
	return o
}

// write writes all of p, in pieces.
func (c *Conn) write(p []byte) error {
	for len(p) > 0 {
		c.wrote.Add(1)
		n, err := c.nc.Write(p[:min(len(p), writePiece)])
		c.wrote.Add(1)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}
