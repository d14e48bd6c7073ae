package config

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// longest is how many characters of the file a message repeats.
const longest = 60

// show writes text as TOML does, in quotes, and cuts what is too long. No
// message can be broken or forged by what a file holds, since everything from
// it goes through here or through showText.
func show(s string) string {
	return strconv.Quote(cut(s))
}

// showText is show for what stands without quotes.
func showText(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return show(s)
	}
	return cut(s)
}

// showKey writes a key as a file has to: in quotes where TOML needs them.
func showKey(name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !bareKey(r) }) {
		return show(name)
	}
	return cut(name)
}

// showValue writes a value as it stands in a file, in short.
func showValue(n *node) string {
	switch n.kind {
	case kindString:
		return show(n.text)
	case kindArray:
		if len(n.items) == 0 {
			return "[]"
		}
		return "[...]"
	case kindTable:
		return "{...}"
	case kindTables:
		return "[[...]]"
	default:
		return showText(n.text)
	}
}

// showDuration writes a duration as a file does: "15m", not 15m0s.
func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return strconv.Quote(s)
}

func bareKey(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// cut shortens text, and hides a user and a password before an @.
func cut(s string) string {
	if at := strings.LastIndexByte(s, '@'); at > 0 {
		start := strings.LastIndexAny(s[:at], "/ ") + 1
		if strings.Contains(s[start:at], ":") || strings.HasSuffix(s[:start], "://") {
			s = s[:start] + "***" + s[at:]
		}
	}
	n := 0
	for i := range s {
		if n++; n > longest {
			return s[:i] + "..."
		}
	}
	return s
}

// oneOf writes a choice: "a", "b" or "c".
func oneOf(quoted []string) string {
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// closest returns the candidate that a misspelt word most likely meant, or ""
// if none is near. Case, hyphens and underscores don't count, and a beginning
// of four letters is near.
func closest(word string, candidates []string) string {
	word = folded(word)
	best, bestDistance := "", 1+max(1, len(word)/3)
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		c := folded(candidate)
		if len(word) >= maxWord || len(c) >= maxWord {
			continue
		}
		d := distance(word, c)
		if len(word) >= 4 && len(c) >= 4 && (strings.HasPrefix(c, word) || strings.HasPrefix(word, c)) {
			d = min(d, 1)
		}
		if d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

var folder = strings.NewReplacer("-", "", "_", "")

func folded(s string) string { return folder.Replace(strings.ToLower(s)) }

// maxWord is more than the length of any key and any name.
const maxWord = 64

// distance counts the characters to insert, remove, replace or swap with
// their neighbour to turn a into b, both shorter than maxWord.
func distance(a, b string) int {
	var before, last, row [maxWord]int
	for j := range len(b) {
		last[j+1] = j + 1
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(row[j-1]+1, last[j]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
