package route

import (
	"fmt"
	"strings"
)

// A relation says how what pattern p matches relates to what pattern q
// matches, be it methods, paths or both. It is a set of facts, so the relation of
// wholes is the union of the relations of their parts.
//
//	0                 p and q match the same
//	wider             p matches all that q does, and more
//	narrower          q matches all that p does, and more
//	wider | narrower  both match something that the other doesn't
//	disjoint, with or without others: nothing is matched by both
type relation uint8

const (
	wider relation = 1 << iota
	narrower
	disjoint
)

// conflicting reports whether some request is matched by both patterns and
// neither is more specific. Patterns of different hosts never conflict: either one
// has none, and gives way, or no request has both hosts.
func (r relation) conflicting() bool { return r == 0 || r == wider|narrower }

func compare(p, q *pattern) relation {
	return compareMethods(p.method, q.method) | comparePaths(p.path, q.path)
}

// compareMethods knows that no method means any, and that GET matches HEAD too.
func compareMethods(p, q string) relation {
	switch {
	case p == q:
		return 0
	case p == "", p == "GET" && q == "HEAD":
		return wider
	case q == "", p == "HEAD" && q == "GET":
		return narrower
	}
	return disjoint
}

func comparePaths(p, q []segment) relation {
	var r relation
	for i := 0; i < len(p) && i < len(q); i++ {
		switch a, b := p[i], q[i]; {
		case a.kind == multi && b.kind == multi:
			return r
		case a.kind == multi:
			return r | wider
		case b.kind == multi:
			return r | narrower
		case a.kind == single && b.kind == single:
		case a.kind == single && b.kind == literal:
			r |= wider
		case a.kind == literal && b.kind == single:
			r |= narrower
		case a.kind != b.kind || a.text != b.text:
			return disjoint
		}
	}
	if len(p) != len(q) {
		return disjoint
	}
	return r
}

// describe says why p, the later pattern, conflicts with q.
func describe(p, q *pattern) string {
	methods, paths := compareMethods(p.method, q.method), comparePaths(p.path, q.path)
	switch {
	case methods|paths == 0:
		return fmt.Sprintf("%q matches the same requests as %q", p.str, q.str)
	case paths == wider|narrower:
		return fmt.Sprintf("%q and %q both match %q, but neither is more specific", p.str, q.str, commonPath(p.path, q.path))
	case paths&wider != 0:
		return fmt.Sprintf("%q matches more paths than %q, but fewer methods", p.str, q.str)
	default:
		return fmt.Sprintf("%q matches more methods than %q, but fewer paths", p.str, q.str)
	}
}

// commonPath returns a path that both p and q match. There must be one. Of the
// two segments at each step the narrower one decides; a wildcard stands for its own
// name.
func commonPath(p, q []segment) string {
	var b strings.Builder
	for len(p) > 0 || len(q) > 0 {
		var s segment
		switch {
		case len(p) == 0:
			s, q = q[0], q[1:]
		case len(q) == 0:
			s, p = p[0], p[1:]
		default:
			s = p[0]
			if q[0].kind < s.kind {
				s = q[0]
			}
			p, q = p[1:], q[1:]
		}
		b.WriteByte('/')
		if s.kind == literal || s.kind == single {
			b.WriteString(s.text)
		}
	}
	return b.String()
}
