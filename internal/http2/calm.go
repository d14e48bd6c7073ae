package http2

import "time"

// What frames cost, and what gives it back, see Config.Patience.
const (
	costFrame    = 1
	costReset    = 2
	costSettings = 10
	costFault    = 10

	creditResponse = 2
	creditData     = 2
	creditBytes    = 128 // so many bytes of a window that cut a frame short give one back
	creditSecond   = 33
)

// charge takes from what the peer may cost. what is told it when that is used up.
func (c *Conn) charge(n int, what string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.chargeLocked(n, what)
}

func (c *Conn) chargeLocked(n int, what string) error {
	if c.credit -= n; c.credit < 0 {
		return &ConnError{CodeEnhanceYourCalm, "too many " + what}
	}
	return nil
}

// creditLocked gives back.
func (c *Conn) creditLocked(n int) { c.credit = min(c.credit+n, c.srv.cfg.Patience) }

// creditTimeLocked gives back for time that has passed.
func (c *Conn) creditTimeLocked(d time.Duration) {
	c.creditLocked(int(min(d, time.Hour) * creditSecond / time.Second))
}

// answerLocked sends a frame that the peer has asked for.
func (c *Conn) answerLocked(frame []byte) error {
	if c.floodedLocked() {
		return &ConnError{CodeEnhanceYourCalm, "answers are not taken"}
	}
	c.appendLocked(frame)
	return nil
}

// faultLocked resets a stream for what the peer did on it. err is what the
// handler will get.
func (c *Conn) faultLocked(s *Stream, code ErrCode, err error) error {
	c.lostLocked(s)
	c.resetLocked(s, code, err)
	return c.faultedLocked()
}

func (c *Conn) faultedLocked() error {
	c.doneLocked()
	if c.floodedLocked() {
		return &ConnError{CodeEnhanceYourCalm, "answers are not taken"}
	}
	return c.chargeLocked(costFault, "errors of streams")
}
