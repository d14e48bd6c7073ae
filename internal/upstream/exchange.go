package upstream

import "io"

// Exchange writes req, waits for the origin and reads once what it answers
// into buf. It is Write and Read in one, and on Linux, without TLS, it costs
// two system calls where those cost three.
//
// n is more than zero if err is nil, and zero otherwise. A [*WriteError] means
// that the request did not go out whole, and tells whether any of it did. After any other
// error (io.EOF, os.ErrDeadlineExceeded, a reset) all of it did. If the origin
// refuses a long request before it has read it, answering and hanging up,
// the answer is read and err is nil, but the connection won't be pooled again.
//
// req and buf must not be the same memory and buf must not be empty. Neither
// is kept. While Exchange runs, no other goroutine may Read or Write.
//
// See [Conn.Nudge] for what somebody else has to do while it waits for long.
func (c *Conn) Exchange(req, buf []byte) (n int, err error) {
	if len(buf) == 0 {
		return 0, &WriteError{Err: io.ErrShortBuffer}
	}
	return c.finish(c.exchange(req, buf, nil))
}

// ExchangeInto is Exchange into a buffer that it asks for only when, as far as
// the system lets it know, there is something to read: so who waits for an
// origin holds no buffer. buffer must not return an empty slice.
func (c *Conn) ExchangeInto(req []byte, buffer func() []byte) (n int, err error) {
	return c.finish(c.exchange(req, nil, buffer))
}

func (c *Conn) finish(n int, err error) (int, error) {
	if err != nil {
		c.spent = true
	}
	return n, err
}

// Nudge makes an Exchange that is waiting look once whether there is something
// to read. It must be called for each Exchange that has been waiting for,
// say, 50 ms; whether before, once or repeatedly does not matter, as it acts
// on an Exchange at most once and on nothing else.
//
// Without it, an Exchange on a pooled connection that the origin half closed
// before may sleep until its deadline; why, is told in exchange_linux.go. Safe
// to call from any goroutine, at any time; it never blocks for long.
func (c *Conn) Nudge() { c.nudge() }

// writeThenRead is the plain way; the first sent bytes of req are out already.
func (c *Conn) writeThenRead(req []byte, sent int, buf []byte, buffer func() []byte) (int, error) {
	if sent < len(req) {
		n, err := c.write(req[sent:])
		if err != nil {
			return c.readRefusal(buf, buffer, &WriteError{Sent: sent + n, Err: err})
		}
	}
	if buf == nil {
		buf = buffer()
	}
	return c.Read(buf)
}

// readRefusal reads what an origin said before it stopped reading, as one does
// that finds a request too long: the write fails, yet the answer is there. If
// nothing was sent then nothing that is there can be an answer.
func (c *Conn) readRefusal(buf []byte, buffer func() []byte, failed *WriteError) (int, error) {
	if failed.Sent == 0 {
		return 0, failed
	}
	if buf == nil {
		buf = buffer()
	}
	n, _ := c.Read(buf)
	if n == 0 {
		return 0, failed
	}
	c.spent = true
	return n, nil
}
