package proxy

// slots is a set whose members know their place in it, so that entering and
// leaving take no search and no memory of their own. Its owner guards it.
type slots[T interface{ place() *int }] []T

func (s *slots[T]) add(t T) {
	*t.place() = len(*s)
	*s = append(*s, t)
}

// remove takes out t, which must be in the set.
func (s *slots[T]) remove(t T) {
	all := *s
	last := len(all) - 1
	at, moved := *t.place(), all[last]
	all[at], *moved.place() = moved, at
	clear(all[last:])
	*s = all[:last]
}
