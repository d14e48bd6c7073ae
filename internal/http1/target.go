package http1

import (
	"bytes"
	"net/netip"
)

// parseTarget splits Target; query is where its first "?" is, -1 for none.
func (r *Request) parseTarget(query int) error {
	t := r.Target
	if query >= 0 {
		r.HasQuery, r.Query = true, t[query+1:]
		t = t[:query]
	}
	switch {
	case len(t) > 0 && t[0] == '/':
		r.Path = t
		return nil
	case string(r.Target) == "*":
		if r.MethodID != MethodOPTIONS {
			return ErrTarget
		}
		r.Form, r.Path = FormAsterisk, asterisk
		return nil
	}
	return r.parseAbsolute(t)
}

// parseAbsolute splits an absolute target without its query.
func (r *Request) parseAbsolute(t []byte) error {
	switch {
	case hasPrefixFold(t, "http://"):
		t = t[len("http://"):]
	case hasPrefixFold(t, "https://"):
		t = t[len("https://"):]
	default:
		return ErrTarget
	}
	r.Form = FormAbsolute
	r.Path = slash
	if i := bytes.IndexByte(t, '/'); i >= 0 {
		t, r.Path = t[:i], t[i:]
	} else if r.MethodID == MethodOPTIONS && !r.HasQuery {
		r.Form, r.Path = FormAsterisk, asterisk // RFC 9112, 3.2.4
	}
	if !isAuthority(t) {
		return ErrHost
	}
	r.Host = t
	return nil
}

// isAuthority reports whether b is a host and perhaps a port (RFC 3986, 3.2,
// without user information). Of a registered name's characters only those are
// allowed that names in use are made of: no percent-encoding and no
// punctuation that some parser takes for a separator.
func isAuthority(b []byte) bool {
	host, port := b, []byte(nil)
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return false
		}
		host, port = b[1:end], b[end+1:]
		if a, err := netip.ParseAddr(string(host)); err != nil || !a.Is6() || a.Zone() != "" {
			return false
		}
	} else {
		if i := bytes.IndexByte(b, ':'); i >= 0 {
			host, port = b[:i], b[i:]
		}
		for _, c := range host {
			if nameClass[c] != namePlain && c != '.' && c != '_' && c != '~' {
				return false
			}
		}
	}
	return len(host) > 0 && isPort(port)
}

// isPort reports whether b is empty or a colon and a port; the port may be
// left out.
func isPort(b []byte) bool {
	if len(b) <= 1 {
		return len(b) == 0 || b[0] == ':'
	}
	n, ok := parseDecimal(b[1:])
	return ok && b[0] == ':' && n <= 65535
}
