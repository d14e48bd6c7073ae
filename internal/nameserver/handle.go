package nameserver

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

const (
	// maxAmplification bounds how many times larger than the query an answer is
	// that goes to an address nobody has vouched for: over UDP, without a valid
	// cookie, and not to loopback. What is larger is truncated.
	maxAmplification = 10

	optLen    = 11                     // an OPT record without options
	optCookie = optLen + 4 + cookieLen // and with a cookie

	flagAA = 0x04 // in the header's third byte
	flagTC = 0x02
)

// worker answers queries, one at a time. What it keeps between them is memory.
type worker struct {
	s     *Server
	query query
}

// reply is what an answer is made of before its size is known.
type reply struct {
	rcode  dnswire.Rcode
	aa     bool
	set    *rrset // nil: none
	denial *denial
}

// client is who asked, and how.
type client struct {
	addr    netip.Addr
	tcp     bool
	trusted bool // it has shown that the address is its own
	cookie  [cookieLen]byte
	cookies bool // cookie is to be sent
}

// handle appends the answer to msg to out. Nothing appended: there is none.
func (w *worker) handle(out, msg []byte, from netip.AddrPort, tcp bool, now time.Time) []byte {
	s, q := w.s, &w.query
	c := client{addr: from.Addr().Unmap(), tcp: tcp, trusted: tcp}
	if from.Port() == 0 || c.addr.IsMulticast() || c.addr.IsUnspecified() {
		s.counts.ignored.Add(1)
		return out
	}
	c.trusted = c.trusted || c.addr.IsLoopback() && !s.distrustLoopback
	read := q.read(msg)
	if read == isNothing {
		s.counts.ignored.Add(1)
		return out
	}
	s.counts.query(tcp)
	if read >= isQuery && q.hasCookie && q.version == 0 && !w.checkCookie(&c, now) {
		read = isMalformed
	}
	if l := s.limiter.Load(); l != nil && !c.trusted {
		switch l.take(c.addr, now) {
		case drop:
			s.counts.dropped.Add(1)
			return out
		case slip:
			s.counts.slipped.Add(1)
			return w.finish(w.bare(out, dnswire.RcodeSuccess, flagTC), len(out), dnswire.RcodeSuccess, &c)
		}
	}
	var r reply
	var z *zone
	switch {
	case q.opcode != dnswire.OpcodeQuery:
		r.rcode = dnswire.RcodeNotImplemented
	case read == isMalformed:
		r.rcode = dnswire.RcodeFormatError
	case read == isCookie: // the cookie is the answer
	default:
		z = s.current(now)
		r = w.answer(z)
	}
	s.counts.answer(tcp, r.rcode)
	return w.write(out, len(msg), &r, z, &c, now)
}

// checkCookie sees whether a cookie vouches for the client, and has one ready.
// It reports false for one that is none.
func (w *worker) checkCookie(c *client, now time.Time) bool {
	if !wellFormed(w.query.cookie) {
		return false
	}
	full, valid := w.s.cookies.answer(w.query.cookie, c.addr, now)
	c.cookie, c.cookies = full, true
	if valid {
		c.trusted = true
		w.s.counts.cookies.Add(1)
	}
	return true
}

// answer decides what a well-formed query gets.
func (w *worker) answer(z *zone) reply {
	q := &w.query
	if q.opt && q.version > 0 {
		return reply{rcode: dnswire.RcodeBadVers}
	}
	if q.class != dnswire.ClassIN || q.qtype == dnswire.TypeAXFR || q.qtype == dnswire.TypeIXFR {
		return reply{rcode: dnswire.RcodeRefused}
	}
	slot, ok := z.slots[string(q.key)]
	if !ok {
		if within(q.key, z.apex) {
			return reply{rcode: dnswire.RcodeNameError, aa: true, denial: &z.denial}
		}
		return reply{rcode: dnswire.RcodeRefused}
	}
	set := z.nodes[slot][kindOf(q.qtype)]
	switch {
	case set == nil:
		return reply{aa: true, denial: &z.denial}
	case set.failed:
		return reply{rcode: dnswire.RcodeServerFailure}
	}
	return reply{aa: true, set: set}
}

// within reports whether a name is below the zone, both in wire format.
func within(key []byte, apex string) bool {
	for len(key) > len(apex) {
		key = key[1+int(key[0]):]
	}
	return string(key) == apex
}

// write appends r as far as there is room for it.
func (w *worker) write(out []byte, asked int, r *reply, z *zone, c *client, now time.Time) []byte {
	at, limit := len(out), w.room(asked, c)
	var p *packet
	if r.set != nil {
		if p = r.set.packet(); p == nil {
			return w.finish(w.bare(out, dnswire.RcodeServerFailure, 0), at, dnswire.RcodeServerFailure, c)
		}
	}
	flags := byte(0)
	if r.aa {
		flags = flagAA
	}
	size := dnswire.HeaderLen + len(w.query.question)
	switch {
	case p != nil:
		size = len(p.bytes)
	case r.denial != nil:
		size += len(r.denial.section)
	}
	switch {
	case size > limit:
		w.s.counts.truncated.Add(1)
		out = w.bare(out, r.rcode, flags|flagTC)
	case p != nil:
		out = p.append(out, w.query.question, r.set.until, now)
		w.setHead(out[at:], r.rcode, flags)
	case r.denial != nil:
		out = w.bare(out, r.rcode, flags)
		out[at+9] = 1 // NSCOUNT
		out = r.denial.append(out, len(w.query.key)-len(z.apex))
	default:
		out = w.bare(out, r.rcode, flags)
	}
	return w.finish(out, at, r.rcode, c)
}

// room is how long an answer may be before its OPT record.
func (w *worker) room(asked int, c *client) int {
	limit := dnswire.MaxSize
	if !c.tcp {
		limit = dnswire.MinUDPSize
		if w.query.opt {
			limit = min(max(int(w.query.size), dnswire.MinUDPSize), dnswire.MaxUDPSize)
		}
		if !c.trusted {
			limit = min(limit, maxAmplification*asked)
		}
	}
	switch {
	case c.cookies:
		limit -= optCookie
	case w.query.opt:
		limit -= optLen
	}
	return limit
}

// bare appends a header and the question, if there is one to repeat.
func (w *worker) bare(out []byte, rcode dnswire.Rcode, flags byte) []byte {
	at := len(out)
	out = append(out, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	if len(w.query.question) > 0 {
		out[at+5] = 1 // QDCOUNT
		out = append(out, w.query.question...)
	}
	w.setHead(out[at:], rcode, flags)
	return out
}

// setHead writes the id and the flags: QR, the query's opcode and RD, and those
// given.
func (w *worker) setHead(b []byte, rcode dnswire.Rcode, flags byte) {
	b[0], b[1] = w.query.head[0], w.query.head[1]
	b[2] = 0x80 | w.query.head[2]&0x79 | flags
	b[3] = byte(rcode & 0xf)
}

// finish appends the OPT record if the query had one. The message begins at.
func (w *worker) finish(out []byte, at int, rcode dnswire.Rcode, c *client) []byte {
	if !w.query.opt {
		return out
	}
	do := byte(0)
	if w.query.do {
		do = 0x80 // repeated, though there are no DNSSEC records (RFC 3225, 3)
	}
	out = append(out, 0, 0, typeOPT, dnswire.MaxUDPSize>>8, dnswire.MaxUDPSize&0xff, byte(rcode>>4), 0, do, 0, 0, 0)
	if c.cookies {
		out[len(out)-1] = optCookie - optLen
		out = append(out, 0, optionCookie, 0, cookieLen)
		out = append(out, c.cookie[:]...)
	}
	arcount := out[at+10 : at+12]
	binary.BigEndian.PutUint16(arcount, binary.BigEndian.Uint16(arcount)+1)
	return out
}
