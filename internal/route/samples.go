package route

import (
	"net/url"
	"slices"
	"strings"
)

// Samples are requests that a pattern by itself matches. Another pattern of the
// same table may be narrower, so that it is the one that gets some of them; ask
// [Table.Match].
type Samples struct {
	// Method is the pattern's, "" if it takes any.
	Method string
	// Host is the pattern's, "" if it takes any.
	Host string
	// Paths are encoded as a request line carries them, the plainest first; there
	// is at least one, and none is there twice.
	Paths []string
}

// The texts that stand for wildcards. Those of {name...} follow a slash.
var (
	sampleSegments = []string{"drill", "1", "drill-sample-1"}
	sampleRests    = []string{"", "drill", "drill/1", "drill/", "drill/1/2", "drill/1/2/3", "1/2/3/4/5"}
)

// SamplesOf returns requests for a pattern. The error is what is wrong with the
// pattern.
func SamplesOf(pattern string) (Samples, error) {
	p, err := parsePattern(0, pattern)
	if err != nil {
		return Samples{}, err
	}
	s := Samples{Method: p.method, Host: p.host}
	for _, segment := range sampleSegments {
		stem := sampleStem(p.path, segment)
		rests := []string{""}
		if last := p.path[len(p.path)-1]; last.kind == multi {
			rests = sampleRests
		}
		for _, rest := range rests {
			if path := stem + rest; !slices.Contains(s.Paths, path) {
				s.Paths = append(s.Paths, path)
			}
		}
	}
	return s, nil
}

// sampleStem is a path up to the last slash that the pattern asks for.
func sampleStem(segments []segment, wildcard string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		switch s.kind {
		case literal:
			b.WriteString(url.PathEscape(s.text))
		case single:
			b.WriteString(wildcard)
		case slash, multi: // the slash is all that must be there
		}
	}
	return b.String()
}
