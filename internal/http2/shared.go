package http2

// What a peer has put into the table of HPACK it can name with a byte or two,
// in every request again. A copy for each request would let it fill much more
// memory than it has bytes sent, so requests share the copies of strings that
// are longer than sharedFrom.
const (
	sharedFrom  = 64
	sharedUpTo  = tableSize
	sharedCount = 48 // more than the table holds of that length
)

// sharedStrings remembers the last long strings that the decoder gave.
type sharedStrings struct {
	seen []sharedString
	next int
}

type sharedString struct {
	v    string
	copy []byte // made when v is seen again, and never written to after that
}

// find returns a copy of v that others may hold too, or nil if v was not seen
// before. Strings of the table are the same ones each time, so they compare at once.
func (s *sharedStrings) find(v string) []byte {
	for i := range s.seen {
		e := &s.seen[i]
		if e.v != v {
			continue
		}
		if e.copy == nil {
			e.copy = []byte(v)
		}
		return e.copy[:len(v):len(v)]
	}
	if len(s.seen) < sharedCount {
		s.seen = append(s.seen, sharedString{v: v})
		return nil
	}
	s.seen[s.next] = sharedString{v: v}
	s.next = (s.next + 1) % sharedCount
	return nil
}
