package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// want checks a value's kind. The message says what to write: the value itself
// where it was plainly meant for the right kind, else the hint.
func (d *decoder) want(v value, k kind, hint string) bool {
	if v.kind == k {
		return true
	}
	switch {
	case k == kindInteger && v.kind == kindString:
		if n, ok := size(v.text); ok {
			hint = strconv.FormatInt(n, 10)
		}
	case k == kindInteger && v.kind == kindFloat:
		if f, err := strconv.ParseFloat(strings.ReplaceAll(v.text, "_", ""), 64); err == nil && math.Abs(f) < 1<<53 {
			hint = fmt.Sprintf("%.0f", f)
		}
	case k == kindBool && v.kind == kindString && (v.text == "true" || v.text == "false"):
		hint = v.text
	case k == kindArray && v.kind == kindString:
		hint = "[" + showValue(v.node) + "]"
	}
	d.reject(v, "%s is needed, not %s; write %s", k, v.kind, hint)
	return false
}

// size reads the ways in which other programs' files write a number of bytes.
func size(s string) (int64, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	s = strings.TrimSuffix(strings.TrimSuffix(s, "b"), "i")
	shift := 0
	if s != "" {
		switch s[len(s)-1] {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
	}
	if shift > 0 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
	return n << shift, err == nil
}

func boolean(dst *bool) setter {
	return func(d *decoder, v value) {
		if d.want(v, kindBool, "true or false") {
			*dst = v.text == "true"
		}
	}
}

// number returns the value of an integer node.
func number(n *node) (int64, error) {
	return strconv.ParseInt(n.text, 0, 64)
}

func integer[T int | int64](dst *T, least, most int64) setter {
	return func(d *decoder, v value) {
		if !d.want(v, kindInteger, fmt.Sprintf("a number from %d to %d", least, most)) {
			return
		}
		n, err := number(v.node)
		switch {
		case err != nil || n > most:
			if strings.HasPrefix(v.text, "-") {
				d.reject(v, "too small; write at least %d", least)
				return
			}
			d.reject(v, "too large; write at most %d", most)
		case n < least:
			d.reject(v, "too small; write at least %d", least)
		default:
			*dst = T(n)
		}
	}
}

func duration(dst *time.Duration, least, most time.Duration) setter {
	return func(d *decoder, v value) {
		if n, ok := d.readDuration(v, least, most); ok {
			*dst = n
		}
	}
}

// wholeSeconds is duration for what a DNS answer can hold.
func wholeSeconds(dst *time.Duration, most time.Duration) setter {
	return func(d *decoder, v value) {
		n, ok := d.readDuration(v, 0, most)
		switch {
		case !ok:
		case n%time.Second != 0:
			d.reject(v, "a DNS answer counts in whole seconds; write %s", showDuration(n.Truncate(time.Second)+time.Second))
		default:
			*dst = n
		}
	}
}

func (d *decoder) readDuration(v value, least, most time.Duration) (time.Duration, bool) {
	if v.kind == kindInteger || v.kind == kindFloat {
		d.reject(v, "a duration is a string with its unit; write %s if seconds are meant", show(strings.ReplaceAll(v.text, "_", "")+"s"))
		return 0, false
	}
	if !d.want(v, kindString, `a duration such as "250ms", "10s" or "5m"`) {
		return 0, false
	}
	n, err := time.ParseDuration(v.text)
	switch {
	case err != nil:
		d.reject(v, "not a duration; write %s", durationInstead(v.text))
	case n < least && least > 0 && n == 0:
		d.reject(v, "no time at all can't work, and 0 doesn't turn it off; write at least %s, at most %s", showDuration(least), showDuration(most))
	case n < least:
		d.reject(v, "too short; write at least %s", showDuration(least))
	case n > most:
		d.reject(v, "too long; write at most %s", showDuration(most))
	default:
		return n, true
	}
	return 0, false
}

// durationInstead finds what an unreadable duration may have meant.
func durationInstead(s string) string {
	compact := strings.ToLower(strings.Join(strings.Fields(s), ""))
	digits := strings.TrimRight(compact, "abcdefghijklmnopqrstuvwxyzµμ")
	n, err := strconv.ParseInt(digits, 10, 32)
	if err == nil && n >= 0 {
		switch unit := compact[len(digits):]; unit {
		case "":
			return fmt.Sprintf(`"%ds" if seconds are meant`, n)
		case "d", "day", "days":
			return fmt.Sprintf(`"%dh"`, n*24)
		case "h", "hour", "hours", "hr", "hrs":
			return fmt.Sprintf(`"%dh"`, n)
		case "m", "min", "mins", "minute", "minutes":
			return fmt.Sprintf(`"%dm"`, n)
		case "s", "sec", "secs", "second", "seconds":
			return fmt.Sprintf(`"%ds"`, n)
		case "ms", "msec", "millis", "millisecond", "milliseconds":
			return fmt.Sprintf(`"%dms"`, n)
		}
	}
	return `a number and a unit, such as "250ms", "10s", "5m" or "1h30m"`
}

// choice stores one of a closed list of words.
func choice[T ~string](dst *T, allowed ...T) setter {
	return func(d *decoder, v value) {
		words, quoted := make([]string, len(allowed)), make([]string, len(allowed))
		for i, a := range allowed {
			words[i], quoted[i] = string(a), show(string(a))
		}
		if !d.want(v, kindString, oneOf(quoted)) {
			return
		}
		if slices.Contains(words, v.text) {
			*dst = T(v.text)
			return
		}
		if meant := closest(v.text, words); meant != "" {
			d.reject(v, "no such choice; did you mean %s? Write %s", show(meant), oneOf(quoted))
			return
		}
		d.reject(v, "no such choice; write %s", oneOf(quoted))
	}
}

// list stores the items of a list that has no item twice.
func list[T comparable](dst *[]T, read func(d *decoder, v value) (T, bool), least, most int) setter {
	return func(d *decoder, v value) {
		if !d.want(v, kindArray, "its items in [ and ]") {
			return
		}
		if len(v.items) < least {
			d.reject(v, "an empty list; write at least one item")
			return
		}
		if len(v.items) > most {
			d.reject(v, "%d items are too many; write at most %d", len(v.items), most)
			return
		}
		items := make([]T, 0, len(v.items))
		seen := make(map[T]bool, len(v.items))
		for _, n := range v.items {
			item, ok := read(d, value{n, v.scope, v.key})
			switch {
			case !ok:
				v.bad = true
			case seen[item]:
				d.reject(value{n, v.scope, v.key}, "listed twice; remove one of the two")
				v.bad = true
			default:
				items, seen[item] = append(items, item), true
			}
		}
		*dst = items
	}
}

// filled stores a string that isn't empty.
func filled(dst *string, what string) setter {
	return func(d *decoder, v value) {
		if !d.want(v, kindString, what) {
			return
		}
		if v.text == "" {
			d.reject(v, "empty; write %s", what)
			return
		}
		*dst = v.text
	}
}

func textUpTo(dst *string, most int) setter {
	return func(d *decoder, v value) {
		if !d.want(v, kindString, "text in quotes") {
			return
		}
		if len(v.text) > most {
			d.reject(v, "%d bytes are too many, since only the first %d of a body are searched; write fewer", len(v.text), most)
			return
		}
		*dst = v.text
	}
}

// badName says why a name can't be used, or "". Names stand in logs, metrics,
// DNS answers and commands, so they are kept to what needs quoting nowhere.
func badName(name string) string {
	const rule = "this can't be a name; write 1 to 63 letters, digits, - and _, the first a letter or a digit"
	if name == "" || len(name) > 63 || name[0] == '-' || name[0] == '_' {
		return rule
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !bareKey(r) }) {
		return rule
	}
	return ""
}

func routeName(dst *string) setter {
	return func(d *decoder, v value) {
		if !d.want(v, kindString, "a name in quotes") {
			return
		}
		if why := badName(v.text); why != "" {
			d.reject(v, "%s", why)
			return
		}
		*dst = v.text
	}
}

// logOutput stores a stream's name or a path.
func logOutput(dst *string) setter {
	return func(d *decoder, v value) {
		switch {
		case !d.want(v, kindString, `"stderr", "stdout" or a path in quotes`):
		case v.text == "":
			d.reject(v, `empty; write "stderr", "stdout" or a path`)
		case strings.ContainsRune(v.text, 0):
			d.reject(v, "a path can't hold a NUL; remove it")
		case v.text == "stderr" || v.text == "stdout":
			*dst = v.text
		default:
			*dst = d.path(v.text)
		}
	}
}

// statePath stores the path of the file that keeps the pointers.
func statePath(dst *string) setter {
	return func(d *decoder, v value) {
		switch {
		case !d.want(v, kindString, "a path in quotes"):
		case v.text == "":
			d.reject(v, `empty; write a path such as "fairlead.state", or remove it to keep nothing`)
		case strings.ContainsRune(v.text, 0):
			d.reject(v, "a path can't hold a NUL; remove it")
		case d.path(v.text) == d.name:
			d.reject(v, "that is this file, which it would overwrite; write another path")
		default:
			*dst = d.path(v.text)
		}
	}
}

func failoverMethod(d *decoder, v value) (string, bool) {
	if !d.want(v, kindString, `"GET", "HEAD" or "OPTIONS"`) {
		return "", false
	}
	switch upper := strings.ToUpper(v.text); {
	case v.text == "GET" || v.text == "HEAD" || v.text == "OPTIONS":
		return v.text, true
	case upper == "GET" || upper == "HEAD" || upper == "OPTIONS":
		d.reject(v, "methods are written in capitals; write %s", show(upper))
	default:
		d.reject(v, `only "GET", "HEAD" and "OPTIONS" can be repeated without harm; remove it, and see unsafe for the other methods`)
	}
	return "", false
}

func failoverStatus(d *decoder, v value) (int, bool) {
	if !d.want(v, kindInteger, "a status from 400 to 599") {
		return 0, false
	}
	n, err := number(v.node)
	if err != nil || n < 400 || n > 599 {
		d.reject(v, "only an error can cause a failover; write a status from 400 to 599")
		return 0, false
	}
	return int(n), true
}

// statusRanges reads "200-399" or "200,204,301-303".
func statusRanges(dst *[]StatusRange) setter {
	return func(d *decoder, v value) {
		if !d.want(v, kindString, `statuses such as "200-399" or "200,204,301-303"`) {
			return
		}
		var ranges []StatusRange
		for part := range strings.SplitSeq(v.text, ",") {
			part = strings.TrimSpace(part)
			from, to, isRange := strings.Cut(part, "-")
			if !isRange {
				to = from
			}
			low, okLow := status(from)
			high, okHigh := status(to)
			switch {
			case !okLow || !okHigh:
				d.reject(v, `%s is no status or range from 100 to 599; write for instance "200-399" or "200,204,301-303"`, show(part))
				return
			case low > high:
				d.reject(v, `%s runs backwards; write "%d-%d"`, show(part), high, low)
				return
			}
			ranges = append(ranges, StatusRange{low, high})
		}
		*dst = ranges
	}
}

func status(s string) (int, bool) {
	s = strings.TrimSpace(s)
	n, err := strconv.Atoi(s)
	return n, err == nil && len(s) == 3 && n >= 100 && n <= 599
}

func cidr(d *decoder, v value) (netip.Prefix, bool) {
	if !d.want(v, kindString, `a network such as "10.0.0.0/8"`) {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(v.text)
	switch {
	case err == nil && p.Addr().Is4In6():
		d.reject(v, "an IPv4 network in IPv6 clothes; write it as IPv4")
	case err == nil && p != p.Masked():
		d.reject(v, "the address has bits beyond its length; write %s", show(p.Masked().String()))
	case err == nil:
		return p, true
	default:
		if a, err := netip.ParseAddr(v.text); err == nil && a.Zone() == "" {
			d.reject(v, "a network needs its length; write %s for this one address", show(netip.PrefixFrom(a, a.BitLen()).String()))
		} else {
			d.reject(v, `not a network; write one such as "10.0.0.0/8" or "2001:db8::/32"`)
		}
	}
	return netip.Prefix{}, false
}
