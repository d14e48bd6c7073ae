package chaos

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Field is one header or trailer field as it stood on the wire, without the white space around its value.
type Field struct{ Name, Value string }

// Head is a message's head as it was received. The zero value is an empty head.
type Head struct {
	Raw    string // every byte, with the empty line if it came
	Line   string // the request line or status line, without CRLF
	Fields []Field
}

// Get returns the first value of a field, "" if there is none. The name is matched without regard to case.
func (h *Head) Get(name string) string {
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Values returns every value of a field, in order.
func (h *Head) Values(name string) []string {
	return valuesOf(h.Fields, name)
}

func valuesOf(fields []Field, name string) []string {
	var values []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// names reports whether a comma-separated field holds the token.
func (h *Head) names(field, token string) bool {
	for _, value := range h.Values(field) {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// malformed is an error of the peer's HTTP, as opposed to one of the connection.
type malformed string

func (e malformed) Error() string { return string(e) }

func isMalformed(err error) bool {
	_, ok := errors.AsType[malformed](err)
	return ok
}

const (
	maxHead  = 4 << 20 // more than any limit under test
	maxLine  = 64 << 10
	maxInter = 1000 // interim responses before one final
)

// appendLine appends one line with its CRLF. Whatever came before an error is appended too.
func appendLine(dst []byte, br *bufio.Reader, limit int) ([]byte, error) {
	start := len(dst)
	for {
		part, err := br.ReadSlice('\n')
		dst = append(dst, part...)
		if len(dst)-start > limit {
			return dst, malformed("line over " + strconv.Itoa(limit) + " bytes")
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return dst, err
		}
		if len(dst)-start < 2 || dst[len(dst)-2] != '\r' {
			return dst, malformed("bare LF")
		}
		return dst, nil
	}
}

// readHead reads up to and including the empty line. With an error the head holds what came before it; io.EOF means
// that nothing came at all.
func readHead(br *bufio.Reader) (Head, error) {
	var raw []byte
	for {
		start := len(raw)
		var err error
		raw, err = appendLine(raw, br, maxHead)
		if err != nil {
			if len(raw) > 0 {
				err = truncated(err)
			}
			return parseHead(string(raw)), err
		}
		if len(raw)-start == 2 && start > 0 {
			return parseHead(string(raw)), nil
		}
		if len(raw) > maxHead {
			return parseHead(string(raw)), malformed("head over 4 MiB")
		}
	}
}

// parseHead splits a head, whole or not, into lines and fields. It judges nothing; see [Head.fault].
func parseHead(raw string) Head {
	h := Head{Raw: raw}
	first := true
	for rest := raw; ; {
		line, after, ok := strings.Cut(rest, "\r\n")
		if first {
			h.Line = line
		} else if name, value, colon := strings.Cut(line, ":"); ok && colon {
			h.Fields = append(h.Fields, Field{name, strings.Trim(value, " \t")})
		}
		if !ok {
			return h
		}
		first, rest = false, after
	}
}

// fault says what is wrong with a whole head, "" if nothing is.
func (h *Head) fault() string {
	text := strings.TrimSuffix(h.Raw, "\r\n\r\n")
	for i, line := range strings.Split(text, "\r\n") {
		if strings.ContainsAny(line, "\x00\r\n") {
			return "NUL, CR or LF within a line of the head"
		}
		if i == 0 {
			continue
		}
		name, _, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return "bad field line " + strconv.Quote(line)
		}
	}
	if len(h.Values("Content-Length")) > 1 {
		return "Content-Length repeated"
	}
	if len(h.Values("Transfer-Encoding")) > 0 && len(h.Values("Content-Length")) > 0 {
		return "Content-Length beside Transfer-Encoding"
	}
	return ""
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

type framing uint8

const (
	framingNone framing = iota
	framingLength
	framingChunked
	framingUntilClose
)

// frame reads the body's framing off a head without fault. absent is what holds when the head states none.
func (h *Head) frame(absent framing) (framing, int64, error) {
	if values := h.Values("Transfer-Encoding"); len(values) > 0 {
		if len(values) != 1 || !strings.EqualFold(values[0], "chunked") {
			return 0, 0, malformed("Transfer-Encoding other than chunked")
		}
		return framingChunked, 0, nil
	}
	value := h.Get("Content-Length")
	if value == "" {
		return absent, 0, nil
	}
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return 0, 0, malformed("bad Content-Length " + strconv.Quote(value))
	}
	return framingLength, int64(n), nil
}

// body reads one message's content and stops at its end: io.EOF means whole, io.ErrUnexpectedEOF that the peer closed
// before the end.
type body struct {
	br       *bufio.Reader
	framing  framing
	left     int64 // of the length, or of the chunk at hand
	trailers []Field
	ended    bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.ended || b.framing == framingNone {
		return 0, io.EOF
	}
	if b.framing == framingUntilClose {
		return b.br.Read(p)
	}
	if b.left == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n, err := b.br.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil {
		return n, truncated(err)
	}
	if b.left == 0 && b.framing == framingChunked {
		err = b.emptyLine()
	}
	return n, err
}

// next goes on to the next chunk, and ends the body with io.EOF after the last.
func (b *body) next() error {
	if b.framing == framingLength {
		b.ended = true
		return io.EOF
	}
	line, err := appendLine(nil, b.br, maxLine)
	if err != nil {
		return truncated(err)
	}
	digits, _, _ := strings.Cut(string(line[:len(line)-2]), ";")
	size, err := strconv.ParseUint(digits, 16, 63)
	if err != nil || strings.Contains(digits, "_") {
		return malformed("bad chunk size " + strconv.Quote(digits))
	}
	b.left = int64(size)
	if size > 0 {
		return nil
	}
	for {
		line, err := appendLine(nil, b.br, maxLine)
		if err != nil {
			return truncated(err)
		}
		if len(line) == 2 {
			b.ended = true
			return io.EOF
		}
		name, value, ok := strings.Cut(string(line[:len(line)-2]), ":")
		if !ok {
			return malformed("bad trailer " + strconv.Quote(string(line)))
		}
		b.trailers = append(b.trailers, Field{name, strings.Trim(value, " \t")})
	}
}

// emptyLine reads the CRLF that ends a chunk's data.
func (b *body) emptyLine() error {
	var crlf [2]byte
	if _, err := io.ReadFull(b.br, crlf[:]); err != nil {
		return truncated(err)
	}
	if crlf != [2]byte{'\r', '\n'} {
		return malformed("chunk longer than its size")
	}
	return nil
}
