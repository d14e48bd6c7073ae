package route

import "slices"

// A tree holds the patterns of one host by the segments of their paths. It
// finds conflicts while a Table is built, and is then packed into the Table (pack.go).
type tree struct {
	literals             map[string]*tree
	slash, single, multi *tree
	ends                 []*pattern // those whose path ends here; they differ by method
}

// add puts p into the tree.
func (t *tree) add(p *pattern) {
	for _, seg := range p.path {
		t = t.grow(seg)
	}
	t.ends = append(t.ends, p)
}

// grow returns the child for seg, a new one if need be.
func (t *tree) grow(seg segment) *tree {
	switch seg.kind {
	case slash:
		return orNew(&t.slash)
	case single:
		return orNew(&t.single)
	case multi:
		return orNew(&t.multi)
	}
	child := t.literals[seg.text]
	if child == nil {
		child = &tree{}
		if t.literals == nil {
			t.literals = make(map[string]*tree)
		}
		t.literals[seg.text] = child
	}
	return child
}

func orNew(t **tree) *tree {
	if *t == nil {
		*t = &tree{}
	}
	return *t
}

// overlapping calls visit for each pattern in the tree whose path has a common
// match with path.
func (t *tree) overlapping(path []segment, visit func(*pattern)) {
	switch {
	case t == nil:
		return
	case len(path) == 0:
		t.visitEnds(visit)
		return
	case path[0].kind == multi:
		t.children(func(c *tree) { c.all(visit) })
		return
	}
	t.multi.visitEnds(visit)
	seg, rest := path[0], path[1:]
	switch seg.kind {
	case slash:
		t.slash.overlapping(rest, visit)
	case literal:
		t.literals[seg.text].overlapping(rest, visit)
		t.single.overlapping(rest, visit)
	case single:
		for _, c := range t.literals {
			c.overlapping(rest, visit)
		}
		t.single.overlapping(rest, visit)
	}
}

func (t *tree) visitEnds(visit func(*pattern)) {
	if t == nil {
		return
	}
	for _, p := range t.ends {
		visit(p)
	}
}

// all calls visit for each pattern in the tree.
func (t *tree) all(visit func(*pattern)) {
	t.visitEnds(visit)
	t.children(func(c *tree) { c.all(visit) })
}

func (t *tree) children(visit func(*tree)) {
	for _, c := range t.literals {
		visit(c)
	}
	for _, c := range []*tree{t.slash, t.single, t.multi} {
		if c != nil {
			visit(c)
		}
	}
}

// plant makes a tree for each host and returns them with the conflicts found.
//
// Patterns go in from the general to the specific, compared by the kinds of
// their segments. So a pattern that meets another is, at the first step where
// they differ in kind, the more specific of the two, and its way through the tree
// is one literal or one wildcard child, not all the children of a node. In the
// opposite order five thousand patterns like /{tenant}/action-1 would each look at
// all of five thousand like /shelf-1/file: seven seconds instead of a tenth of one.
func plant(patterns []*pattern) (map[string]*tree, []*PatternError) {
	ordered := slices.Clone(patterns)
	slices.SortStableFunc(ordered, func(p, q *pattern) int {
		return slices.CompareFunc(p.path, q.path, func(a, b segment) int {
			return int(b.kind) - int(a.kind)
		})
	})
	trees := make(map[string]*tree)
	var conflicts []*PatternError
	for _, p := range ordered {
		t := trees[p.host]
		if t == nil {
			t = &tree{}
			trees[p.host] = t
		}
		t.overlapping(p.path, func(q *pattern) {
			if len(conflicts) < maxConflicts && compare(p, q).conflicting() {
				conflicts = append(conflicts, newConflict(p, q))
			}
		})
		t.add(p)
	}
	return trees, conflicts
}

func newConflict(p, q *pattern) *PatternError {
	if p.index < q.index {
		p, q = q, p
	}
	return &PatternError{Index: p.index, Other: q.index, Msg: describe(p, q)}
}
