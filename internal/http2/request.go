package http2

import (
	"bytes"
	"encoding/binary"
	"math"
)

// MaxFields is how many fields a section may have.
const MaxFields = 256

// section is the fields of a head, or of trailers. Its bytes are copied to a
// room of its own, so that decoding allocates nothing once that is large enough.
type section struct {
	fields []Field
	room   []byte
	ready  bool
}

// keepRoom is the most room that is kept for the next request.
const keepRoom = 8 << 10

func (s *section) reset() {
	clear(s.fields)
	s.fields, s.room, s.ready = s.fields[:0], s.room[:0], false
	if cap(s.room) > keepRoom {
		s.room = nil
	}
}

// keep copies a string. What was copied before stays where it is.
func (s *section) keep(v string) []byte {
	if cap(s.room)-len(s.room) < len(v) {
		s.room = make([]byte, 0, max(2*cap(s.room), len(v), 512))
	}
	at := len(s.room)
	s.room = append(s.room, v...)
	return s.room[at:len(s.room):len(s.room)]
}

// fieldCheck takes the fields of a block and judges them (RFC 9113, 8.2 and 8.3).
type fieldCheck struct {
	s        *Stream // nil: nothing is kept
	to       *section
	trailers bool
	limit    int
	shared   *sharedStrings

	size    int  // as RFC 9113, 6.5.2 counts
	over    bool // it is over the limit, or has too many fields
	far     bool // the path alone is over the limit
	bad     bool // malformed
	regular bool // a field was seen that is no pseudo-field
	pseudo  uint8
	cookies int
	hosts   int
	host    []byte
	lengths int
}

// Pseudo-fields seen.
const (
	sawMethod = 1 << iota
	sawScheme
	sawAuthority
	sawPath
	sawProtocol
)

func (k *fieldCheck) begin(s *Stream, trailers bool, limit int, shared *sharedStrings) {
	*k = fieldCheck{s: s, trailers: trailers, limit: limit, shared: shared}
	if s == nil {
		return
	}
	k.to = &s.head
	if trailers {
		k.to = &s.tail
	}
}

// forget lets go of the stream.
func (k *fieldCheck) forget() { k.s, k.to, k.host = nil, nil, nil }

// bearable reports whether the section may become longer still.
func (k *fieldCheck) bearable() bool { return k.size <= excess*k.limit }

// field takes one field. The strings are the decoder's.
func (k *fieldCheck) field(name, value string) {
	size := len(name) + len(value) + 32
	if k.size += size; k.size > k.limit {
		k.over = true
		k.far = k.far || size > k.limit && name == ":path"
	}
	if k.s == nil || k.bad {
		return
	}
	if len(name) > 0 && name[0] == ':' {
		if !k.over {
			k.takePseudo(name, value)
		}
		return
	}
	k.regular = true
	if !isName(name) {
		k.bad = true
		return
	}
	if k.over {
		return
	}
	if len(k.to.fields) == MaxFields {
		k.over = true
		return
	}
	kept := k.keep(value)
	if !isText(kept) {
		k.bad = true
		return
	}
	if k.judge(name, kept) {
		k.to.fields = append(k.to.fields, Field{Name: k.keep(name), Value: kept})
	}
}

// keep copies a string, or finds a copy.
func (k *fieldCheck) keep(v string) []byte {
	if len(v) > sharedFrom && len(v) <= sharedUpTo {
		if shared := k.shared.find(v); shared != nil {
			return shared
		}
	}
	return k.to.keep(v)
}

// takePseudo takes a pseudo-field: before all others, once, and none that we
// don't know (RFC 9113, 8.3).
func (k *fieldCheck) takePseudo(name, value string) {
	if k.trailers || k.regular {
		k.bad = true
		return
	}
	var bit uint8
	var to *[]byte
	switch name {
	case ":method":
		bit, to = sawMethod, &k.s.Method
	case ":scheme":
		bit, to = sawScheme, &k.s.Scheme
	case ":authority":
		bit, to = sawAuthority, &k.s.Authority
	case ":path":
		bit, to = sawPath, &k.s.Path
	case ":protocol":
		bit, to = sawProtocol, &k.s.Protocol
	default:
		k.bad = true
		return
	}
	if k.pseudo&bit != 0 {
		k.bad = true
		return
	}
	k.pseudo |= bit
	*to = k.keep(value)
	if !isText(*to) {
		k.bad = true
	}
}

// judge looks at the fields that mean something here. It reports whether the
// handler shall see them.
func (k *fieldCheck) judge(name string, value []byte) (keep bool) {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		k.bad = true // RFC 9113, 8.2.2
		return false
	case "te", "cookie", "host", "content-length":
		if k.trailers {
			k.bad = true // RFC 9110, 6.5.1; and what a handler may be reading isn't touched
			return false
		}
	}
	switch name {
	case "te":
		k.bad = string(value) != "trailers"
	case "cookie":
		k.cookies++
	case "host":
		k.hosts++
		k.host = value
		return false // Authority says it
	case "content-length":
		n, ok := parseLength(value)
		k.lengths++
		k.bad = !ok || k.lengths > 1
		k.s.Length = n
	}
	return true
}

// finish judges a request's head as a whole. It reports false if that is malformed.
func (k *fieldCheck) finish(end bool) bool {
	s := k.s
	if k.bad {
		return false
	}
	s.HasBody = !end
	if k.over {
		k.to.reset() // pseudo-fields keep what they need of it
		if s.Refusal = 431; k.far {
			s.Refusal = 414
		}
		s.Length = -1
		return true
	}
	if end && s.Length > 0 {
		return false // RFC 9113, 8.1.1
	}
	if end {
		s.Length = 0
	}
	if !k.target() {
		return false
	}
	s.Fields = k.to.fields
	if k.cookies > 1 {
		s.Fields = k.to.joinCookies()
	}
	return true
}

// target judges the pseudo-fields (RFC 9113, 8.3.1 and 8.5; RFC 8441, 4).
func (k *fieldCheck) target() bool {
	s := k.s
	if k.pseudo&sawMethod == 0 || !isToken(s.Method) {
		return false
	}
	connect := string(s.Method) == "CONNECT"
	extended := k.pseudo&sawProtocol != 0
	if connect && !extended {
		if k.pseudo != sawMethod|sawAuthority || !isAuthority(s.Authority) {
			return false
		}
		s.Refusal = 405
		return true
	}
	if extended && !connect {
		return false
	}
	if k.pseudo&(sawScheme|sawPath) != sawScheme|sawPath {
		return false
	}
	if string(s.Scheme) != "http" && string(s.Scheme) != "https" {
		s.Refusal = 400
	}
	if string(s.Path) == "*" {
		if string(s.Method) != "OPTIONS" {
			return false
		}
	} else if len(s.Path) == 0 || s.Path[0] != '/' || !isVisible(s.Path) {
		return false
	}
	if extended && string(s.Protocol) != "websocket" {
		s.Refusal = 501
	}
	return k.authority()
}

// authority settles who the request is for: a Host field may only say the same
// as :authority, or stand in for it (RFC 9113, 8.3.1).
func (k *fieldCheck) authority() bool {
	s := k.s
	if k.hosts > 1 {
		return false
	}
	if k.pseudo&sawAuthority == 0 {
		s.Authority = k.host
	} else if k.hosts == 1 && !bytes.EqualFold(s.Authority, k.host) {
		return false
	}
	return isAuthority(s.Authority)
}

// joinCookies puts the crumbs of the cookie together, in the place of the first
// (RFC 9113, 8.2.3).
func (s *section) joinCookies() []Field {
	size, first := 0, -1
	for i := range s.fields {
		if string(s.fields[i].Name) == "cookie" {
			if first < 0 {
				first = i
			}
			size += len(s.fields[i].Value) + 2
		}
	}
	if cap(s.room)-len(s.room) < size {
		s.room = make([]byte, 0, max(2*cap(s.room), size))
	}
	at := len(s.room)
	kept := s.fields[:first+1]
	for i, f := range s.fields {
		if i != first && string(f.Name) != "cookie" {
			if i > first {
				kept = append(kept, f)
			}
			continue
		}
		if i > first {
			s.room = append(s.room, "; "...)
		}
		s.room = append(s.room, f.Value...)
	}
	kept[first].Value = s.room[at:len(s.room):len(s.room)]
	s.fields = kept
	return kept
}

// parseLength reads a content-length. -1 goes with false.
func parseLength(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 19 {
		return -1, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1, false
		}
		n = n*10 + uint64(c-'0')
	}
	if n > math.MaxInt64 {
		return -1, false
	}
	return int64(n), true
}

// Classes of bytes.
const (
	inToken     = 1 << iota // RFC 9110, 5.6.2
	inAuthority             // a host, a port, brackets; no userinfo (RFC 9113, 8.3.1)
	inName                  // a token without upper case
)

var classes = func() (t [256]uint8) {
	const alnum = "0123456789abcdefghijklmnopqrstuvwxyz"
	for _, c := range []byte("!#$%&'*+-.^_`|~" + alnum) {
		t[c] |= inToken | inName
	}
	for c := 'A'; c <= 'Z'; c++ {
		t[c] |= inToken | inAuthority
	}
	for _, c := range []byte("-._~!$&'()*+,;=:[]%" + alnum) {
		t[c] |= inAuthority
	}
	return t
}()

func isName(s string) bool {
	for i := range len(s) {
		if classes[s[i]]&inName == 0 {
			return false
		}
	}
	return len(s) > 0
}

func isToken(b []byte) bool { return isOf(b, inToken) }

func isAuthority(b []byte) bool { return isOf(b, inAuthority) }

func isOf(b []byte, class uint8) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return len(b) > 0
}

// isVisible reports whether b may be a request's path and query, as in HTTP/1.1.
func isVisible(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// isText reports whether b may be a field's value (RFC 9113, 8.2.1; RFC 9110,
// 5.5): no control character but HTAB, and no white space at the ends. It
// looks at eight bytes at a time.
func isText(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if isSpace(b[0]) || isSpace(b[len(b)-1]) {
		return false
	}
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		if ((x-0x20*ones)&^x|(del-ones)&^del)&highs != 0 && !isSlowText(b[i:i+8]) {
			return false
		}
	}
	return isSlowText(b[i:])
}

func isSlowText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }
