package http2

import "sync"

// chunkList is a body on its way from the reader to the handler, in chunks of
// a size that fits it.
type chunkList struct {
	first, last *chunk
	size        int
}

type chunk struct {
	buf  []byte
	r, w int
	next *chunk
	pool *sync.Pool
}

// What a chunk may hold. Many streams with a byte each must not hold much more
// than that.
const smallChunk, middleChunk, largeChunk = 1 << 10, 4 << 10, 16 << 10

var smallChunks, middleChunks, largeChunks = chunkPool(smallChunk), chunkPool(middleChunk), chunkPool(largeChunk)

func chunkPool(size int) *sync.Pool {
	pool := new(sync.Pool)
	pool.New = func() any { return &chunk{buf: make([]byte, size), pool: pool} }
	return pool
}

// newChunk returns a chunk for size bytes, or the first of them.
func newChunk(size int) *chunk {
	pool := largeChunks
	if size <= smallChunk {
		pool = smallChunks
	} else if size <= middleChunk {
		pool = middleChunks
	}
	return pool.Get().(*chunk)
}

func (k *chunk) put() {
	k.r, k.w, k.next = 0, 0, nil
	k.pool.Put(k)
}

func (l *chunkList) write(p []byte) {
	for len(p) > 0 {
		if l.last == nil || l.last.w == len(l.last.buf) {
			k := newChunk(max(len(p), l.size)) // what has come already tells how much will
			if l.last == nil {
				l.first = k
			} else {
				l.last.next = k
			}
			l.last = k
		}
		n := copy(l.last.buf[l.last.w:], p)
		l.last.w += n
		l.size += n
		p = p[n:]
	}
}

func (l *chunkList) read(p []byte) (n int) {
	for n < len(p) && l.first != nil {
		k := l.first
		m := copy(p[n:], k.buf[k.r:k.w])
		n += m
		if k.r += m; k.r == k.w {
			l.shift()
		}
	}
	l.size -= n
	return n
}

func (l *chunkList) shift() {
	k := l.first
	if l.first = k.next; l.first == nil {
		l.last = nil
	}
	k.put()
}

// drop empties the list and returns how much it held.
func (l *chunkList) drop() int {
	n := l.size
	for l.first != nil {
		l.shift()
	}
	l.size = 0
	return n
}
