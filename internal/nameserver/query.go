package nameserver

import (
	"encoding/binary"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// query is a message that was read, as far as an answer depends on it. Its
// slices point into the message.
type query struct {
	head     [4]byte // id and flags
	opcode   dnswire.Opcode
	question []byte // as it was sent; nil: there is none to repeat
	key      []byte // the question's name in wire format, in lower case
	qtype    dnswire.Type
	class    dnswire.Class

	opt        bool
	version    uint8
	size       uint16 // what the client can receive over UDP, if opt
	do         bool
	hasCookie  bool
	cookie     []byte
	keyStorage [maxName]byte
	message    dnswire.Message // what the library reads into
}

const (
	maxName = 255 // in wire format (RFC 1035, 2.3.4)

	typeOPT      = 41
	optionCookie = 10
)

// reading says what became of a message.
type reading uint8

const (
	isNothing   reading = iota // nothing that may be answered
	isMalformed                // to be answered with FORMERR
	isQuery
	isCookie // a query for a cookie and nothing else (RFC 7873, 5.4)
)

// read takes a message apart. What nearly all queries look like, one question
// and an OPT record or none, is read here; the library reads the rest, and has
// the say on it.
func (q *query) read(msg []byte) reading {
	q.question, q.key, q.cookie = nil, nil, nil
	q.opt, q.hasCookie = false, false
	if len(msg) < dnswire.HeaderLen || msg[2]&0x80 != 0 {
		return isNothing
	}
	copy(q.head[:], msg)
	q.opcode = dnswire.Opcode(msg[2] >> 3 & 0xf)
	if n := binary.BigEndian.Uint16(msg[4:]); n == 0 {
		return q.readWithoutQuestion(msg)
	} else if n != 1 {
		return isMalformed
	}
	off := q.readQuestion(msg)
	if off == 0 {
		return isMalformed
	}
	counts := [3]uint16{binary.BigEndian.Uint16(msg[6:]), binary.BigEndian.Uint16(msg[8:]), binary.BigEndian.Uint16(msg[10:])}
	switch {
	case counts == [3]uint16{} && off == len(msg):
		return isQuery
	case counts == [3]uint16{}:
		return isMalformed // something follows that is not counted
	case counts == [3]uint16{0, 0, 1} && isOPT(msg[off:]):
		return q.readOPT(msg[off:])
	}
	return q.readByLibrary(msg, counts)
}

// readWithoutQuestion reads a message that may only ask for a cookie.
func (q *query) readWithoutQuestion(msg []byte) reading {
	rest := msg[dnswire.HeaderLen:]
	if [6]byte(msg[6:12]) != [6]byte{5: 1} || !isOPT(rest) || q.readOPT(rest) != isQuery || !q.hasCookie || q.version > 0 {
		return isMalformed
	}
	return isCookie
}

// readQuestion returns where the question ends, and 0 if it is malformed. A
// compressed name is: there is nothing in front of it that it could point at.
func (q *query) readQuestion(msg []byte) int {
	off := dnswire.HeaderLen
	for {
		if off >= len(msg) {
			return 0
		}
		n := int(msg[off])
		off += 1 + n
		if n == 0 {
			break
		}
		if n > 63 {
			return 0
		}
	}
	length := off - dnswire.HeaderLen
	if length > maxName || off+4 > len(msg) {
		return 0
	}
	q.key = q.keyStorage[:length]
	lower(q.key, msg[dnswire.HeaderLen:off])
	q.qtype = dnswire.Type(binary.BigEndian.Uint16(msg[off:]))
	q.class = dnswire.Class(binary.BigEndian.Uint16(msg[off+2:]))
	q.question = msg[dnswire.HeaderLen : off+4]
	return off + 4
}

// isOPT reports whether b is one OPT record and nothing else.
func isOPT(b []byte) bool {
	return len(b) >= 11 && b[0] == 0 && binary.BigEndian.Uint16(b[1:]) == typeOPT &&
		int(binary.BigEndian.Uint16(b[9:])) == len(b)-11
}

// readOPT reads a record that isOPT. Of several cookies the first one counts.
func (q *query) readOPT(b []byte) reading {
	q.opt = true
	q.size = binary.BigEndian.Uint16(b[3:])
	q.version = b[6]
	q.do = b[7]&0x80 != 0
	for b = b[11:]; len(b) > 0; {
		if len(b) < 4 {
			return isMalformed
		}
		code, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return isMalformed
		}
		if code == optionCookie && !q.hasCookie {
			q.hasCookie, q.cookie = true, b[4:4+n]
		}
		b = b[4+n:]
	}
	return isQuery
}

// readByLibrary holds the library, which takes a message that ends between two
// records for a whole one, to what the header counts.
func (q *query) readByLibrary(msg []byte, counts [3]uint16) reading {
	m := &q.message
	if err := dnswire.Parse(msg, m); err != nil || m.OPTs > 1 {
		return isMalformed
	}
	if [3]uint16{uint16(len(m.Answer)), uint16(len(m.Authority)), uint16(len(m.Additional) + m.OPTs)} != counts {
		return isMalformed
	}
	e := &m.EDNS
	q.opt = m.OPTs == 1
	q.version, q.size, q.do = e.Version, e.UDPSize, e.DO
	q.hasCookie, q.cookie = len(e.Cookie) > 0, e.Cookie
	return isQuery
}
