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
	creditSmall    = 64  // from so many on they give back creditData at least
	creditSecond   = 33

	// cancelBurst is how many requests a client may cancel at once while they
	// are being served, at least, and cancelSecond what a second gives back.
	cancelBurst  = 200
	cancelSecond = 100
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
	d = min(d, time.Hour)
	c.creditLocked(int(d * creditSecond / time.Second))
	c.cancels = min(c.cancels+int(d*cancelSecond/time.Second), c.srv.cfg.cancels())
}

// cancels is how many requests a client may cancel at once: all of its streams
// twice, so that a page can be left and the next one too.
func (cfg *Config) cancels() int { return max(cancelBurst, 2*cfg.MaxStreams) }

// cancelledLocked charges for a stream that the peer ends, or makes us reset,
// while it is being served: work for an origin and none for the peer. Answers
// don't give that back, or the cheap ones would pay for the dear. A stream whose
// answer is complete costs nothing here.
func (c *Conn) cancelledLocked(s *Stream) error {
	if !s.given || s.sent {
		return nil
	}
	if c.cancels--; c.cancels < 0 {
		return &ConnError{CodeEnhanceYourCalm, "too many cancelled requests"}
	}
	return nil
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
	cancelled := c.cancelledLocked(s)
	c.lostLocked(s)
	c.resetLocked(s, code, err)
	if err := c.faultedLocked(); err != nil {
		return err
	}
	return cancelled
}

func (c *Conn) faultedLocked() error {
	c.doneLocked()
	if c.floodedLocked() {
		return &ConnError{CodeEnhanceYourCalm, "answers are not taken"}
	}
	return c.chargeLocked(costFault, "errors of streams")
}
