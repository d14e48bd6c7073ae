//go:build !linux

package upstream

// call is what a Conn needs for Exchange beyond its socket: here, nothing.
type call struct{}

func (c *Conn) prepareCall() {}

func (c *Conn) exchange(req, buf []byte, buffer func() []byte) (int, error) {
	return c.writeThenRead(req, 0, buf, buffer)
}

// nudge has nothing to do: a plain Read looks before it waits.
func (c *Conn) nudge() {}
