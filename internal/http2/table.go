package http2

import "iter"

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

// recently is how many closed streams are remembered.
const recently = 128

// closedRing remembers which streams were closed last, and whether more frames
// may be on their way, because it was us who ended the stream before the client
// had (RFC 9113, 5.1, "closed").
type closedRing struct {
	ids  []uint32 // number*2, +1 if frames may come
	next int
}

func (r *closedRing) add(id uint32, mayCome bool) {
	if r.ids == nil {
		r.ids = make([]uint32, recently)
	}
	v := id << 1
	if mayCome {
		v |= 1
	}
	r.ids[r.next] = v
	r.next = (r.next + 1) % recently
}

// find reports whether a stream was closed recently, and whether frames may come.
func (r *closedRing) find(id uint32) (known, mayCome bool) {
	for _, v := range r.ids {
		if v>>1 == id && v != 0 {
			return true, v&1 != 0
		}
	}
	return false, false
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
