package http1

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
)

// Classes of a byte in a field name (a token, RFC 9110, 5.6.2).
const (
	namePlain = iota // letter, digit or hyphen
	nameOdd          // another token character
	nameStop         // no token character
)

var nameClass = func() (t [256]uint8) {
	for c := range t {
		t[c] = nameStop
	}
	for _, c := range []byte("!#$%&'*+.^_`|~") {
		t[c] = nameOdd
	}
	for _, c := range []byte("-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = namePlain
	}
	return t
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if nameClass[c] == nameStop {
			return false
		}
	}
	return len(b) > 0
}

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// scanText returns the index of the first byte at or after i that may not
// stand in a field value or reason phrase, len(b) if there is none. Allowed
// are HTAB, SP, visible ASCII and bytes from 0x80 (RFC 9110, 5.5).
//
// It looks at eight bytes at a time: of a browser's head two bytes in three
// pass through here, and with a byte loop the whole parse takes a quarter
// longer (BenchmarkParseRequest).
// The lowest flagged byte is always a true one, since a subtraction's borrow
// only travels upwards from a byte that was flagged itself.
func scanText(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		bad := ((x-0x20*ones)&^x | (del-ones)&^del) & highs
		if bad == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(bad) / 8
		if b[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(b) && (b[i] >= 0x20 && b[i] != 0x7f || b[i] == '\t') {
		i++
	}
	return i
}

// trim removes optional white space at both ends (RFC 9110, 5.6.3).
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// equalFold reports whether b is s but for the case of ASCII letters; s is in
// lower case.
func equalFold(b []byte, s string) bool {
	return len(b) == len(s) && hasPrefixFold(b, s)
}

// hasPrefixFold reports whether b begins with s in any case; s is in lower case.
func hasPrefixFold(b []byte, s string) bool {
	if len(b) < len(s) {
		return false
	}
	for i := range len(s) {
		if lower(b[i]) != s[i] {
			return false
		}
	}
	return true
}

// parseDecimal reads one to nineteen digits, no sign, no space, no overflow.
func parseDecimal(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return int64(n), n <= math.MaxInt64
}

// hexValue returns a hex digit's value, and 16 or more for any other byte.
func hexValue(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// element cuts the first element off a comma-separated list (RFC 9110,
// 5.6.1), without the white space around it; empty elements are skipped, and
// an empty element means that the list has ended. Commas in quoted strings
// split too: no list that is read here may hold any.
func element(list []byte) (elem, rest []byte) {
	for len(list) > 0 {
		if end := bytes.IndexByte(list, ','); end >= 0 {
			elem, rest = trim(list[:end]), list[end+1:]
		} else {
			elem, rest = trim(list), nil
		}
		if len(elem) > 0 {
			return elem, rest
		}
		list = rest
	}
	return nil, nil
}
