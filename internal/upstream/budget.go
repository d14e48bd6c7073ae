package upstream

import (
	"errors"
	"sync/atomic"
)

// A Budget bounds the connections of several origins together: what the
// process's file descriptors allow. Nil means no bound. Safe for concurrent use.
type Budget struct{ size, left atomic.Int64 }

// NewBudget returns a Budget of n connections.
func NewBudget(n int) *Budget {
	b := &Budget{}
	b.Resize(n)
	return b
}

// Resize makes it a Budget of n connections. Those that are open stay, also
// where they are more. One goroutine at a time may call it.
func (b *Budget) Resize(n int) { b.left.Add(int64(n) - b.size.Swap(int64(n))) }

// errBudget says that a Budget is used up.
var errBudget = errors.New("all the connections to origins that the file-descriptor limit allows are in use")

// take reports whether one more connection may be opened.
func (b *Budget) take() bool {
	if b == nil {
		return true
	}
	if b.left.Add(-1) < 0 {
		b.left.Add(1)
		return false
	}
	return true
}

// give returns what take took.
func (b *Budget) give() {
	if b != nil {
		b.left.Add(1)
	}
}
