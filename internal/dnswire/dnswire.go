// Package dnswire turns DNS messages into bytes and back, for both ends of DNS
// in Fairlead: the resolver that asks and the nameserver that answers. It knows
// no sockets and no clock.
//
// It is the one door to github.com/miekg/dns, which does the work. What
// Fairlead has no use for (other record types' data, other EDNS options)
// doesn't come through.
//
// Names are in presentation format and absolute: they end in a dot, and bytes
// that aren't plain are escaped (RFC 1035, section 5.1).
package dnswire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
)

// Type is a record's type, or what a question asks for.
type Type uint16

// The types that a Record carries data of, and those that only questions hold.
const (
	TypeA     = Type(dns.TypeA)
	TypeNS    = Type(dns.TypeNS)
	TypeCNAME = Type(dns.TypeCNAME)
	TypeSOA   = Type(dns.TypeSOA)
	TypeTXT   = Type(dns.TypeTXT)
	TypeAAAA  = Type(dns.TypeAAAA)
	TypeHINFO = Type(dns.TypeHINFO)
	TypeIXFR  = Type(dns.TypeIXFR)
	TypeAXFR  = Type(dns.TypeAXFR)
	TypeANY   = Type(dns.TypeANY)
)

// String gives the type's name, such as "AAAA" or "TYPE65280".
func (t Type) String() string { return dns.Type(t).String() }

// Class is a question's or record's class.
type Class uint16

// ClassIN is the Internet's, the only class that Fairlead speaks.
const ClassIN = Class(dns.ClassINET)

// Opcode is what kind of message it is.
type Opcode uint8

// OpcodeQuery is the only opcode that Fairlead speaks.
const OpcodeQuery = Opcode(dns.OpcodeQuery)

// Rcode says how a query went. Those above 15 need EDNS.
type Rcode uint16

// The codes that Fairlead sends or tells apart.
const (
	RcodeSuccess        = Rcode(dns.RcodeSuccess)
	RcodeFormatError    = Rcode(dns.RcodeFormatError)
	RcodeServerFailure  = Rcode(dns.RcodeServerFailure)
	RcodeNameError      = Rcode(dns.RcodeNameError) // NXDOMAIN
	RcodeNotImplemented = Rcode(dns.RcodeNotImplemented)
	RcodeRefused        = Rcode(dns.RcodeRefused)
	RcodeBadVers        = Rcode(dns.RcodeBadVers)
	RcodeBadCookie      = Rcode(dns.RcodeBadCookie)
)

// String gives the code's name, such as "SERVFAIL".
func (r Rcode) String() string {
	if r == RcodeBadVers {
		return "BADVERS" // the number is BADSIG's too, which is no use here
	}
	if s, ok := dns.RcodeToString[int(r)]; ok {
		return s
	}
	return fmt.Sprintf("RCODE%d", uint16(r))
}

// Sizes of messages, in bytes.
const (
	HeaderLen  = 12    // of every message
	MinUDPSize = 512   // what everybody can receive over UDP (RFC 1035, 2.3.4)
	MaxUDPSize = 1232  // what passes without fragments nearly everywhere
	MaxSize    = 65535 // over TCP
)

// Message is a query or a response. The zero value is an empty query.
type Message struct {
	ID                 uint16
	Response           bool // QR
	Opcode             Opcode
	Authoritative      bool // AA
	Truncated          bool // TC
	RecursionDesired   bool // RD
	RecursionAvailable bool // RA
	CheckingDisabled   bool // CD
	Rcode              Rcode

	Questions  []Question
	Answer     []Record
	Authority  []Record
	Additional []Record // without OPT

	// EDNS is what the OPT record said (RFC 6891). OPTs is how many there
	// were: more than one is a format error. Append writes one if OPTs is not
	// zero.
	EDNS EDNS
	OPTs int
}

// Question is what a query asks.
type Question struct {
	Name  string
	Type  Type
	Class Class
}

// EDNS is an OPT record.
type EDNS struct {
	Version uint8
	UDPSize uint16 // what the sender can receive over UDP
	DO      bool   // DNSSEC records wanted
	Cookie  []byte // RFC 7873: 8 bytes from the client, then 8 to 32 from the server; nil: none
}

// Record is a resource record. Which of the last four fields counts is up to
// Type; records of other types keep their first four.
type Record struct {
	Name  string
	Type  Type
	Class Class // zero counts as ClassIN in Append
	TTL   uint32

	Addr   netip.Addr // A, AAAA
	Target string     // CNAME, NS
	Text   []string   // TXT: character-strings, as they are, at most 255 bytes each; HINFO: CPU and OS
	SOA    SOA        // SOA
}

// SOA is the data of a zone's start of authority.
type SOA struct {
	NS, Mailbox                             string
	Serial, Refresh, Retry, Expire, Minimum uint32
}

// ErrShort says that a message is shorter than its header promises.
var ErrShort = errors.New("message is cut short")

// Parse reads a whole message into m, which keeps nothing of what it held but
// its slices' memory. m's strings don't alias msg. On an error, m's header
// fields hold if msg has at least HeaderLen bytes, so that a FORMERR can be
// sent; nothing else does.
func Parse(msg []byte, m *Message) error {
	*m = Message{
		Questions: m.Questions[:0], Answer: m.Answer[:0], Authority: m.Authority[:0], Additional: m.Additional[:0],
		EDNS: EDNS{Cookie: m.EDNS.Cookie[:0]},
	}
	var d dns.Msg
	err := d.Unpack(msg)
	m.readHeader(&d)
	if err != nil {
		return err
	}
	if len(msg) < HeaderLen {
		return ErrShort
	}
	// The library takes a message that ends between two records for a whole one,
	// whatever the header counts.
	for i, n := range [4]int{len(d.Question), len(d.Answer), len(d.Ns), len(d.Extra)} {
		if int(msg[4+2*i])<<8|int(msg[5+2*i]) != n {
			return ErrShort
		}
	}
	for _, q := range d.Question {
		m.Questions = append(m.Questions, Question{q.Name, Type(q.Qtype), Class(q.Qclass)})
	}
	m.Answer = appendRecords(m.Answer, d.Answer)
	m.Authority = appendRecords(m.Authority, d.Ns)
	m.Additional = appendRecords(m.Additional, d.Extra)
	for _, rr := range d.Extra {
		if opt, ok := rr.(*dns.OPT); ok {
			m.readOPT(opt)
		}
	}
	return nil
}

func (m *Message) readHeader(d *dns.Msg) {
	m.ID = d.Id
	m.Response = d.Response
	m.Opcode = Opcode(d.Opcode)
	m.Authoritative = d.Authoritative
	m.Truncated = d.Truncated
	m.RecursionDesired = d.RecursionDesired
	m.RecursionAvailable = d.RecursionAvailable
	m.CheckingDisabled = d.CheckingDisabled
	m.Rcode = Rcode(d.Rcode)
}

func (m *Message) readOPT(opt *dns.OPT) {
	m.OPTs++
	m.EDNS.Version = opt.Version()
	m.EDNS.UDPSize = opt.UDPSize()
	m.EDNS.DO = opt.Do()
	for _, o := range opt.Option {
		if c, ok := o.(*dns.EDNS0_COOKIE); ok {
			m.EDNS.Cookie, _ = hex.AppendDecode(m.EDNS.Cookie[:0], []byte(c.Cookie))
		}
	}
}

func appendRecords(to []Record, from []dns.RR) []Record {
	for _, rr := range from {
		h := rr.Header()
		r := Record{Name: h.Name, Type: Type(h.Rrtype), Class: Class(h.Class), TTL: h.Ttl}
		switch rr := rr.(type) {
		case *dns.OPT:
			continue
		case *dns.A:
			r.Addr, _ = netip.AddrFromSlice(rr.A)
			r.Addr = r.Addr.Unmap()
		case *dns.AAAA:
			r.Addr, _ = netip.AddrFromSlice(rr.AAAA)
		case *dns.CNAME:
			r.Target = rr.Target
		case *dns.NS:
			r.Target = rr.Ns
		case *dns.TXT:
			r.Text = unescape(rr.Txt)
		case *dns.HINFO:
			r.Text = unescape([]string{rr.Cpu, rr.Os})
		case *dns.SOA:
			r.SOA = SOA{rr.Ns, rr.Mbox, rr.Serial, rr.Refresh, rr.Retry, rr.Expire, rr.Minttl}
		}
		to = append(to, r)
	}
	return to
}

// Append appends m, packed with compressed names, to buf. The error says which
// part can't be packed, or that the message would be longer than MaxSize.
func (m *Message) Append(buf []byte) ([]byte, error) {
	d := dns.Msg{
		MsgHdr: dns.MsgHdr{
			Id: m.ID, Response: m.Response, Opcode: int(m.Opcode), Authoritative: m.Authoritative,
			Truncated: m.Truncated, RecursionDesired: m.RecursionDesired,
			RecursionAvailable: m.RecursionAvailable, CheckingDisabled: m.CheckingDisabled, Rcode: int(m.Rcode),
		},
		Compress: true,
	}
	for _, q := range m.Questions {
		d.Question = append(d.Question, dns.Question{Name: q.Name, Qtype: uint16(q.Type), Qclass: uint16(q.Class)})
	}
	var errs [3]error
	d.Answer, errs[0] = toRRs(nil, m.Answer)
	d.Ns, errs[1] = toRRs(nil, m.Authority)
	d.Extra, errs[2] = toRRs(nil, m.Additional)
	if err := errors.Join(errs[:]...); err != nil {
		return buf, err
	}
	if m.OPTs > 0 {
		d.Extra = append(d.Extra, m.opt())
	}
	packed, err := d.PackBuffer(buf[len(buf):cap(buf)])
	if err != nil {
		return buf, err
	}
	if len(packed) > MaxSize {
		return buf, fmt.Errorf("a message of %d bytes is longer than %d", len(packed), MaxSize)
	}
	return append(buf, packed...), nil // onto itself if there was room
}

func (m *Message) opt() *dns.OPT {
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetVersion(m.EDNS.Version)
	opt.SetUDPSize(m.EDNS.UDPSize)
	opt.SetDo(m.EDNS.DO)
	if len(m.EDNS.Cookie) > 0 {
		opt.Option = append(opt.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString(m.EDNS.Cookie)})
	}
	return opt
}

func toRRs(to []dns.RR, from []Record) ([]dns.RR, error) {
	for i := range from {
		rr, err := from[i].toRR()
		if err != nil {
			return to, err
		}
		to = append(to, rr)
	}
	return to, nil
}

func (r *Record) toRR() (dns.RR, error) {
	h := dns.RR_Header{Name: r.Name, Rrtype: uint16(r.Type), Class: uint16(r.Class), Ttl: r.TTL}
	if r.Class == 0 {
		h.Class = dns.ClassINET
	}
	switch {
	case r.Type == TypeA && r.Addr.Unmap().Is4():
		return &dns.A{Hdr: h, A: r.Addr.Unmap().AsSlice()}, nil
	case r.Type == TypeAAAA && r.Addr.Is6():
		return &dns.AAAA{Hdr: h, AAAA: r.Addr.AsSlice()}, nil
	case r.Type == TypeCNAME:
		return &dns.CNAME{Hdr: h, Target: r.Target}, nil
	case r.Type == TypeNS:
		return &dns.NS{Hdr: h, Ns: r.Target}, nil
	case r.Type == TypeTXT:
		return &dns.TXT{Hdr: h, Txt: escape(r.Text)}, nil
	case r.Type == TypeHINFO && len(r.Text) == 2:
		text := escape(r.Text)
		return &dns.HINFO{Hdr: h, Cpu: text[0], Os: text[1]}, nil
	case r.Type == TypeSOA:
		s := &r.SOA
		return &dns.SOA{Hdr: h, Ns: s.NS, Mbox: s.Mailbox, Serial: s.Serial,
			Refresh: s.Refresh, Retry: s.Retry, Expire: s.Expire, Minttl: s.Minimum}, nil
	}
	return nil, fmt.Errorf("%s: a %s record without its data", r.Name, r.Type)
}

// escape and unescape translate between bytes and the library's presentation
// format of character-strings, where a backslash and unprintable bytes are
// written as \DDD and the like.
func escape(texts []string) []string {
	out := make([]string, len(texts))
	for i, s := range texts {
		b := make([]byte, 0, len(s))
		for _, c := range []byte(s) {
			switch {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c < ' ' || c > '~':
				b = fmt.Appendf(b, "\\%03d", c)
			default:
				b = append(b, c)
			}
		}
		out[i] = string(b)
	}
	return out
}

func unescape(texts []string) []string {
	out := make([]string, len(texts))
	for i, s := range texts {
		b := make([]byte, 0, len(s))
		for j := 0; j < len(s); j++ {
			switch {
			case s[j] != '\\' || j+1 == len(s):
				b = append(b, s[j])
			case isDigit(s[j+1]) && j+3 < len(s) && isDigit(s[j+2]) && isDigit(s[j+3]):
				b = append(b, (s[j+1]-'0')*100+(s[j+2]-'0')*10+s[j+3]-'0')
				j += 3
			default:
				b = append(b, s[j+1])
				j++
			}
		}
		out[i] = string(b)
	}
	return out
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// IsName reports whether s can stand as a name in a message, absolute or not.
func IsName(s string) bool {
	_, ok := dns.IsDomainName(s)
	return ok
}

// Absolute gives s with a dot at its end.
func Absolute(s string) string { return dns.Fqdn(s) }

// Canonical gives the absolute name in lower case, so that equal names are
// equal strings (RFC 4343).
func Canonical(s string) string { return dns.CanonicalName(s) }

// Labels is the number of labels in name; the root has none.
func Labels(name string) int { return dns.CountLabel(name) }

// Within reports whether name is zone or below it, whatever the case.
func Within(name, zone string) bool { return dns.IsSubDomain(zone, name) }
