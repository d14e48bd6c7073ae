package route

import (
	"maps"
	"slices"
	"strings"
)

// A packer turns trees into the flat slices of a Table.
type packer struct {
	table *Table
	edges []edge
}

// pack returns the Table for the trees of all hosts, "" being any host.
func pack(hosts map[string]*tree) *Table {
	k := packer{table: &Table{nodes: []node{{anyMethod: none}}}}
	k.table.anyHost = k.add(hosts[""], "")
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		if host != "" {
			k.table.byHost = true
			k.link(root, host, k.add(hosts[host], host))
		}
	}
	k.spread()
	return k.table
}

// add packs t and all below it, wildcard children next to their parents, and
// returns its place. A tree that isn't there has place 0.
func (k *packer) add(t *tree, text string) int32 {
	if t == nil {
		return 0
	}
	id := int32(len(k.table.nodes))
	n := node{text: text, literals: len(t.literals) > 0}
	n.leaves, n.anyMethod = k.leaves(t.ends)
	k.table.nodes = append(k.table.nodes, n)
	// The recursion may move the nodes, so n is written again at its end.
	n.slash = k.add(t.slash, "")
	n.single = k.add(t.single, "")
	n.multi = k.add(t.multi, "")
	for _, text := range slices.Sorted(maps.Keys(t.literals)) {
		k.link(id, text, k.add(t.literals[text], text))
	}
	k.table.nodes[id] = n
	return id
}

// leaves returns the patterns that name a method, HEAD before GET, which
// matches HEAD too, and the one that names none.
func (k *packer) leaves(ends []*pattern) (named []leaf, anyMethod int32) {
	anyMethod = none
	ordered := slices.SortedFunc(slices.Values(ends), func(p, q *pattern) int {
		return strings.Compare(q.method, p.method)
	})
	for _, p := range ordered {
		if p.method == "" {
			anyMethod = int32(p.index)
		} else {
			named = append(named, leaf{k.method(p.method), int32(p.index)})
		}
	}
	return named, anyMethod
}

// method returns the number of m in the table.
func (k *packer) method(m string) int32 {
	i := slices.Index(k.table.methods, m)
	if i < 0 {
		i = len(k.table.methods)
		k.table.methods = append(k.table.methods, m)
	}
	return int32(i)
}

// link notes that text leads from parent to child.
func (k *packer) link(parent int32, text string, child int32) {
	h := newHash(parent).text(text)
	k.edges = append(k.edges, edge{hash: h, parent: parent, child: child})
}

// spread makes the hash table of the edges, at most half full, so that a
// search ends soon.
func (k *packer) spread() {
	size := 2
	for size < 2*len(k.edges) {
		size *= 2
	}
	k.table.edges = make([]edge, size)
	k.table.mask = uint32(size - 1)
	for _, e := range k.edges {
		i := e.hash.slot(k.table.mask)
		for k.table.edges[i].child != 0 {
			i = (i + 1) & k.table.mask
		}
		k.table.edges[i] = e
	}
}
