package proxy

import (
	"sync"

	"github.com/fairlead/fairlead/internal/http1"
)

const (
	// inSize holds nearly every request head, with what follows it.
	inSize = 4 << 10
	// outSize holds nearly every head that is written.
	outSize = 4 << 10
	// bulkSize is for what comes from an origin, and for bodies on their way
	// there: it holds the head and the whole of a body of 64 KiB, with the
	// room around it, so that such a response is one read and one write.
	bulkSize = 80 << 10

	// roomBefore is kept free in front of what is read from an origin, so
	// that a head or a chunk's size can be put before a body without moving it.
	roomBefore = 512
	// roomAfter is kept free behind it, for the end of a chunk and of a message.
	roomAfter = 16
)

// buffers are what one exchange needs. A connection has them only while it has
// a request.
type buffers struct {
	in   []byte  // from the client
	out  []byte  // heads: to the origin, then to the client
	resp []byte  // from the origin; nil until there is something to read
	bulk *[]byte // what resp was taken from the pool as

	reqFields, respFields []http1.Field
}

var bufferPool = sync.Pool{New: func() any {
	return &buffers{in: make([]byte, inSize), out: make([]byte, 0, outSize)}
}}

// takeBuffers gives the exchange what it needs for a request.
func (x *exchange) takeBuffers() *buffers {
	b := bufferPool.Get().(*buffers)
	x.buf, x.req.Fields, x.resp.Fields = b, b.reqFields, b.respFields
	return b
}

// giveBuffers returns the exchange's buffers. Those that had to grow are left
// to the collector.
func (x *exchange) giveBuffers() {
	b := x.buf
	b.reqFields, b.respFields = x.req.Fields[:0], x.resp.Fields[:0]
	x.buf, x.req.Fields, x.resp.Fields = nil, nil, nil
	if len(b.in) != inSize {
		b.in = make([]byte, inSize)
	}
	if cap(b.out) > 4*outSize {
		b.out = make([]byte, 0, outSize)
	}
	b.dropResp()
	bufferPool.Put(b)
}

// respSpace is where a response is read to. Nobody who only waits for one has
// a buffer for it.
func (x *exchange) respSpace() []byte {
	b := x.buf
	if b.resp == nil {
		b.bulk = bulkPool.Get().(*[]byte)
		b.resp = *b.bulk
	}
	return b.resp[roomBefore : len(b.resp)-roomAfter]
}

// dropResp gives up the buffer of a response that is over.
func (b *buffers) dropResp() {
	if b.bulk != nil {
		bulkPool.Put(b.bulk)
	}
	b.resp, b.bulk = nil, nil
}

// growResp makes room for a response head of more bytes, up to a limit. It
// reports whether there is more room now.
func (b *buffers) growResp(limit int) bool {
	have := len(b.resp) - roomBefore - roomAfter
	if have >= limit {
		return false
	}
	grown := make([]byte, min(2*have, limit)+roomBefore+roomAfter)
	copy(grown, b.resp)
	b.resp = grown
	return true
}

// framePool is for bodies that come in frames of HTTP/2, which are no larger
// than 16 KiB: many streams may wait for one at a time.
var framePool = sync.Pool{New: func() any { b := make([]byte, 16<<10+roomBefore+roomAfter); return &b }}

// waitPool is for the first of a response that is waited for while a request's
// body is still on its way, which may take long.
var waitPool = sync.Pool{New: func() any { b := make([]byte, 1<<10); return &b }}

var bulkPool = sync.Pool{New: func() any { b := make([]byte, bulkSize); return &b }}
