package health

import (
	"fmt"
	"strconv"
	"strings"
)

// A StatusRange is an inclusive range of HTTP status codes. The zero value
// contains none.
type StatusRange struct {
	From, To int
}

// String is the range as [ParseStatusRanges] reads it: "200-399", or "204" for
// a single status.
func (r StatusRange) String() string {
	if r.From == r.To {
		return strconv.Itoa(r.From)
	}
	return fmt.Sprintf("%d-%d", r.From, r.To)
}

func (r StatusRange) contains(status int) bool {
	return r.From <= status && status <= r.To
}

func (r StatusRange) check() error {
	if r.From < 100 || r.To > 599 {
		return fmt.Errorf("status %s: must lie in 100-599", r)
	}
	if r.From > r.To {
		return fmt.Errorf("status %s: the range is upside down, write %d-%d", r, r.To, r.From)
	}
	return nil
}

// ParseStatusRanges reads a list of statuses and ranges such as "200-399" or
// "200, 204, 301-303". Statuses have three digits and lie in 100-599. Blanks
// around an element are allowed, empty elements are not.
func ParseStatusRanges(s string) ([]StatusRange, error) {
	var ranges []StatusRange
	for element := range strings.SplitSeq(s, ",") {
		r, err := parseStatusRange(strings.Trim(element, " "))
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

func parseStatusRange(s string) (StatusRange, error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	r := StatusRange{From: parseStatus(from), To: parseStatus(to)}
	if r.From < 0 || r.To < 0 {
		return StatusRange{}, fmt.Errorf("status %q: write a status like 204 or a range like 200-399", s)
	}
	return r, r.check()
}

// parseStatus reads exactly three digits, or returns -1.
func parseStatus(s string) int {
	if len(s) != 3 {
		return -1
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

func joinStatusRanges(ranges []StatusRange) string {
	texts := make([]string, len(ranges))
	for i, r := range ranges {
		texts[i] = r.String()
	}
	return strings.Join(texts, ",")
}
