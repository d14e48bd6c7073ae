package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// maxSocketPath is the longest path of a unix socket that Linux, macOS and
// Windows all take.
const maxSocketPath = 103

// listenAddress reads "host:port" or "unix:/path".
func listenAddress(d *decoder, v value) (string, bool) {
	if !d.want(v, kindString, listenInstead(v.text)) {
		return "", false
	}
	if path, ok := strings.CutPrefix(v.text, "unix:"); ok {
		why := badSocketPath(path)
		if why != "" {
			d.reject(v, "%s", why)
		}
		return v.text, why == ""
	}
	if _, rest, ok := strings.Cut(v.text, "://"); ok {
		d.reject(v, "an address has no scheme; write %s", show(strings.TrimRight(rest, "/")))
		return "", false
	}
	host, port, err := net.SplitHostPort(v.text)
	switch {
	case err != nil:
		d.reject(v, "not an address; write %s", listenInstead(v.text))
	case host != "" && !validHost(host):
		d.reject(v, `%s is neither a host name nor an IP address; write for instance "127.0.0.1:8080", or ":8080" for every address`, show(host))
	case !validPort(port, 0):
		d.reject(v, "%s is not a port; write a number from 1 to 65535, or 0 for a free one", show(port))
	default:
		return v.text, true
	}
	return "", false
}

func listenInstead(s string) string {
	if validPort(s, 0) {
		return fmt.Sprintf(`"127.0.0.1:%s", or ":%s" for every address`, s, s)
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return show(net.JoinHostPort(a.String(), "8080")) + ", with the port that is meant"
	}
	if strings.HasPrefix(s, "/") {
		return show("unix:" + s)
	}
	if validHost(s) {
		return show(s+":8080") + ", with the port that is meant"
	}
	return `"host:port" or "unix:/path"`
}

// validPort reports whether s is a port from least to 65535 in plain digits.
func validPort(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= least && n <= 65535 && strconv.Itoa(n) == s
}

// validHost reports whether s is an IP address, without brackets, or a name
// whose labels hold letters, digits, hyphens and underscores.
func validHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return validName(s)
}

// validName is validHost for names only. What ends in a number is not a name
// but a mistyped IPv4 address.
func validName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, func(r rune) bool { return !bareKey(r) }) {
			return false
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != ""
}

func badSocketPath(path string) string {
	switch {
	case path == "":
		return `the path is missing; write for instance "unix:/run/fairlead.sock"`
	case strings.HasPrefix(path, "//"):
		return "write " + show("unix:/"+strings.TrimLeft(path, "/")) + ", with one slash"
	case path[0] != '/' && !filepath.IsAbs(path):
		return "the path of a socket begins with a slash; write " + show("unix:/"+path) + " or where it really is"
	case len(path) > maxSocketPath:
		return fmt.Sprintf("the path is %d bytes long; systems take %d at most, write a shorter one", len(path), maxSocketPath)
	case strings.ContainsRune(path, 0):
		return "a path can't hold a NUL; remove it"
	}
	return ""
}

// originURL stores a URL that names a server and nothing on it.
func originURL(o *Origin) setter {
	return func(d *decoder, v value) {
		if !d.want(v, kindString, `"http://host:port", "https://host:port" or "unix:/path"`) {
			return
		}
		if path, ok := strings.CutPrefix(v.text, "unix:"); ok {
			if why := badSocketPath(path); why != "" {
				d.reject(v, "%s", why)
				return
			}
			o.URL, o.Scheme, o.Network, o.Address, o.Authority = v.text, "http", "unix", path, "localhost"
			return
		}
		u, err := url.Parse(v.text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			d.reject(v, "not an origin's address; write %s", urlInstead(v.text, u, err))
			return
		}
		if why := badURL(u, v.text); why != "" {
			d.reject(v, "%s", why)
			return
		}
		own := map[string]string{"http": "80", "https": "443"}[u.Scheme]
		port := cmp.Or(u.Port(), own)
		o.URL, o.Scheme, o.Network = v.text, u.Scheme, "tcp"
		o.Address = net.JoinHostPort(u.Hostname(), port)
		o.Authority = u.Host
		if port == own {
			o.Authority = strings.TrimSuffix(u.Host, ":"+own)
		}
	}
}

// urlInstead finds what an address that is no URL may have meant.
func urlInstead(s string, u *url.URL, err error) string {
	if err == nil && u.Host != "" {
		if meant := closest(u.Scheme, []string{"http", "https"}); meant != "" {
			return show(meant + "://" + u.Host)
		}
	} else if host, port, err := net.SplitHostPort(s); err == nil && validHost(host) && validPort(port, 1) {
		return show("http://" + s)
	} else if validHost(s) && s != "http" && s != "https" {
		return show("http://" + s)
	} else if strings.HasPrefix(s, "/") {
		return show("unix:" + s)
	}
	return `"http://host:port", "https://host:port" or "unix:/path"`
}

func badURL(u *url.URL, text string) string {
	bare := show(u.Scheme + "://" + u.Host)
	switch {
	case u.User != nil:
		return "no user or password can be sent to an origin; write " + bare
	case u.Path != "":
		return "requests keep their own path, so an origin has none; write " + bare
	case u.RawQuery != "" || u.ForceQuery:
		return "requests keep their own query, so an origin has none; write " + bare
	case strings.Contains(text, "#"):
		return "an origin has no fragment; write " + bare
	case !validHost(u.Hostname()):
		return show(u.Hostname()) + " is neither a host name nor an IP address; write one, names beyond ASCII as xn--..."
	case u.Port() != "" && !validPort(u.Port(), 1), strings.HasSuffix(u.Host, ":"):
		return show(u.Port()) + " is not a port; write a number from 1 to 65535, or none for the scheme's own"
	}
	return ""
}

// hostField stores "client", "origin" or a host with or without a port.
func hostField(dst *string) setter {
	return func(d *decoder, v value) {
		if !d.want(v, kindString, `"client", "origin" or a host in quotes`) {
			return
		}
		host := v.text
		if h, port, err := net.SplitHostPort(v.text); err == nil && validPort(port, 1) {
			host = h
		} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
			host = host[1 : len(host)-1]
		}
		if meant := closest(v.text, []string{HostClient, HostOrigin}); meant != v.text && len(v.text) <= len(meant) {
			d.reject(v, "did you mean %s? For a server of this very name, write its port too", show(meant))
			return
		}
		if !validHost(host) {
			d.reject(v, `not a Host; write "client" for what the client sent, "origin" for the url's own, or a name such as "shop.example"`)
			return
		}
		*dst = v.text
	}
}

func serverName(dst *string) setter {
	return func(d *decoder, v value) {
		if !d.want(v, kindString, "a host name in quotes") {
			return
		}
		if !validName(v.text) {
			d.reject(v, `not a host name; write the one in the origin's certificate, such as "shop.example"`)
			return
		}
		*dst = v.text
	}
}

// requestPath stores what stands in a probe's request line.
func requestPath(dst *string) setter {
	return func(d *decoder, v value) {
		if !d.want(v, kindString, "a path in quotes") {
			return
		}
		switch u, err := url.ParseRequestURI(v.text); {
		case strings.Contains(v.text, "://") && err == nil && u.Host != "":
			d.reject(v, "the origin's url has the host already; write %s", show(u.RequestURI()))
		case !strings.HasPrefix(v.text, "/"):
			d.reject(v, "a path begins with a slash; write %s", show("/"+v.text))
		case err != nil || strings.ContainsAny(v.text, "# ") || !printableASCII(v.text):
			d.reject(v, "not a path for a request line; write it percent-encoded, without spaces and #")
		default:
			*dst = v.text
		}
	}
}

func printableASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
}
