package nameserver

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// rrset is the records with which a question is answered.
type rrset struct {
	records    []dnswire.Record
	additional []dnswire.Record
	failed     bool      // it can't be answered now
	until      time.Time // the TTL runs down to this moment; zero: it doesn't
	packed     atomic.Pointer[packet]
}

// packet is an answer on the wire without EDNS. A query costs it the library's
// work once; the next one copies it and puts in what differs.
type packet struct {
	bytes []byte
	ttl   uint32 // of the records in the answer section
	ttls  []int  // where these TTLs are
}

// packet gives the set's answer. nil: it can't be packed.
func (s *rrset) packet() *packet {
	if p := s.packed.Load(); p != nil {
		return p
	}
	owner := s.records[0].Name
	m := dnswire.Message{
		Response: true, Authoritative: true,
		// The type doesn't matter: the client's question is written over it.
		Questions: []dnswire.Question{{Name: owner, Type: s.records[0].Type, Class: dnswire.ClassIN}},
		Answer:    s.records, Additional: s.additional,
	}
	b, err := m.Append(nil)
	if err != nil {
		return nil
	}
	p := &packet{bytes: b, ttl: s.records[0].TTL}
	off := skipName(b, dnswire.HeaderLen) + 4
	for range s.records {
		off = skipName(b, off) + 4 // type, class
		p.ttls = append(p.ttls, off)
		off += 6 + int(binary.BigEndian.Uint16(b[off+4:]))
	}
	s.packed.Store(p)
	return p
}

// skipName gives where a name ends that the library packed.
func skipName(b []byte, off int) int {
	for b[off] != 0 && b[off] < 0xc0 {
		off += 1 + int(b[off])
	}
	if b[off] == 0 {
		return off + 1
	}
	return off + 2
}

// append adds the packet to out, for a question that is as long as its own,
// with what is left of the TTL.
func (p *packet) append(out, question []byte, until, now time.Time) []byte {
	at := len(out)
	out = append(out, p.bytes...)
	copy(out[at+dnswire.HeaderLen:], question)
	if until.IsZero() {
		return out
	}
	if left := max(until.Sub(now)/time.Second, 0); left < time.Duration(p.ttl) {
		for _, off := range p.ttls {
			binary.BigEndian.PutUint32(out[at+off:], uint32(left))
		}
	}
	return out
}
