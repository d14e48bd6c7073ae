package http2

import "encoding/binary"

// stage is what the reader waits for, as far as time is concerned.
type stage uint64

const (
	stageRest stage = iota // the next frame
	stageHead              // the preface, the rest of a frame or of a field block
	stageData              // the rest of a DATA frame

	stageBits = 2
	stageMask = 1<<stageBits - 1
)

// publish tells the tick what the reader waits for; need is what takeInput said.
func (c *Conn) publish(need int) {
	st := stageRest
	switch {
	case c.data.rest():
		st = stageData
	case !c.settled || c.block.active || len(c.in.unread()) > 0 || need > frameHead:
		st = stageHead
	}
	c.mark.Store(c.units<<stageBits | uint64(st))
	if st != stageRest && c.resting.Load() {
		c.wakeTick()
	}
}

// takeInput takes every frame that is here whole. It returns how many bytes
// have to be here for the next step.
func (c *Conn) takeInput() (need int, err error) {
	if !c.greeted {
		if need, err := c.takePreface(); need > 0 || err != nil {
			return need, err
		}
	}
	in := &c.in
	for {
		p := in.unread()
		if c.data.rest() {
			if len(p) == 0 {
				return 1, nil
			}
			in.r += c.takeData(p)
			continue
		}
		if len(p) < frameHead {
			return frameHead, nil
		}
		h := parseFrameHeader(p)
		if err := c.expect(&h); err != nil {
			return 0, err
		}
		whole := frameHead + h.length
		if h.typ == frameData {
			whole = frameHead // the rest is taken as it comes
			if h.has(flagPadded) {
				whole += min(h.length, 1)
			}
		}
		if len(p) < whole {
			return whole, nil
		}
		if !c.block.active {
			c.units++ // the rest of a block is no progress, or it might never end
		}
		if h.typ == frameData {
			n, err := c.beginData(&h, p[frameHead:])
			if err != nil {
				return 0, err
			}
			in.r += frameHead + n
			continue
		}
		in.r += whole
		if err := c.takeFrame(&h, p[frameHead:whole]); err != nil {
			return 0, err
		}
	}
}

// takePreface takes what a client must send first (RFC 9113, 3.4).
func (c *Conn) takePreface() (need int, err error) {
	p := c.in.unread()
	n := min(len(p), len(preface))
	if string(p[:n]) != preface[:n] {
		return 0, &ConnError{CodeProtocol, "not an HTTP/2 preface"}
	}
	if n < len(preface) {
		return len(preface), nil
	}
	c.in.r += n
	c.greeted = true
	return 0, nil
}

// expect checks what can be checked before the payload is here: the frame's
// size (RFC 9113, 4.2) and its place (3.4, 6.10).
func (c *Conn) expect(h *frameHeader) error {
	switch {
	case h.length > maxFrame:
		return &ConnError{CodeFrameSize, "frame is too large"}
	case !c.settled && (h.typ != frameSettings || h.has(flagAck)):
		return &ConnError{CodeProtocol, "the first frame is not SETTINGS"}
	case c.block.active && (h.typ != frameContinuation || h.id != c.block.id):
		return &ConnError{CodeProtocol, "a field block was interrupted"}
	case !c.block.active && h.typ == frameContinuation:
		return &ConnError{CodeProtocol, "CONTINUATION without a field block"}
	}
	return nil
}

// takeFrame takes a whole frame that is not DATA.
func (c *Conn) takeFrame(h *frameHeader, p []byte) error {
	switch h.typ {
	case frameHeaders:
		return c.takeHeaders(h, p)
	case frameContinuation:
		return c.takeBlock(p, h.has(flagEndHeaders))
	case frameSettings:
		return c.takeSettings(h, p)
	case framePing:
		return c.takePing(h, p)
	case frameReset:
		return c.takeReset(h, p)
	case frameWindowUpdate:
		return c.takeWindowUpdate(h, p)
	case frameGoAway:
		return c.takeGoAway(h, p)
	case framePriority:
		return c.takePriority(h, p)
	case framePushPromise:
		return &ConnError{CodeProtocol, "a client can't push"}
	}
	return c.charge(costFrame, "frames of unknown types")
}

// takeSettings applies the peer's settings and says so (RFC 9113, 6.5).
func (c *Conn) takeSettings(h *frameHeader, p []byte) error {
	switch {
	case h.id != 0:
		return &ConnError{CodeProtocol, "SETTINGS on a stream"}
	case h.has(flagAck) && len(p) > 0, len(p)%6 != 0:
		return &ConnError{CodeFrameSize, "SETTINGS of an impossible length"}
	case h.has(flagAck):
		return c.charge(costFrame, "settings")
	}
	if c.settled {
		// A list of many settings is work too.
		if err := c.charge(costSettings+len(p)/6, "settings"); err != nil {
			return err
		}
	}
	c.settled = true
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; len(p) > 0; p = p[6:] {
		if err := c.applyLocked(settingID(binary.BigEndian.Uint16(p)), binary.BigEndian.Uint32(p[2:])); err != nil {
			return err
		}
	}
	return c.answerLocked(appendSettingsAck(c.scratch[:0]))
}

// applyLocked applies one setting (RFC 9113, 6.5.2). The size of a dynamic
// table doesn't matter to an encoder that has none.
func (c *Conn) applyLocked(id settingID, v uint32) error {
	switch id {
	case settingPush, settingConnectProtocol, settingNoPriorities:
		if v > 1 {
			return &ConnError{CodeProtocol, "a setting is neither on nor off"}
		}
	case settingInitialWindow:
		if v > maxWindow {
			return &ConnError{CodeFlowControl, "initial window is too large"}
		}
		return c.resizeLocked(int(v))
	case settingMaxFrame:
		if v < maxFrame || v > 1<<24-1 {
			return &ConnError{CodeProtocol, "impossible maximum frame size"}
		}
	}
	return nil
}

// resizeLocked changes the windows of every stream towards the peer, which may
// become negative (RFC 9113, 6.9.2).
func (c *Conn) resizeLocked(size int) error {
	by := size - c.peerWindow
	c.peerWindow = size
	if by == 0 {
		return nil
	}
	for s := range c.table.all() {
		if s.window += by; s.window > maxWindow {
			return &ConnError{CodeFlowControl, "window is too large"}
		}
		if s.window > 0 {
			s.writable.Signal()
		}
	}
	return nil
}

// takePing answers a ping (RFC 9113, 6.7).
func (c *Conn) takePing(h *frameHeader, p []byte) error {
	switch {
	case h.id != 0:
		return &ConnError{CodeProtocol, "PING on a stream"}
	case len(p) != 8:
		return &ConnError{CodeFrameSize, "PING of an impossible length"}
	}
	if err := c.charge(costFrame, "pings"); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !h.has(flagAck) {
		return c.answerLocked(appendPing(c.scratch[:0], flagAck, p))
	}
	if c.draining && string(p) == string(drainPing[:]) {
		c.finalLocked()
	}
	return nil
}

// takeReset ends a stream at the client's wish (RFC 9113, 6.4).
func (c *Conn) takeReset(h *frameHeader, p []byte) error {
	switch {
	case h.id == 0:
		return &ConnError{CodeProtocol, "RST_STREAM without a stream"}
	case len(p) != 4:
		return &ConnError{CodeFrameSize, "RST_STREAM of an impossible length"}
	case h.id > c.lastID:
		return &ConnError{CodeProtocol, "RST_STREAM on an idle stream"}
	}
	if err := c.charge(costReset, "resets"); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.table.find(h.id); s != nil {
		err := c.cancelledLocked(s)
		c.leaveLocked(s)
		c.doneLocked()
		return err
	}
	c.endHalfLocked(h.id)
	return nil
}

// takeWindowUpdate opens a window towards the client (RFC 9113, 6.9).
func (c *Conn) takeWindowUpdate(h *frameHeader, p []byte) error {
	if len(p) != 4 {
		return &ConnError{CodeFrameSize, "WINDOW_UPDATE of an impossible length"}
	}
	if h.id > c.lastID {
		return &ConnError{CodeProtocol, "WINDOW_UPDATE on an idle stream"}
	}
	if err := c.charge(costFrame, "window updates"); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(p) & maxWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.id == 0 {
		switch c.sendWindow += n; {
		case n == 0:
			return &ConnError{CodeProtocol, "WINDOW_UPDATE by nothing"}
		case c.sendWindow > maxWindow:
			return &ConnError{CodeFlowControl, "window is too large"}
		}
		c.passLocked()
		return nil
	}
	s := c.table.find(h.id)
	if s == nil {
		return nil
	}
	if n == 0 {
		return c.faultLocked(s, CodeProtocol, ErrLeft)
	}
	if s.window += n; s.window > maxWindow {
		return c.faultLocked(s, CodeFlowControl, ErrLeft)
	}
	if s.window > 0 {
		s.writable.Signal()
	}
	return nil
}

// takeGoAway notes that the client will open no more streams (RFC 9113, 6.8).
func (c *Conn) takeGoAway(h *frameHeader, p []byte) error {
	switch {
	case h.id != 0:
		return &ConnError{CodeProtocol, "GOAWAY on a stream"}
	case len(p) < 8:
		return &ConnError{CodeFrameSize, "GOAWAY of an impossible length"}
	}
	if err := c.charge(costFrame, "goaways"); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finalLocked()
	return nil
}

// takePriority ignores a priority (RFC 9113, 5.3.2 and 6.3).
func (c *Conn) takePriority(h *frameHeader, p []byte) error {
	switch {
	case h.id == 0:
		return &ConnError{CodeProtocol, "PRIORITY without a stream"}
	case len(p) == 5:
		return c.charge(costFrame, "priorities")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.table.find(h.id); s != nil {
		return c.faultLocked(s, CodeFrameSize, ErrLeft)
	}
	return c.chargeLocked(costFault, "frames of a wrong size")
}
