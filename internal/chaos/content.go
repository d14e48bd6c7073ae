package chaos

import (
	"io"
	"strconv"
)

// sender is the name under which [Body] makes the bodies of requests.
const sender = "client"

// Body returns the whole body that the origin sends for a request: lines of text that each name the origin, the
// request's id, the size and their own number, cut off at size bytes. A reader of a failed test sees at once whose
// bytes they are. A request's own body is Body("client", id, size).
func Body(origin, id string, size int64) []byte {
	b := make([]byte, max(size, 0))
	c := newContent(origin, id, size)
	_, _ = io.ReadFull(c, b) // content always fills size bytes
	return b
}

// content reads out a body without holding it.
type content struct {
	line []byte // the current line; its last 17 bytes are its number in hex and '\n'
	size int64
	off  int64
}

const stampLen = 17

func newContent(origin, id string, size int64) *content {
	line := make([]byte, 0, len(origin)+len(id)+24+stampLen)
	line = append(line, origin...)
	line = append(line, ' ')
	line = append(line, id...)
	line = append(line, ' ')
	line = strconv.AppendInt(line, size, 10)
	line = append(line, ' ')
	line = append(line, "0000000000000000\n"...)
	return &content{line: line, size: size}
}

func (c *content) Read(p []byte) (int, error) {
	if c.off >= c.size {
		return 0, io.EOF
	}
	if left := c.size - c.off; int64(len(p)) > left {
		p = p[:left]
	}
	n := 0
	for n < len(p) {
		length := int64(len(c.line))
		c.stamp(c.off / length)
		m := copy(p[n:], c.line[c.off%length:])
		n += m
		c.off += int64(m)
	}
	return n, nil
}

// stamp writes the line's number into its end.
func (c *content) stamp(number int64) {
	const digits = "0123456789abcdef"
	for i := len(c.line) - 2; i >= len(c.line)-stampLen; i-- {
		c.line[i] = digits[number&15]
		number >>= 4
	}
}

// mismatch compares the next len(p) bytes of the content with p and returns the offset, within the whole body, of the
// first byte that differs or is beyond the end; -1 if all agree.
func (c *content) mismatch(p, scratch []byte) int64 {
	for len(p) > 0 {
		at := c.off
		n, err := c.Read(scratch[:min(len(scratch), len(p))])
		if err != nil {
			return at
		}
		for i := range n {
			if scratch[i] != p[i] {
				return at + int64(i)
			}
		}
		p = p[n:]
	}
	return -1
}
