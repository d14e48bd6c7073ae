package http2

// maxFragments is how many frames one field block may come in. A client that
// fills its frames needs a handful.
const maxFragments = 32

// blockLimit is how many encoded bytes a block may have, for a limit on the
// section that it encodes. A section up to twice its limit is still read, so
// that its client gets an answer.
func blockLimit(list int) int { return 2 * list }

// excess is how many times over its limit a section may be decoded. Beyond it
// is a bomb, not a request with a cookie too many.
const excess = 8

// block is the field block that is being received: HEADERS and the
// CONTINUATION frames after it (RFC 9113, 4.3). Nothing else may come between,
// so a connection has one.
type block struct {
	limit int // of a section, as Config.MaxHeaderBytes

	active    bool
	id        uint32
	end       bool    // the stream's last
	s         *Stream // whose fields these are; nil: nobody's, but the table of HPACK needs them
	trailers  bool
	refuse    bool // the stream is one too many
	fragments int
	bytes     int
	check     fieldCheck
	shared    sharedStrings
}

// takeHeaders begins a field block.
func (c *Conn) takeHeaders(h *frameHeader, p []byte) error {
	if h.id%2 == 0 {
		return &ConnError{CodeProtocol, "HEADERS on a stream that is not the client's"}
	}
	p, err := unpad(h, p)
	if err != nil {
		return err
	}
	if h.has(flagPriority) {
		if len(p) < 5 {
			return &ConnError{CodeFrameSize, "HEADERS too short for a priority"}
		}
		p = p[5:]
	}
	b := &c.block
	b.active, b.id, b.end = true, h.id, h.has(flagEndStream)
	b.s, b.trailers, b.refuse = nil, false, false
	b.fragments, b.bytes = 0, 0
	if err := c.assign(b); err != nil {
		return err
	}
	b.check.begin(b.s, b.trailers, b.limit, &b.shared)
	return c.takeBlock(p, h.has(flagEndHeaders))
}

// unpad removes padding (RFC 9113, 6.1 and 6.2).
func unpad(h *frameHeader, p []byte) ([]byte, error) {
	if !h.has(flagPadded) {
		return p, nil
	}
	if len(p) == 0 {
		return nil, &ConnError{CodeFrameSize, "no room for the length of the padding"}
	}
	pad := int(p[0])
	if pad >= len(p) {
		return nil, &ConnError{CodeProtocol, "more padding than payload"}
	}
	return p[1 : len(p)-pad], nil
}

// assign finds out whose fields a block has.
func (c *Conn) assign(b *block) error {
	c.tellLeft() // before one of them is used again
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.id <= c.lastID {
		return c.assignTrailersLocked(b)
	}
	c.lastID = b.id
	cfg := &c.srv.cfg
	switch {
	case c.final: // the client was told that it won't be served
		return c.chargeLocked(costReset, "requests after the last GOAWAY")
	case c.open >= cfg.MaxStreams || c.running+len(c.fresh) >= 2*cfg.MaxStreams:
		b.refuse = true
	default:
		b.s = c.newStreamLocked(b.id)
		c.opening = true
	}
	return nil
}

// assignTrailersLocked is for HEADERS on a stream that is not new.
func (c *Conn) assignTrailersLocked(b *block) error {
	s := c.table.find(b.id)
	switch {
	case s == nil:
		switch half := c.findHalfLocked(b.id); {
		case half >= 0 && !b.end:
			return c.faultHalfLocked(half, CodeProtocol)
		case half >= 0:
			c.endHalfLocked(b.id)
			return nil
		case c.mayComeLocked(b.id):
			return c.chargeLocked(costFrame, "frames on closed streams")
		case c.finished.mayHave(b.id):
			return &ConnError{CodeStreamClosed, "HEADERS on a closed stream"}
		}
		return &ConnError{CodeProtocol, "HEADERS on a stream that was passed over"}
	case s.received.ended:
		return c.faultLocked(s, CodeStreamClosed, ErrLeft)
	case !b.end, string(s.Method) == "CONNECT": // a tunnel has no trailers (RFC 9113, 8.5)
		return c.faultLocked(s, CodeProtocol, ErrBody)
	}
	b.s, b.trailers = s, true
	return nil
}

// takeBlock decodes a part of a block.
func (c *Conn) takeBlock(p []byte, last bool) error {
	b := &c.block
	b.fragments++
	b.bytes += len(p)
	if b.fragments > maxFragments {
		return &ConnError{CodeEnhanceYourCalm, "a field block in too many pieces"}
	}
	if b.bytes > blockLimit(b.limit) {
		return &ConnError{CodeEnhanceYourCalm, "a field block is far too large"}
	}
	tooLong, err := c.dec.decode(p, b.check.bearable)
	switch {
	case tooLong:
		return &ConnError{CodeEnhanceYourCalm, "a field is far too large"}
	case err != nil:
		return &ConnError{CodeCompression, "malformed field block"}
	case !b.check.bearable():
		return &ConnError{CodeEnhanceYourCalm, "a field section is far too large"}
	case !last:
		return nil
	}
	if c.dec.end() != nil {
		return &ConnError{CodeCompression, "a field block ends within a field"}
	}
	return c.endBlock()
}

// field is called by the decoder.
func (b *block) field(name, value string) { b.check.field(name, value) }

// endBlock acts upon a whole block.
func (c *Conn) endBlock() error {
	b := &c.block
	s := b.s
	b.active, b.s = false, nil
	defer b.check.forget()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opening = false
	switch {
	case b.refuse:
		c.resets.add(b.id)
		if err := c.answerLocked(appendReset(c.scratch[:0], b.id, CodeRefusedStream)); err != nil {
			return err
		}
		return c.chargeLocked(costReset, "refused streams")
	case s == nil:
		return nil
	case b.trailers:
		return c.endTrailersLocked(s)
	case !b.check.finish(b.end):
		c.resets.add(b.id)
		c.free = append(c.free, s)
		c.appendLocked(appendReset(c.scratch[:0], b.id, CodeProtocol))
		return c.faultedLocked()
	}
	c.openLocked(s, b.end)
	if s.Refusal == 431 || s.Refusal == 414 {
		return c.chargeLocked(costFault, "heads that are too large")
	}
	return nil
}

// endTrailersLocked ends a request's body with its trailers.
func (c *Conn) endTrailersLocked(s *Stream) error {
	if c.table.find(c.block.id) != s {
		return nil // it was ended meanwhile
	}
	if c.block.check.bad || c.block.check.over || !s.received.complete() {
		return c.faultLocked(s, CodeProtocol, ErrBody)
	}
	s.tail.ready = true
	c.endReceivedLocked(s)
	return nil
}
