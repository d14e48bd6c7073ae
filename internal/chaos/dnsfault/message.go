package dnsfault

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// Types, codes and flags (RFC 1035, section 4.1; RFC 3596).
const (
	typeA     = 1
	typeCNAME = 5
	typeOPT   = 41
	typeAAAA  = 28
	classIN   = 1

	codeServFail = 2
	codeNXDomain = 3
	codeRefused  = 5

	flagResponse  = 1 << 15
	flagTruncated = 1 << 9
	flagWanted    = 1 << 8 // recursion desired
	flagRecursive = 1 << 7 // recursion available

	headerLen = 12
)

// query is a question as it came.
type query struct {
	id       uint16
	flags    uint16
	name     string // canonical, without the final dot
	typ      uint16
	question []byte // its bytes
	edns     bool
	tcp      bool

	entry entry // of the zone
	known bool
}

// parse reads the header and the only question. What else there is counts as an OPT record.
func parse(packet []byte) (query, bool) {
	if len(packet) < headerLen {
		return query{}, false
	}
	q := query{id: binary.BigEndian.Uint16(packet), flags: binary.BigEndian.Uint16(packet[2:]),
		edns: binary.BigEndian.Uint16(packet[10:]) > 0}
	if q.flags&flagResponse != 0 || binary.BigEndian.Uint16(packet[4:]) != 1 {
		return query{}, false
	}
	var labels []string
	at := headerLen
	for {
		if at >= len(packet) {
			return query{}, false
		}
		n := int(packet[at])
		at++
		if n == 0 {
			break
		}
		if n > 63 || at+n > len(packet) {
			return query{}, false
		}
		labels = append(labels, string(packet[at:at+n]))
		at += n
	}
	if at+4 > len(packet) {
		return query{}, false
	}
	q.name = canonical(strings.Join(labels, "."))
	q.typ = binary.BigEndian.Uint16(packet[at:])
	q.question = packet[headerLen : at+4]
	return q, true
}

// record is one of an answer's.
type record struct {
	name   string
	typ    uint16
	ttl    uint32
	addr   netip.Addr // A, AAAA
	target string     // CNAME
}

// response is a message to be written. Its zero value, with a query, is an answer without records.
type response struct {
	query
	code    uint16
	flags   uint16 // besides those of every response
	records []record
}

func (r *response) pack() []byte {
	b := binary.BigEndian.AppendUint16(nil, r.id)
	b = binary.BigEndian.AppendUint16(b, flagResponse|r.query.flags&flagWanted|r.flags|r.code)
	b = binary.BigEndian.AppendUint16(b, 1)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.records)))
	b = binary.BigEndian.AppendUint16(b, 0)
	extra := uint16(0)
	if r.edns {
		extra = 1
	}
	b = binary.BigEndian.AppendUint16(b, extra)
	b = append(b, r.question...)
	for _, one := range r.records {
		b = one.append(b)
	}
	if r.edns {
		b = append(b, 0)
		b = binary.BigEndian.AppendUint16(b, typeOPT)
		b = binary.BigEndian.AppendUint16(b, 1232) // what the server takes over UDP, for its class
		b = append(b, 0, 0, 0, 0, 0, 0)
	}
	return b
}

func (r *record) append(b []byte) []byte {
	b = appendName(b, r.name)
	b = binary.BigEndian.AppendUint16(b, r.typ)
	b = binary.BigEndian.AppendUint16(b, classIN)
	b = binary.BigEndian.AppendUint32(b, r.ttl)
	data := r.addr.AsSlice()
	if r.typ == typeCNAME {
		data = appendName(nil, r.target)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// appendName writes a name without compression.
func appendName(b []byte, name string) []byte {
	for label := range strings.SplitSeq(name, ".") {
		if label != "" {
			b = append(b, byte(len(label)))
			b = append(b, label...)
		}
	}
	return append(b, 0)
}
