package http1

import "bytes"

// EmptyLines returns how many bytes of empty lines stand at the beginning of
// buf, where a request line is expected. They are skipped (RFC 9112, 2.2):
// some clients send one after a body. Call it until another byte has arrived,
// and count the bytes against the limit of a head.
func EmptyLines(buf []byte) int {
	n := 0
	for n+1 < len(buf) && buf[n] == '\r' && buf[n+1] == '\n' {
		n += 2
	}
	return n
}

// HeadEnd returns the length of the head at the beginning of buf, its empty
// line included, or 0 if its end has not arrived. The first from bytes were
// seen by an earlier call for the same head and are not searched again; pass 0
// the first time and the earlier length of buf after that.
//
// ErrBareLF is returned as soon as the lone line feed is there, and
// ErrStartLine for a first byte that begins no message, such as a TLS record:
// neither has to wait for an end that may never come.
func HeadEnd(buf []byte, from int) (end int, err error) {
	if from == 0 && len(buf) > 0 && nameClass[buf[0]] == nameStop && buf[0] != '\r' {
		return 0, ErrStartLine
	}
	for {
		i := bytes.IndexByte(buf[from:], '\n')
		if i < 0 {
			return 0, nil
		}
		i += from
		if i == 0 || buf[i-1] != '\r' {
			return 0, ErrBareLF
		}
		if i == 1 || buf[i-2] == '\n' {
			return i + 1, nil
		}
		from = i + 1
	}
}
