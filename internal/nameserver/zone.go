package nameserver

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

const (
	stableTTL = 3600 // of what only a new configuration changes: NS and their addresses, HINFO

	// maxAddresses bounds how many addresses of one family an answer has, so that
	// it fits into a message even over TCP.
	maxAddresses = 1000
	maxText      = 16 << 10 // of a TXT record, for the same reason

	forever = 30 * 24 * time.Hour // an address that holds as long isn't going to end
)

// zone is everything that can be answered, as it was at one moment. Only the
// packed answers are added later, when they are first asked for.
type zone struct {
	version   uint64    // of the Server, from before anything was read
	serial    uint32    // of the SOA
	refreshAt time.Time // when TTLs have to be read again; zero: never
	apex      string    // the zone's key
	slots     map[string]int
	nodes     []*node // by slot
	denial    denial
}

// node is what a name has: a set of records for each kind of question, or nil.
type node [kinds]*rrset

// kind is an index into a node.
type kind uint8

const (
	kindA kind = iota
	kindAAAA
	kindTXT
	kindNS
	kindSOA
	kindANY
	kindCNAME
	kindOther
	kinds
)

func kindOf(t dnswire.Type) kind {
	switch t {
	case dnswire.TypeA:
		return kindA
	case dnswire.TypeAAAA:
		return kindAAAA
	case dnswire.TypeTXT:
		return kindTXT
	case dnswire.TypeNS:
		return kindNS
	case dnswire.TypeSOA:
		return kindSOA
	case dnswire.TypeANY:
		return kindANY
	case dnswire.TypeCNAME:
		return kindCNAME
	}
	return kindOther
}

// describe writes a pointer as followers read it: fields of key=value, apart by
// spaces.
func describe(at *Pointer) string {
	target := at.Target
	if target == "" {
		target = "none"
	}
	s := "target=" + word(target) + " generation=" + strconv.FormatUint(at.Generation, 10) +
		" since=" + at.Since.UTC().Format("2006-01-02T15:04:05Z") + " reason=" + word(at.Reason)
	if len(at.Via) > 0 {
		s += " via=" + word(strings.Join(at.Via, ","))
	}
	return s[:min(len(s), maxText)]
}

// word makes s safe to stand between spaces.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, s)
}

// split cuts s into character-strings, which hold 255 bytes at most; readers
// put them together again.
func split(s string) []string {
	var parts []string
	for len(s) > 255 {
		parts, s = append(parts, s[:255]), s[255:]
	}
	return append(parts, s)
}

// denial is the authority section of a negative answer (RFC 2308): the SOA.
type denial struct {
	section []byte // as it is in an answer for the zone's own name
	// pointers are where the section has compression pointers. They grow by as
	// much as the name asked for is longer than the zone.
	pointers []int
}

func newDenial(zone name, soa dnswire.Record) denial {
	m := dnswire.Message{
		Questions: []dnswire.Question{{Name: zone.text, Type: dnswire.TypeSOA, Class: dnswire.ClassIN}},
		Authority: []dnswire.Record{soa},
	}
	b, err := m.Append(nil)
	if err != nil {
		return denial{} // New has packed these names before
	}
	d := denial{section: b[dnswire.HeaderLen+len(zone.key)+4:]}
	off := d.skipName(0) + 10 // type, class, TTL, length
	off = d.skipName(off)
	d.skipName(off)
	return d
}

func (d *denial) skipName(off int) int {
	for {
		switch n := int(d.section[off]); {
		case n >= 0xc0:
			d.pointers = append(d.pointers, off)
			return off + 2
		case n == 0:
			return off + 1
		default:
			off += 1 + n
		}
	}
}

// append adds the section to an answer whose question's name is longer than
// the zone by so many bytes.
func (d *denial) append(out []byte, longer int) []byte {
	at := len(out)
	out = append(out, d.section...)
	for _, p := range d.pointers {
		b := out[at+p:]
		binary.BigEndian.PutUint16(b, binary.BigEndian.Uint16(b)+uint16(longer))
	}
	return out
}
