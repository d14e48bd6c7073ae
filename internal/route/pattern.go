package route

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// A kind says what a segment of a pattern matches. Kinds are ordered from
// narrow to wide.
type kind uint8

const (
	literal kind = iota // one segment, this text
	slash               // the trailing slash alone: {$}
	single              // any one segment but the trailing slash: {name}
	multi               // all that is left, at least a slash: {name...} and a final slash
)

// A segment is one step of a pattern's path.
type segment struct {
	kind kind
	text string // literal: decoded; single and multi: the name, which may be empty
}

// A pattern is a parsed route pattern.
type pattern struct {
	str    string // as the operator wrote it
	index  int    // among all the patterns of the table
	method string // empty: any
	host   string // normalised; empty: any
	path   []segment
}

// parsePattern reads "[METHOD ][HOST]/[PATH]".
func parsePattern(index int, s string) (*pattern, error) {
	if s == "" {
		return nil, errors.New("empty pattern")
	}
	p := &pattern{str: s, index: index}
	rest := s
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		p.method, rest = s[:i], strings.TrimLeft(s[i:], " \t")
		if err := checkMethod(p.method); err != nil {
			return nil, err
		}
	}
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return nil, fmt.Errorf("no path in %q: a pattern is [METHOD ][HOST]/[PATH]", s)
	}
	var err error
	if p.host, err = parseHost(rest[:i]); err != nil {
		return nil, err
	}
	p.path, err = parsePath(rest[i:])
	return p, err
}

// checkMethod accepts the tokens of RFC 9110, section 5.6.2, and the empty
// method of a pattern that begins with a blank, which means any.
func checkMethod(m string) error {
	for i := range len(m) {
		if c := m[i]; !isAlnum(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return fmt.Errorf("bad method %q", m)
		}
	}
	return nil
}

// parseHost normalises a pattern's host the way a request's is (hostName,
// foldByte) and refuses what no request's could be equal to.
func parseHost(h string) (string, error) {
	if h == "" {
		return "", nil
	}
	if strings.ContainsAny(h, "{}*") {
		return "", fmt.Errorf("wildcard in the host %q: a host is matched as a whole, and a path begins with a slash", h)
	}
	if hasPort(h) {
		return "", fmt.Errorf("port in the host %q: the port of a request is not looked at, leave it out", h)
	}
	name := hostName([]byte(h))
	if len(name) == 0 {
		return "", fmt.Errorf("bad host %q", h)
	}
	for i, c := range name {
		if !isAlnum(c) && !strings.ContainsRune("-._:%", rune(c)) {
			return "", fmt.Errorf("bad character in the host %q: write it as a Host field carries it, in ASCII (xn--... for other scripts)", h)
		}
		name[i] = foldByte(c)
	}
	return string(name), nil
}

func hasPort(h string) bool {
	if h[0] == '[' {
		return strings.Contains(h, "]:")
	}
	return strings.Count(h, ":") == 1
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// parsePath splits p, which begins with a slash.
func parsePath(p string) ([]segment, error) {
	var segs []segment
	for rest := p; rest != ""; {
		text, next, more := strings.Cut(rest[1:], "/")
		if rest = ""; more {
			rest = "/" + next
		}
		seg, err := parseSegment(text, rest == "")
		if err != nil {
			return nil, fmt.Errorf("%w in the path %q", err, p)
		}
		if seg.kind != literal && named(segs, seg.text) {
			return nil, fmt.Errorf("two wildcards named %q in the path %q", seg.text, p)
		}
		segs = append(segs, seg)
	}
	return segs, nil
}

// parseSegment reads the text between two slashes, or after the last one.
func parseSegment(text string, last bool) (segment, error) {
	if text == "" && last {
		return segment{kind: multi}, nil
	}
	if !strings.Contains(text, "{") {
		return parseLiteral(text)
	}
	if text[0] != '{' || text[len(text)-1] != '}' {
		return segment{}, fmt.Errorf("bad wildcard %q (it must be the whole segment)", text)
	}
	return parseWildcard(text[1:len(text)-1], last)
}

// parseLiteral decodes text. A segment that only encodes a slash is taken for
// the trailing slash, as ServeMux does in patterns and in paths.
func parseLiteral(text string) (segment, error) {
	decoded := unescape(text)
	switch decoded {
	case "..":
		return segment{}, errors.New("segment \"..\" (it can never match: such requests are refused)")
	case "/":
		return segment{kind: slash}, nil
	}
	return segment{kind: literal, text: decoded}, nil
}

func parseWildcard(name string, last bool) (segment, error) {
	if name == "$" {
		if !last {
			return segment{}, errors.New("{$} before the end")
		}
		return segment{kind: slash}, nil
	}
	seg := segment{kind: single, text: name}
	if stem, ok := strings.CutSuffix(name, "..."); ok {
		if seg = (segment{kind: multi, text: stem}); !last {
			return segment{}, fmt.Errorf("{%s} before the end", name)
		}
	}
	if !isIdentifier(seg.text) {
		return segment{}, fmt.Errorf("bad wildcard name %q (it must be a Go identifier)", seg.text)
	}
	return seg, nil
}

func isIdentifier(s string) bool {
	for i, c := range s {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return s != ""
}

// named reports whether segs has a wildcard of this name.
func named(segs []segment, name string) bool {
	for _, s := range segs {
		if s.text == name && s.kind == single {
			return true
		}
	}
	return false
}

// unescape decodes the percent-encoding of one segment, or leaves it as it is
// when any of it is invalid.
func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}
