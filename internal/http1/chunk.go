package http1

import (
	"bytes"
	"strconv"
)

const (
	maxSizeDigits   = 16      // as many as an int64 needs
	maxExtension    = 256     // bytes of one chunk's extensions
	maxTrailerBytes = 8 << 10 // of a trailer section with its empty line
)

type chunkState uint8

// The states of a ChunkDecoder: what the next byte belongs to.
const (
	chunkSize      chunkState = iota // a size, its digits so far in digits
	chunkExtension                   // an extension, its length so far in extension
	chunkSizeLF                      // the LF after a size
	chunkData                        // data, remaining of it to come
	chunkDataCR                      // the CR after data
	chunkDataLF                      // the LF after data
	chunkTrailers                    // the trailer section, so far in section
	chunkDone                        // the next message
	chunkFailed                      // nothing; err says why
)

// A ChunkDecoder takes the framing off a chunked body (RFC 9112, 7.1),
// whatever pieces it arrives in. The zero value is at the beginning of a body.
// It copies no data; it keeps what has arrived of a trailer section.
type ChunkDecoder struct {
	state     chunkState
	digits    int
	extension int
	remaining int64 // of this chunk's data; while the size is read, its value so far
	section   []byte
	trailers  []Field
	err       error
}

// Reset prepares d for another body. The memory of trailers is kept.
func (d *ChunkDecoder) Reset() {
	*d = ChunkDecoder{section: d.section[:0], trailers: d.trailers[:0]}
}

// Done reports whether the body has ended, trailers and all.
func (d *ChunkDecoder) Done() bool { return d.state == chunkDone }

// Trailers returns the trailer fields, which are valid until Reset. Before
// Done there are none. Fields that may not come this late are not among them:
// framing, routing, credentials, what controls caches and content, and all
// that is hop-by-hop or says where the request came from (RFC 9110, 6.5.1).
func (d *ChunkDecoder) Trailers() []Field { return d.trailers }

// Decode reads the next piece of the body. The data of all chunks in p is
// moved together in p and returned. It begins where the first of it stood, not
// at p's front, so that the one large chunk of the common case is not moved at
// all, and it keeps p's capacity: cap(p)-cap(data) is its place in p, unless it
// is empty. n is how many bytes of p were used up: all of them, unless the body
// has ended and the rest belongs to the next message. Extensions are dropped.
//
// An error is an *Error and final, and data that came before it is still
// returned. Lines end in CRLF, a size has one to sixteen digits and nothing
// around them, a chunk's extensions are at most 256 bytes and the trailer
// section at most 8 KiB long.
func (d *ChunkDecoder) Decode(p []byte) (data []byte, n int, err error) {
	start, end := 0, 0
	for n < len(p) && d.state < chunkDone {
		if d.state == chunkData {
			size := int(min(d.remaining, int64(len(p)-n)))
			if end == 0 {
				start, end = n, n
			}
			if end != n {
				copy(p[end:], p[n:n+size])
			}
			end += size
			n += size
			if d.remaining -= int64(size); d.remaining == 0 {
				d.state = chunkDataCR
			}
			continue
		}
		if d.state == chunkTrailers {
			n += d.takeTrailers(p[n:])
			continue
		}
		d.step(p[n])
		n++
	}
	return p[start:end], n, d.err
}

// step reads one byte of the framing around data.
func (d *ChunkDecoder) step(c byte) {
	switch d.state {
	case chunkSize:
		d.stepSize(c)
	case chunkExtension:
		if c == '\r' {
			d.state = chunkSizeLF
			return
		}
		d.extension++
		if c < 0x20 && c != '\t' || c == 0x7f || d.extension > maxExtension {
			d.fail(ErrChunkExtension)
		}
	case chunkSizeLF:
		switch {
		case c != '\n':
			d.fail(ErrChunkSize)
		case d.remaining == 0:
			d.state = chunkTrailers
		default:
			d.state = chunkData
		}
	case chunkDataCR:
		if c != '\r' {
			d.fail(ErrChunkEnd)
			return
		}
		d.state = chunkDataLF
	case chunkDataLF:
		if c != '\n' {
			d.fail(ErrChunkEnd)
			return
		}
		d.state, d.digits, d.extension = chunkSize, 0, 0
	}
}

func (d *ChunkDecoder) stepSize(c byte) {
	if v := hexValue(c); v < 16 {
		d.digits++
		if d.digits > maxSizeDigits || d.remaining > 1<<59-1 {
			d.fail(ErrChunkSize)
			return
		}
		d.remaining = d.remaining<<4 | int64(v)
		return
	}
	switch {
	case d.digits == 0:
		d.fail(ErrChunkSize)
	case c == '\r':
		d.state = chunkSizeLF
	case c == ';':
		d.state = chunkExtension
	default:
		d.fail(ErrChunkSize)
	}
}

func (d *ChunkDecoder) fail(err error) { d.state, d.err = chunkFailed, err }

// takeTrailers collects the trailer section and returns how much of p is part
// of it. The usual one is an empty line.
func (d *ChunkDecoder) takeTrailers(p []byte) int {
	if len(d.section) == 0 && bytes.HasPrefix(p, crlf) {
		d.state = chunkDone
		return len(crlf)
	}
	seen := len(d.section)
	d.section = append(d.section, p[:min(len(p), maxTrailerBytes-seen)]...)
	end, err := sectionEnd(d.section, seen)
	switch {
	case err != nil:
		d.fail(err)
		return len(p)
	case end > 0:
		d.section = d.section[:end]
		d.parseTrailers()
		return end - seen
	case len(d.section) == maxTrailerBytes:
		d.fail(ErrTrailersTooLarge)
	}
	return len(p)
}

// sectionEnd is HeadEnd without a start line.
func sectionEnd(section []byte, from int) (end int, err error) {
	if section[0] == '\n' {
		return 0, ErrBareLF
	}
	return HeadEnd(section, max(from, 1))
}

func (d *ChunkDecoder) parseTrailers() {
	var err error
	if d.trailers, _, err = parseFields(d.trailers, d.section); err != nil {
		d.trailers = d.trailers[:0]
		d.fail(err)
		return
	}
	d.trailers = travelling(d.trailers)
	d.state = chunkDone
}

// lateFields may not be trailers: they would have to be known before the body.
var lateFields = framingFields | forwardingFields | hopFields | setOf(FieldHost, FieldExpect, FieldTrailer, FieldMaxForwards,
	FieldAuthorization, FieldCookie, FieldSetCookie, FieldWWWAuthenticate,
	FieldAge, FieldAllow, FieldCacheControl, FieldContentEncoding, FieldContentRange, FieldContentType, FieldDate,
	FieldExpires, FieldLocation, FieldProxyStatus, FieldRange, FieldRetryAfter, FieldVary)

// AppendChunkHeader appends the line before a chunk's data of n bytes. After
// the data goes another CRLF. Without data there is no chunk to announce: for
// n of 0, which would end the body, nothing is appended.
func AppendChunkHeader(dst []byte, n int) []byte {
	if n <= 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the end of a chunked body with its trailer fields,
// which Trailers has returned, or none.
func AppendLastChunk(dst []byte, trailers []Field) []byte {
	dst = append(dst, "0\r\n"...)
	for i := range trailers {
		dst = appendField(dst, trailers[i].Name, trailers[i].Value)
	}
	return append(dst, "\r\n"...)
}
