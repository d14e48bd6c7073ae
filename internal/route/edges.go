package route

// A reading says how the bytes of a request stand for a text of the table.
type reading uint8

const (
	raw     reading = iota // as they are
	decoded                // percent-encoded, all of it valid
	folded                 // a host: in either case
)

// literalChild returns the child of node id that the segment leads to, or 0.
func (t *Table) literalChild(id int32, seg []byte) int32 {
	if !t.nodes[id].literals {
		return 0
	}
	h := newHash(id)
	for _, c := range seg {
		if c == '%' && validEscapes(seg) {
			return t.find(id, newHash(id).decoded(seg), seg, decoded)
		}
		h = h.add(c)
	}
	return t.find(id, h, seg, raw)
}

// hostTree returns the tree of the patterns for this host, or 0.
func (t *Table) hostTree(name []byte) int32 {
	return t.find(root, newHash(root).folded(name), name, folded)
}

// find returns the child of node parent whose text has the hash h and b stands
// for, or 0.
func (t *Table) find(parent int32, h hash, b []byte, as reading) int32 {
	for i := h.slot(t.mask); ; i = (i + 1) & t.mask {
		e := &t.edges[i]
		if e.child == 0 {
			return 0
		}
		if e.hash == h && e.parent == parent && as.equal(b, t.nodes[e.child].text) {
			return e.child
		}
	}
}

// A hash is FNV-1a, begun with the node that the edge leaves. It is made byte
// by byte, so that an encoded segment needs no buffer to be decoded into. A client
// can choose what it asks for but not what is in the table, so a hash without a
// secret will do.
type hash uint32

const prime = 16777619

func newHash(parent int32) hash { return (2166136261 ^ hash(parent)) * prime }

func (h hash) add(c byte) hash { return (h ^ hash(c)) * prime }

// slot returns where the search for the hash begins. The multiplications have
// moved the last byte's weight upwards, so the upper bits are mixed in.
func (h hash) slot(mask uint32) uint32 { return uint32(h^h>>16) & mask }

func (h hash) text(s string) hash {
	for i := range len(s) {
		h = h.add(s[i])
	}
	return h
}

// folded adds the text that the host b stands for.
func (h hash) folded(b []byte) hash {
	for _, c := range b {
		h = h.add(foldByte(c))
	}
	return h
}

// decoded adds the text that b, whose percent-encoding is valid, stands for.
func (h hash) decoded(b []byte) hash {
	for len(b) > 0 {
		var c byte
		c, b = decodeByte(b)
		h = h.add(c)
	}
	return h
}

// equal reports whether b stands for text.
func (as reading) equal(b []byte, text string) bool {
	switch as {
	case raw:
		return string(b) == text
	case folded:
		return equalFolded(b, text)
	default:
		return equalDecoded(b, text)
	}
}

// equalFolded compares b with a text in lower case.
func equalFolded(b []byte, text string) bool {
	if len(b) != len(text) {
		return false
	}
	for i, c := range b {
		if foldByte(c) != text[i] {
			return false
		}
	}
	return true
}

// equalDecoded compares b, whose percent-encoding is valid, with a text.
func equalDecoded(b []byte, text string) bool {
	for i := range len(text) {
		if len(b) == 0 {
			return false
		}
		var c byte
		if c, b = decodeByte(b); c != text[i] {
			return false
		}
	}
	return len(b) == 0
}

// foldByte makes an ASCII letter small.
func foldByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// decodeByte returns the first byte that b stands for, and what follows it.
func decodeByte(b []byte) (byte, []byte) {
	if b[0] != '%' {
		return b[0], b[1:]
	}
	return unhex(b[1])<<4 | unhex(b[2]), b[3:]
}

// validEscapes reports whether each percent sign of b has its two digits.
func validEscapes(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if b[i] != '%' {
			continue
		}
		if i+2 >= len(b) || unhex(b[i+1]) > 15 || unhex(b[i+2]) > 15 {
			return false
		}
		i += 2
	}
	return true
}

// unhex returns the value of a hexadecimal digit, 255 for anything else.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
