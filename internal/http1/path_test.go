package http1

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPathsThatAnOriginCouldTakeForOthersAreRefused(t *testing.T) {
	tests := []struct {
		give           string
		want, wantKept error // with encoded slashes rejected and kept
	}{
		{"/", nil, nil},
		{"/a/b.c/...", nil, nil},
		{"/a/./b", nil, nil},
		{"//a//", nil, nil},
		{"/a..b/..c/d..", nil, nil},
		{"/caf%C3%A9%20", nil, nil},
		{"/%252e%252e/", nil, nil},
		{"/a;..", nil, nil},
		{"/a;b=..;c", nil, nil},
		{"/%2E./a", ErrPathClimbs, ErrPathClimbs},
		{"/..", ErrPathClimbs, ErrPathClimbs},
		{"/../", ErrPathClimbs, ErrPathClimbs},
		{"/a/../b", ErrPathClimbs, ErrPathClimbs},
		{"/a/%2e%2e", ErrPathClimbs, ErrPathClimbs},
		{"/a/.%2E/b", ErrPathClimbs, ErrPathClimbs},
		{"/a/..;/b", ErrPathClimbs, ErrPathClimbs},
		{"/a/..;x=1", ErrPathClimbs, ErrPathClimbs},
		{"/a/..%3b", ErrPathClimbs, ErrPathClimbs},
		{"/a%2fb", ErrEncodedSlash, nil},
		{"/a%2Fb", ErrEncodedSlash, nil},
		{"/a%5cb", ErrEncodedSlash, nil},
		{"/a/..%2fb", ErrEncodedSlash, ErrPathClimbs},
		{"/a%2f..", ErrEncodedSlash, ErrPathClimbs},
		{"/a%2F%2e%2e%2Fb", ErrEncodedSlash, ErrPathClimbs},
		{"/a%5C..%5Cb", ErrEncodedSlash, ErrPathClimbs},
		{"/a%5C..", ErrEncodedSlash, ErrPathClimbs},
		{`/a\b`, ErrPathBackslash, ErrPathBackslash},
		{`/..\`, ErrPathBackslash, ErrPathBackslash},
		{"/a%00", ErrPathNUL, ErrPathNUL},
		{"/a\x00", ErrPathNUL, ErrPathNUL},
		{"/%", ErrPathEncoding, ErrPathEncoding},
		{"/%2", ErrPathEncoding, ErrPathEncoding},
		{"/%zz", ErrPathEncoding, ErrPathEncoding},
		{"/%2g", ErrPathEncoding, ErrPathEncoding},
		{"/%u002e", ErrPathEncoding, ErrPathEncoding},
		{"/%%32", ErrPathEncoding, ErrPathEncoding},
	}
	for _, tt := range tests {
		if err := CheckPath([]byte(tt.give), false); err != tt.want {
			t.Errorf("%s: %v, want %v", tt.give, err, tt.want)
		}
		if err := CheckPath([]byte(tt.give), true); err != tt.wantKept {
			t.Errorf("%s with slashes kept: %v, want %v", tt.give, err, tt.wantKept)
		}
	}
	if !strings.Contains(ErrEncodedSlash.Msg, "encoded_slash") {
		t.Errorf("%q does not name the key that allows it", ErrEncodedSlash.Msg)
	}
}

// What passes has no ".." segment however it is decoded, and the other way
// round nothing else is refused.
func TestCheckPathAgreesWithDecodingFirst(t *testing.T) {
	pieces := []string{"/", "/", ".", "..", "%2e", "%2E", "%2f", "%5c", "a", "%61", ";", "%3B", "%", "%4"}
	rapid.Check(t, func(t *rapid.T) {
		path := "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 8).Draw(t, "path"), "")
		decoded, err := url.PathUnescape(path)
		climbs := false
		for _, segment := range strings.FieldsFunc(decoded, func(c rune) bool { return c == '/' || c == '\\' }) {
			name, _, _ := strings.Cut(segment, ";")
			climbs = climbs || name == ".."
		}
		refused := err != nil || climbs
		if got := CheckPath([]byte(path), true); (got != nil) != refused {
			t.Fatalf("%s: %v; decoded %q, %v", path, got, decoded, err)
		}
		hidden := strings.Contains(strings.ToLower(path), "%2f") || strings.Contains(strings.ToLower(path), "%5c")
		if got := CheckPath([]byte(path), false); (got != nil) != (refused || hidden) {
			t.Fatalf("%s, slashes rejected: %v", path, got)
		}
	})
}
