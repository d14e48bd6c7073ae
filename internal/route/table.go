// Package route finds the route of a request: an immutable table of patterns with
// the syntax and the precedence of net/http.ServeMux, matched on the bytes of the
// request without allocating.
//
//	table, err := route.NewTable([]string{
//		"/",
//		"GET /product/{id}",
//		"admin.example.com/",
//	})
//	...
//	i := table.Match([]byte("HEAD"), []byte("example.com:8080"), []byte("/product/7")) // 1
//
// A pattern is [METHOD ][HOST]/[PATH]. A path's segment is a literal, {name} for
// any one segment, {name...} at the end for all that is left, or {$} at the end
// for the trailing slash alone; a path that ends in a slash matches all that begins
// with it. GET matches HEAD too. Of two patterns that match a request, the one with
// a host wins, then the more specific one; if neither is, they conflict, and the
// table is refused.
//
// The package refuses to redirect and to clean. ServeMux sends /tree to /tree/ and
// //x to /x, and answers 405; here /tree doesn't match "/tree/", an empty segment
// is a segment, and a method that no pattern takes is no match. What else differs
// from ServeMux:
//
//   - A host is compared without regard to case, a final dot, and the brackets
//     of an IPv6 address. A pattern with a port or a wildcard in its host, which
//     could never match, is refused.
//   - Patterns with empty segments may have a method, since such paths are not
//     cleaned away. One with a ".." segment is refused: no request with such a path
//     gets as far as routing.
//   - An empty segment in a pattern is a literal and matches only an empty
//     segment.
//
// What doesn't differ, though one could wish it did: a segment that consists of an
// encoded slash alone (%2F) is taken for the trailing slash, so {name} doesn't
// match it.
package route

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// maxConflicts bounds the report about a hopeless table: ten thousand equal
// patterns make fifty million conflicting pairs.
const maxConflicts = 1000

// A PatternError is what is wrong with one pattern of a table.
type PatternError struct {
	Index int    // of the pattern
	Other int    // of the earlier pattern that it conflicts with; -1: the pattern itself is bad
	Msg   string // names the patterns, not their indexes
}

// Error returns the message with the pattern's index in front.
func (e *PatternError) Error() string { return fmt.Sprintf("pattern %d: %s", e.Index, e.Msg) }

const (
	none = -1 // no pattern, no method
	root = 0  // the node whose literal children are the hosts; as a child: none
)

// A Table matches requests to patterns. It is immutable: all methods may be
// called from any goroutine. The zero value matches nothing.
//
// Inside it is a tree whose nodes lie in one slice, and whose edges with a text lie in
// one hash table for all nodes. A Go map in each node would be simpler, but it costs
// some four cache misses a step, and with ten thousand routes nothing is in the
// cache.
type Table struct {
	nodes   []node
	edges   []edge // open addressing, linear probing; child 0: free
	mask    uint32 // len(edges)-1, a power of two minus one
	methods []string
	anyHost int32 // the tree of the patterns without a host; 0: none
	byHost  bool  // some patterns have a host
}

// A node is a place in the tree. Its children are indexes of nodes; 0 is none.
type node struct {
	text                 string // of the edge that leads here, decoded
	leaves               []leaf // patterns that end here and name a method
	anyMethod            int32  // pattern that ends here and names none, or none
	slash, single, multi int32
	literals             bool // some edge leads on from here
}

// A leaf is the end of a pattern with a method.
type leaf struct{ method, pattern int32 }

// An edge leads from a node to the child whose text has this hash.
type edge struct {
	hash          hash
	parent, child int32
}

// A method is a request's method, as numbers in Table.methods.
type method struct {
	is   int32 // or none, if no pattern names it
	also int32 // GET for a HEAD, else none
}

// NewTable returns the table of the patterns. If any is bad or two of them
// conflict, the table is nil and the error is made by errors.Join of a
// *PatternError for each bad pattern and each conflicting pair, ordered by
// Index and Other; after 1000 conflicts it looks for no more.
func NewTable(patterns []string) (*Table, error) {
	var good []*pattern
	var bad []*PatternError
	for i, s := range patterns {
		p, err := parsePattern(i, s)
		if err != nil {
			bad = append(bad, &PatternError{Index: i, Other: -1, Msg: err.Error()})
			continue
		}
		good = append(good, p)
	}
	hosts, conflicts := plant(good)
	if bad = append(bad, conflicts...); len(bad) > 0 {
		return nil, join(bad)
	}
	return pack(hosts), nil
}

func join(problems []*PatternError) error {
	slices.SortFunc(problems, func(a, b *PatternError) int {
		return cmp.Or(a.Index-b.Index, a.Other-b.Other)
	})
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// Match returns the index of the pattern that a request belongs to, or -1. The
// host may have a port, which is ignored, and may be empty; the path is the
// undecoded one, without the query. Each segment is compared in its decoded form,
// or as it is if its percent-encoding is bad. A path that does not begin with a
// slash matches nothing. Match does not allocate.
func (t *Table) Match(method, host, path []byte) int {
	if len(path) == 0 || path[0] != '/' {
		return none
	}
	m := t.method(method)
	if t.byHost {
		if tree := t.hostTree(hostName(host)); tree != 0 {
			if i := t.walk(tree, path, m); i != none {
				return int(i)
			}
		}
	}
	if t.anyHost == 0 {
		return none
	}
	return int(t.walk(t.anyHost, path, m))
}

func (t *Table) method(name []byte) method {
	m := method{none, none}
	head := string(name) == "HEAD"
	for i, s := range t.methods {
		if s == string(name) {
			m.is = int32(i)
		}
		if head && s == "GET" {
			m.also = int32(i)
		}
	}
	return m
}

// walk returns the pattern below node id that matches the path and the method.
//
// At each node it tries the literal child, then {name}, then {name...}, and comes
// back when a branch ends in nothing. The first find is the most specific match:
// patterns that match the same request are comparable, else they conflict, and the
// more specific one is never to the right of the other at any step. Within one
// node the same holds for the methods. No node is visited twice, so the work is
// bounded by the table and not by what the client sends.
func (t *Table) walk(id int32, path []byte, m method) int32 {
	for len(path) > 0 {
		n := &t.nodes[id]
		seg, rest, isSlash := cut(path)
		narrow, wide := n.slash, int32(0)
		if !isSlash {
			narrow, wide = t.literalChild(id, seg), n.single
		}
		switch { // the last way open needs no recursion
		case narrow != 0 && wide == 0 && n.multi == 0:
			id, path = narrow, rest
			continue
		case narrow == 0 && wide != 0 && n.multi == 0:
			id, path = wide, rest
			continue
		}
		if narrow != 0 {
			if i := t.walk(narrow, rest, m); i != none {
				return i
			}
		}
		if wide != 0 {
			if i := t.walk(wide, rest, m); i != none {
				return i
			}
		}
		return t.end(n.multi, m)
	}
	return t.end(id, m)
}

// cut splits path, which begins with a slash, after its first segment, and
// reports whether that is the trailing slash or passes for it.
func cut(path []byte) (seg, rest []byte, isSlash bool) {
	seg = path[1:]
	if i := bytes.IndexByte(seg, '/'); i >= 0 {
		seg, rest = seg[:i], seg[i:]
	} else if len(seg) == 0 {
		return nil, nil, true
	}
	isSlash = len(seg) == 3 && seg[0] == '%' && seg[1] == '2' && seg[2]|0x20 == 'f'
	return seg, rest, isSlash
}

// end returns the pattern that ends at node id and takes the method.
func (t *Table) end(id int32, m method) int32 {
	n := &t.nodes[id]
	for _, l := range n.leaves {
		if l.method == m.is || l.method == m.also {
			return l.pattern
		}
	}
	return n.anyMethod
}

// hostName returns a Host without its port, the brackets of an IPv6 address
// and the final dot of a fully qualified name.
func hostName(h []byte) []byte {
	if len(h) > 0 && h[0] == '[' {
		if i := bytes.IndexByte(h, ']'); i > 0 {
			return h[1:i]
		}
		return h
	}
	if i := bytes.IndexByte(h, ':'); i >= 0 && bytes.IndexByte(h[i+1:], ':') < 0 {
		h = h[:i]
	}
	return bytes.TrimSuffix(h, dot)
}

var dot = []byte{'.'}
