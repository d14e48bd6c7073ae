package http2

import (
	"iter"
	"slices"
)

// streamTable finds open streams by their number. Numbers of one client are
// every second one in turn, so a few of its low bits spread them evenly.
type streamTable struct {
	slots []*Stream // each the first of a list
}

const tableSlots = 64

func (t *streamTable) slot(id uint32) **Stream { return &t.slots[id/2%tableSlots] }

// find returns the open stream of that number, nil if there is none.
func (t *streamTable) find(id uint32) *Stream {
	if t.slots == nil {
		return nil
	}
	s := *t.slot(id)
	for s != nil && s.id != id {
		s = s.nextInSlot
	}
	return s
}

func (t *streamTable) add(s *Stream) {
	if t.slots == nil {
		t.slots = make([]*Stream, tableSlots)
	}
	at := t.slot(s.id)
	s.nextInSlot = *at
	*at = s
}

func (t *streamTable) remove(s *Stream) {
	at := t.slot(s.id)
	for *at != s {
		at = &(*at).nextInSlot
	}
	*at = s.nextInSlot
	s.nextInSlot = nil
}

// all yields every open stream, which may be removed meanwhile.
func (t *streamTable) all() iter.Seq[*Stream] {
	return func(yield func(*Stream) bool) {
		for _, s := range t.slots {
			for s != nil {
				next := s.nextInSlot
				if !yield(s) {
					return
				}
				s = next
			}
		}
	}
}

// recently is how many closed streams of a kind are remembered.
const recently = 128

// closedRing remembers streams that were closed in one way.
type closedRing struct {
	ids       []uint32
	next      int
	forgotten uint32 // the highest number that is not remembered any more
}

func (r *closedRing) add(id uint32) {
	if r.ids == nil {
		r.ids = make([]uint32, recently)
	}
	r.forgotten = max(r.forgotten, r.ids[r.next])
	r.ids[r.next] = id
	r.next = (r.next + 1) % recently
}

// has reports whether a stream is remembered.
func (r *closedRing) has(id uint32) bool { return slices.Contains(r.ids, id) }

// mayHave reports whether a stream is remembered or may have been forgotten.
func (r *closedRing) mayHave(id uint32) bool { return id <= r.forgotten || r.has(id) }

// mayComeLocked reports whether frames may come on a stream that is not open,
// because it was us who ended or refused it (RFC 9113, 5.1, "closed"). They are
// ignored then, however late. When in doubt they may.
func (c *Conn) mayComeLocked(id uint32) bool {
	return c.final && id > c.acceptedID || c.resets.mayHave(id) && !c.finished.has(id)
}

// waitQueue is a list of streams, first in, first out. A stream is in one at most.
type waitQueue struct{ first, last *Stream }

func (q *waitQueue) push(s *Stream) {
	s.nextInQueue = nil
	if q.last == nil {
		q.first = s
	} else {
		q.last.nextInQueue = s
	}
	q.last = s
}

func (q *waitQueue) pop() *Stream {
	s := q.first
	if s != nil {
		if q.first = s.nextInQueue; q.first == nil {
			q.last = nil
		}
		s.nextInQueue = nil
	}
	return s
}

// waitList is streams whose handlers wait for the connection. Each is woken in
// its turn.
type waitList struct{ q waitQueue }

func (l *waitList) empty() bool { return l.q.first == nil }

func (l *waitList) push(s *Stream) {
	s.list = l
	l.q.push(s)
}

func (l *waitList) pop() *Stream {
	s := l.q.pop()
	if s != nil {
		s.list = nil
	}
	return s
}

// remove takes out a stream that doesn't wait any more.
func (l *waitList) remove(s *Stream) {
	var rest waitQueue
	for t := l.q.pop(); t != nil; t = l.q.pop() {
		if t != s {
			rest.push(t)
		}
	}
	l.q, s.list = rest, nil
}
