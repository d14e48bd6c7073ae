package http2

import "strconv"

// A Field is one field line. In a request both slices are valid until the
// handler returns, and the name is in lower case.
type Field struct {
	Name, Value []byte
}

// What precedes a literal (RFC 7541, 6.2.2 and 6.2.3).
const (
	literalPlain  = 0x00
	literalSecret = 0x10 // nobody on the way may put it into a table
)

// noTable is a dynamic table size update to zero (RFC 7541, 6.3).
const noTable = 0x20

// appendStatus begins a response's field block. The encoder keeps no dynamic
// table: the strings of a table would have to be kept and looked up for every
// field of every response, which costs more time than the bytes that it saves:
// the library's encoder takes fifteen times as long (BenchmarkAppendField).
// The size is stated once a block, so no change of the peer's setting calls
// for another update.
func appendStatus(dst []byte, status int) []byte {
	dst = append(dst, noTable)
	switch status {
	case 200:
		return append(dst, 0x80|8)
	case 204:
		return append(dst, 0x80|9)
	case 206:
		return append(dst, 0x80|10)
	case 304:
		return append(dst, 0x80|11)
	case 400:
		return append(dst, 0x80|12)
	case 404:
		return append(dst, 0x80|13)
	case 500:
		return append(dst, 0x80|14)
	}
	dst = append(dst, literalPlain|8, 3)
	return strconv.AppendInt(dst, int64(status), 10)
}

// appendFields appends literals for fields, their names in lower case. Fields
// that HTTP/2 doesn't have (RFC 9113, 8.2.2) are left out.
func appendFields(dst []byte, fields []Field) []byte {
	for i := range fields {
		dst = appendField(dst, fields[i].Name, fields[i].Value)
	}
	return dst
}

func appendField(dst, name, value []byte) []byte {
	var folded [longestName]byte
	if len(name) <= longestName {
		for i, c := range name {
			folded[i] = lowerCase[c]
		}
		if known := lookup(folded[:len(name)]); known != nil {
			if known.hop {
				return dst
			}
			dst = appendInt(dst, known.kind, 4, int(known.index))
			return appendString(dst, value)
		}
	}
	dst = append(dst, literalPlain)
	dst = appendInt(dst, 0, 7, len(name))
	for _, c := range name {
		dst = append(dst, lowerCase[c])
	}
	return appendString(dst, value)
}

// appendString appends a string without Huffman coding (RFC 7541, 5.2).
func appendString(dst, s []byte) []byte {
	return append(appendInt(dst, 0, 7, len(s)), s...)
}

// appendInt appends n with a prefix of some bits beside the bits in first
// (RFC 7541, 5.1).
func appendInt(dst []byte, first byte, bits, n int) []byte {
	top := 1<<bits - 1
	if n < top {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(top))
	for n -= top; n >= 0x80; n >>= 7 {
		dst = append(dst, 0x80|byte(n))
	}
	return append(dst, byte(n))
}

var lowerCase = func() (t [256]byte) {
	for c := range t {
		t[c] = byte(c)
		if 'A' <= c && c <= 'Z' {
			t[c] += 'a' - 'A'
		}
	}
	return t
}()

// staticName is what to do with a name that the encoder knows.
type staticName struct {
	name  string
	index uint8 // in the static table (RFC 7541, appendix A)
	kind  byte
	hop   bool // it doesn't exist in HTTP/2
}

// longestName is at least as long as every name that the encoder knows.
const longestName = 32

// lookup finds a name in lower case, nil if the encoder doesn't know it.
func lookup(name []byte) *staticName {
	if len(name) == 0 {
		return nil
	}
	for i := slotOf(name); staticNames[i].name != ""; i = (i + 1) % nameSlots {
		if staticNames[i].name == string(name) {
			return &staticNames[i]
		}
	}
	return nil
}

const nameSlots = 256

// slotOf tells names apart by their length and three of their letters.
func slotOf(name []byte) int {
	n := len(name)
	return int(uint8(n) + name[0] + 3*name[n/2] + 29*name[n-1])
}

var staticNames = func() (t [nameSlots]staticName) {
	add := func(s staticName) {
		i := slotOf([]byte(s.name))
		for t[i].name != "" {
			i = (i + 1) % nameSlots
		}
		t[i] = s
	}
	names := [...]string{
		"accept-charset", "accept-encoding", "accept-language", "accept-ranges", "accept",
		"access-control-allow-origin", "age", "allow", "authorization", "cache-control", "content-disposition",
		"content-encoding", "content-language", "content-length", "content-location", "content-range", "content-type",
		"cookie", "date", "etag", "expect", "expires", "from", "host", "if-match", "if-modified-since",
		"if-none-match", "if-range", "if-unmodified-since", "last-modified", "link", "location", "max-forwards",
		"proxy-authenticate", "proxy-authorization", "range", "referer", "refresh", "retry-after", "server",
		"set-cookie", "strict-transport-security", "transfer-encoding", "user-agent", "vary", "via", "www-authenticate",
	}
	const first = 15 // before it are the pseudo-fields
	for i, name := range names {
		s := staticName{name: name, index: uint8(first + i)}
		switch name {
		case "authorization", "cookie", "proxy-authorization", "set-cookie":
			s.kind = literalSecret
		case "transfer-encoding":
			s.hop = true
		}
		add(s)
	}
	for _, name := range [...]string{"connection", "keep-alive", "proxy-connection", "upgrade"} {
		add(staticName{name: name, hop: true})
	}
	return t
}()
