package proxyproto

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	pires "github.com/pires/go-proxyproto"
)

// MaxLen is the longest header that is read: a few certificates' worth of TLVs.
// One of version 1 has at most 107 bytes (section 2.1).
const MaxLen = 4096

const (
	maxV1 = 107
	// prefixV2 is what every header of version 2 has: the signature, the
	// command, the family and the length of the rest (section 2.2).
	prefixV2 = 16
)

// Errors of Parse. Each says what came; errors.Is tells the two apart.
var (
	// ErrNone: the connection does not begin with a header.
	ErrNone = errors.New("no PROXY header")
	// ErrBroken: it begins with one that can't be read. It is wrapped with why.
	ErrBroken = errors.New("broken PROXY header")
)

// Header is what a header says of its connection.
type Header struct {
	// Version is 1 or 2.
	Version int
	// Local says that the header names nobody: the balancer speaks for itself,
	// or for somebody whose address it can't say (LOCAL, UNKNOWN or UNSPEC).
	Local bool
	// Source is the client's address. It is the zero Addr where Local is true,
	// and for a client of a unix socket. An IPv4 address in the form of an IPv6
	// one is given as IPv4.
	Source netip.Addr
}

// Parse reads the header that p begins with, and its length. n is zero without
// an error while p is too short: then it is to be called again with more. The
// error wraps ErrNone or ErrBroken, as soon as that is certain. p is not kept.
func Parse(p []byte) (h Header, n int, err error) {
	switch {
	case begins(p, signatureV1):
		n, err = lengthV1(p)
	case begins(p, signatureV2):
		n, err = lengthV2(p)
	default:
		return Header{}, 0, ErrNone
	}
	if err != nil || n == 0 || n > len(p) {
		return Header{}, 0, err
	}
	h, err = read(p[:n])
	if err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// Resembles says which version's header p begins with: 1, 2, or 0 for none. more
// is true if p is too short to tell. It is for peers that should send none, so
// "PROXY" alone is not enough: that may be the method of an HTTP request.
func Resembles(p []byte) (version int, more bool) {
	for _, s := range resemblances {
		if begins(p, s.text) {
			if len(p) < len(s.text) {
				return 0, true
			}
			return s.version, false
		}
	}
	return 0, false
}

// Signature is Resembles for a connection of which only the first five bytes
// are known, and on which no HTTP is spoken before TLS.
func Signature(p []byte) (version int) {
	switch {
	case len(p) < 5:
	case begins(p, signatureV1):
		return 1
	case begins(p, signatureV2):
		return 2
	}
	return 0
}

const (
	signatureV1 = "PROXY "
	signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"
)

var resemblances = []struct {
	text    string
	version int
}{{signatureV1 + "TCP4 ", 1}, {signatureV1 + "TCP6 ", 1}, {signatureV1 + "UNKNOWN", 1}, {signatureV2, 2}}

// begins reports whether p begins with text, as far as both go.
func begins(p []byte, text string) bool {
	n := min(len(p), len(text))
	return string(p[:n]) == text[:n]
}

// lengthV1 is the length of the line; 0 if its end is not here.
func lengthV1(p []byte) (int, error) {
	line := p[:min(len(p), maxV1)]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		return end + 1, nil
	}
	if len(p) >= maxV1 {
		return 0, fmt.Errorf("%w: no end of line in %d bytes", ErrBroken, maxV1)
	}
	return 0, nil
}

// lengthV2 is the length of the whole header; 0 if it is not known yet.
func lengthV2(p []byte) (int, error) {
	if len(p) < prefixV2 {
		return 0, nil
	}
	n := prefixV2 + int(binary.BigEndian.Uint16(p[prefixV2-2:]))
	if n > MaxLen {
		return 0, fmt.Errorf("%w: %d bytes are more than %d", ErrBroken, n, MaxLen)
	}
	return n, nil
}

// read reads a header of which p is the whole. The library never sees a byte
// that follows it, nor a header that is not all there.
func read(p []byte) (Header, error) {
	if unspec(p) {
		return Header{Version: 2, Local: true}, nil
	}
	r := bufio.NewReaderSize(bytes.NewReader(p), len(p))
	ph, err := pires.Read(r)
	if err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if n := r.Buffered(); n > 0 {
		return Header{}, fmt.Errorf("%w: %d bytes of it have no meaning", ErrBroken, n)
	}
	h := Header{Version: int(ph.Version), Local: ph.Command.IsLocal()}
	if h.Local {
		return h, nil
	}
	var ip net.IP
	switch a := ph.SourceAddr.(type) {
	case *net.TCPAddr:
		ip = a.IP
	case *net.UDPAddr:
		ip = a.IP
	case *net.UnixAddr:
		return h, nil
	}
	source, ok := netip.AddrFromSlice(ip)
	if !ok {
		return Header{}, fmt.Errorf("%w: it holds no address", ErrBroken)
	}
	h.Source = source.Unmap()
	return h, nil
}

// unspec reports whether p is a header of version 2 with the command PROXY and
// the family UNSPEC, which a receiver may take for LOCAL (section 2.2). The
// library refuses it.
func unspec(p []byte) bool {
	return len(p) >= prefixV2 && p[0] == signatureV2[0] && p[12] == byte(pires.PROXY) && p[13] == byte(pires.UNSPEC)
}
