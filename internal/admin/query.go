package admin

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// readQuery takes the parameters apart. One that the route doesn't know is an
// error, since what was meant would be left out silently; so is one given twice,
// but for kind.
func (c *call) readQuery(known []string) *Refused {
	if len(known) == 1 && known[0] == "*" {
		return nil // whatever a checker or a collector adds
	}
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return badRequest("the query can't be read: " + err.Error())
	}
	for name, all := range values {
		if !slices.Contains(known, name) {
			text := fmt.Sprintf("there is no parameter %q here", printable(name, 64))
			if len(known) > 0 {
				text += ", but " + strings.Join(known, ", ")
			}
			return badRequest(text)
		}
		if len(all) > 1 && name != "kind" {
			return badRequest(fmt.Sprintf("the parameter %q is given %d times: give it once", name, len(all)))
		}
	}
	c.query = values
	return nil
}

// param is a parameter's value, "" if it was not given.
func (c *call) param(name string) string {
	if values := c.query[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// limit reads how many are wanted, between 1 and most.
func (c *call) limit(otherwise, most int) (int, *Refused) {
	text := c.param("limit")
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, badRequest(fmt.Sprintf("limit must be a number from 1 to %d, not %q", most, printable(text, 32)))
	}
	return n, nil
}

// flag reads a yes or no; without a value it is a yes.
func (c *call) flag(name string) (bool, *Refused) {
	values, given := c.query[name]
	if !given {
		return false, nil
	}
	switch values[0] {
	case "", "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	}
	return false, badRequest(fmt.Sprintf("%s must be true or false, not %q", name, printable(values[0], 32)))
}

// splitURL takes what an operator has at hand, a whole URL or a path, apart
// into host and target. Nothing is decoded or cleaned: what a client would send
// is what is to be explained. What follows a "#" no client sends.
func splitURL(text string) (host, target string, refused *Refused) {
	for _, b := range []byte(text) {
		if b <= ' ' || b == 0x7f {
			return "", "", badRequest("url has a space or a control character, which no client can send: escape it with %")
		}
	}
	text, _, _ = strings.Cut(text, "#")
	if strings.HasPrefix(text, "/") || text == "*" {
		return "", text, nil
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", "", badRequest("url must be a path, or begin with http:// or https://")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, target = rest[:end], rest[end:]
	if host == "" || strings.Contains(host, "@") {
		return "", "", badRequest("url must name a host behind ://, without a user")
	}
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return host, target, nil
}

// isToken reports whether s can be a method (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for _, b := range []byte(s) {
		if b <= ' ' || b >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, b) >= 0 {
			return false
		}
	}
	return s != ""
}
