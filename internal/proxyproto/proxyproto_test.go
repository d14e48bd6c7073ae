package proxyproto

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// v2 writes a header of version 2 by hand. command is 0 for LOCAL and 1 for
// PROXY.
func v2(command, family byte, payload string) string {
	head := append([]byte(signatureV2), 0x20|command, family, 0, 0)
	binary.BigEndian.PutUint16(head[14:], uint16(len(payload)))
	return string(head) + payload
}

// ends are the addresses of a header of version 2 and two ports.
func ends(source, destination string) string {
	s, d := netip.MustParseAddr(source).AsSlice(), netip.MustParseAddr(destination).AsSlice()
	return string(s) + string(d) + "\xc7\x38\x01\xbb"
}

// tlv is a field of a header of version 2.
func tlv(kind byte, text string) string {
	return string([]byte{kind, byte(len(text) >> 8), byte(len(text))}) + text
}

var (
	longestV1 = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"
	unixEnds  = "/run/client.sock" + strings.Repeat("\x00", 92) + "/run/us.sock" + strings.Repeat("\x00", 96)
)

var good = []struct {
	name, give string
	want       Header
}{
	{"v1 over IPv4", "PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n", Header{Version: 1, Source: netip.MustParseAddr("192.0.2.7")}},
	{"v1 over IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 51000 443\r\n", Header{Version: 1, Source: netip.MustParseAddr("2001:db8::7")}},
	{"v1 with IPv4 as IPv6", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 51000 443\r\n", Header{Version: 1, Source: netip.MustParseAddr("192.0.2.7")}},
	{"v1 with the least ports", "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", Header{Version: 1, Source: netip.MustParseAddr("0.0.0.0")}},
	{"v1 unknown", "PROXY UNKNOWN\r\n", Header{Version: 1, Local: true}},
	{"v1 unknown with whatever", "PROXY UNKNOWN and more of it\r\n", Header{Version: 1, Local: true}},
	{"v1 of 107 bytes", longestV1, Header{Version: 1, Local: true}},
	{"v2 over IPv4", v2(1, 0x11, ends("192.0.2.7", "198.51.100.1")), Header{Version: 2, Source: netip.MustParseAddr("192.0.2.7")}},
	{"v2 over IPv6", v2(1, 0x21, ends("2001:db8::7", "2001:db8::1")), Header{Version: 2, Source: netip.MustParseAddr("2001:db8::7")}},
	{"v2 with IPv4 as IPv6", v2(1, 0x21, ends("::ffff:192.0.2.7", "2001:db8::1")), Header{Version: 2, Source: netip.MustParseAddr("192.0.2.7")}},
	{"v2 of a datagram", v2(1, 0x12, ends("192.0.2.7", "198.51.100.1")), Header{Version: 2, Source: netip.MustParseAddr("192.0.2.7")}},
	{"v2 of a unix socket", v2(1, 0x31, unixEnds), Header{Version: 2}},
	{"v2 local", v2(0, 0x00, ""), Header{Version: 2, Local: true}},
	{"v2 local with an address", v2(0, 0x11, ends("192.0.2.7", "198.51.100.1")), Header{Version: 2, Local: true}},
	{"v2 local with half an address", v2(0, 0x11, "12345"), Header{Version: 2, Local: true}},
	{"v2 unspecified", v2(1, 0x00, ""), Header{Version: 2, Local: true}},
	{"v2 unspecified with fields", v2(1, 0x00, tlv(4, "nothing")), Header{Version: 2, Local: true}},
	{"v2 with fields", v2(1, 0x11, ends("192.0.2.7", "198.51.100.1")+tlv(1, "h2")+tlv(2, "shop.example")+tlv(0xea, "\x01vpce-1")), Header{Version: 2, Source: netip.MustParseAddr("192.0.2.7")}},
	{"v2 with fields that are none", v2(1, 0x11, ends("192.0.2.7", "198.51.100.1")+"\xff\xff\xff\xff"), Header{Version: 2, Source: netip.MustParseAddr("192.0.2.7")}},
	{"v2 of 4096 bytes", v2(1, 0x11, ends("192.0.2.7", "198.51.100.1")+tlv(4, strings.Repeat("x", MaxLen-prefixV2-12-3))), Header{Version: 2, Source: netip.MustParseAddr("192.0.2.7")}},
}

// A header is found at every length of what follows it, and never before its
// last byte is there.
func TestEveryHeaderIsReadWholeAndNotAByteMore(t *testing.T) {
	for _, tt := range good {
		for i := range len(tt.give) {
			if h, n, err := Parse([]byte(tt.give[:i])); h != (Header{}) || n != 0 || err != nil {
				t.Fatalf("%s: after %d of %d bytes: %+v, %d, %v", tt.name, i, len(tt.give), h, n, err)
			}
		}
		for _, after := range []string{"", "G", "GET / HTTP/1.1\r\n\r\n", tt.give, "\x16\x03\x01", "\r\n"} {
			if h, n, err := Parse([]byte(tt.give + after)); h != tt.want || n != len(tt.give) || err != nil {
				t.Errorf("%s, before %q: %+v, %d of %d, %v", tt.name, after, h, n, len(tt.give), err)
			}
		}
	}
	if len(longestV1) != maxV1 {
		t.Errorf("the longest line has %d bytes", len(longestV1))
	}
}

func TestBrokenHeadersAreRefused(t *testing.T) {
	tests := []struct{ name, give string }{
		{"v1 of 108 bytes", longestV1[:105] + "5\r\n"},
		{"v1 without an end", "PROXY TCP4 " + strings.Repeat("1", maxV1)},
		{"v1 that ends with LF", "PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\n"},
		{"v1 with a CR within", "PROXY TCP4 192.0.2.7\r 198.51.100.1 51000 443\r\n"},
		{"v1 of no family", "PROXY \r\n"},
		{"v1 of another family", "PROXY TCP5 192.0.2.7 198.51.100.1 51000 443\r\n"},
		{"v1 of UDP", "PROXY UDP4 192.0.2.7 198.51.100.1 51000 443\r\n"},
		{"v1 in lower case", "PROXY tcp4 192.0.2.7 198.51.100.1 51000 443\r\n"},
		{"v1 that is almost unknown", "PROXY UNKNOWNS\r\n"},
		{"v1 with two spaces", "PROXY TCP4  192.0.2.7 198.51.100.1 51000 443\r\n"},
		{"v1 with a tab", "PROXY TCP4\t192.0.2.7 198.51.100.1 51000 443\r\n"},
		{"v1 with a space at the end", "PROXY TCP4 192.0.2.7 198.51.100.1 51000 443 \r\n"},
		{"v1 with too little", "PROXY TCP4 192.0.2.7 198.51.100.1 51000\r\n"},
		{"v1 with too much", "PROXY TCP4 192.0.2.7 198.51.100.1 51000 443 1\r\n"},
		{"v1 with a leading zero in the address", "PROXY TCP4 192.0.2.07 198.51.100.1 51000 443\r\n"},
		{"v1 with a short address", "PROXY TCP4 192.0.2 198.51.100.1 51000 443\r\n"},
		{"v1 with a large address", "PROXY TCP4 192.0.2.256 198.51.100.1 51000 443\r\n"},
		{"v1 with a name", "PROXY TCP4 localhost 198.51.100.1 51000 443\r\n"},
		{"v1 with a bad destination", "PROXY TCP4 192.0.2.7 nowhere 51000 443\r\n"},
		{"v1 with IPv6 as TCP4", "PROXY TCP4 2001:db8::7 2001:db8::1 51000 443\r\n"},
		{"v1 with IPv4 as TCP6", "PROXY TCP6 192.0.2.7 198.51.100.1 51000 443\r\n"},
		{"v1 with a zone", "PROXY TCP6 fe80::1%eth0 2001:db8::1 51000 443\r\n"},
		{"v1 with brackets", "PROXY TCP6 [2001:db8::7] 2001:db8::1 51000 443\r\n"},
		{"v1 with a leading zero in the port", "PROXY TCP4 192.0.2.7 198.51.100.1 051000 443\r\n"},
		{"v1 with a zero too many", "PROXY TCP4 192.0.2.7 198.51.100.1 51000 00\r\n"},
		{"v1 with a large port", "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n"},
		{"v1 with a negative port", "PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n"},
		{"v1 with a sign", "PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n"},
		{"v1 without a port", "PROXY TCP4 192.0.2.7 198.51.100.1  443\r\n"},
		{"v1 with a NUL", "PROXY TCP4 192.0.2.7\x00 198.51.100.1 51000 443\r\n"},
		{"v2 of 4097 bytes", v2(1, 0x11, ends("192.0.2.7", "198.51.100.1")+strings.Repeat("\x00", MaxLen-prefixV2-11))},
		{"v2 of 65551 bytes", signatureV2 + "\x21\x11\xff\xff"},
		{"v2 of another version", signatureV2 + "\x11\x11\x00\x0c" + ends("192.0.2.7", "198.51.100.1")},
		{"v2 with another command", signatureV2 + "\x22\x11\x00\x0c" + ends("192.0.2.7", "198.51.100.1")},
		{"v2 of another family", v2(1, 0x41, ends("192.0.2.7", "198.51.100.1"))},
		{"v2 of another transport", v2(1, 0x13, ends("192.0.2.7", "198.51.100.1"))},
		{"v2 of a family without a transport", v2(1, 0x10, ends("192.0.2.7", "198.51.100.1"))},
		{"v2 local of another family", v2(0, 0x41, "")},
		{"v2 with a short address", v2(1, 0x11, ends("192.0.2.7", "198.51.100.1")[:11])},
		{"v2 with a short address of IPv6", v2(1, 0x21, ends("192.0.2.7", "198.51.100.1"))},
		{"v2 with a short path", v2(1, 0x31, unixEnds[:215])},
		{"v2 without an address", v2(1, 0x11, "")},
	}
	for _, tt := range tests {
		if h, n, err := Parse([]byte(tt.give)); h != (Header{}) || n != 0 || !errors.Is(err, ErrBroken) || errors.Is(err, ErrNone) {
			t.Errorf("%s: %+v, %d, %v", tt.name, h, n, err)
		}
	}
}

// Whatever is no header is known by its first wrong byte.
func TestWhatIsNoHeaderIsKnownAtOnce(t *testing.T) {
	for _, s := range []string{"GET / HTTP/1.1\r\n", "\x16\x03\x01\x02\x00", "PRI * HTTP/2.0\r\n", "\x00", " PROXY TCP4 ", "proxy TCP4 ", "PROXZ", "PROXY\t", "\r\nGET", "\r\n\r\n\x00\r\nQUIT\r", "PATCH / HTTP/1.1"} {
		wrong := 1
		for begins([]byte(s[:wrong]), signatureV1) || begins([]byte(s[:wrong]), signatureV2) {
			wrong++
		}
		for i := range len(s) + 1 {
			_, n, err := Parse([]byte(s[:i]))
			if n != 0 || errors.Is(err, ErrNone) != (i >= wrong) || err != nil && i < wrong {
				t.Errorf("%q: %d, %v", s[:i], n, err)
			}
		}
	}
}

// Strangers may use PROXY as a method, and begin with empty lines.
func TestOnlyWhatIsAHeaderResemblesOne(t *testing.T) {
	tests := []struct {
		give string
		want int
		more bool
	}{
		{"", 0, true}, {"P", 0, true}, {"PROXY", 0, true}, {"PROXY ", 0, true}, {"PROXY T", 0, true}, {"PROXY TCP4", 0, true}, {"PROXY UNKNOW", 0, true},
		{"\r", 0, true}, {"\r\n\r\n", 0, true}, {signatureV2[:11], 0, true},
		{"PROXY TCP4 ", 1, false}, {"PROXY TCP6 anything", 1, false}, {"PROXY UNKNOWN\r\n", 1, false}, {signatureV2, 2, false}, {signatureV2 + "\xff", 2, false},
		{"PROXY / HTTP/1.1\r\n", 0, false}, {"PROXY TCP5 ", 0, false}, {"PUT", 0, false}, {"\r\nG", 0, false}, {"\r\n\r\nG", 0, false}, {"\x16", 0, false},
	}
	for _, tt := range tests {
		if version, more := Resembles([]byte(tt.give)); version != tt.want || more != tt.more {
			t.Errorf("%q: %d, %v", tt.give, version, more)
		}
	}
}

func TestFiveBytesTellAHeaderFromAHandshake(t *testing.T) {
	for give, want := range map[string]int{"PROXY": 1, "\r\n\r\n\x00": 2, "PROX": 0, "": 0, "\x16\x03\x01\x02\x00": 0, "GET /": 0, "\r\n\r\nG": 0} {
		if got := Signature([]byte(give)); got != want {
			t.Errorf("%q: %d", give, got)
		}
	}
}

// FuzzParse feeds bytes in pieces. A header is as long as it was said to be,
// whatever follows it; what was refused stays refused; and what is asked for
// more is bounded.
func FuzzParse(f *testing.F) {
	for _, tt := range good {
		f.Add([]byte(tt.give + "GET / HTTP/1.1\r\n"))
	}
	for _, s := range []string{"", "PROXY ", "PROXY TCP4 1.2.3.4 5.6.7.8 09 1\r\n", signatureV2 + "\x21\x11\xff\xff", v2(1, 0x31, "short"), "GET / HTTP/1.1\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		h, n, err := Parse(p)
		switch {
		case err != nil:
			if h != (Header{}) || n != 0 || errors.Is(err, ErrNone) == errors.Is(err, ErrBroken) {
				t.Fatalf("%+v, %d, %v", h, n, err)
			}
			if _, _, again := Parse(append(slices.Clip(p), 'x')); again == nil {
				t.Fatal("more bytes have mended it")
			}
			return
		case n == 0:
			if len(p) >= MaxLen || begins(p, signatureV1) && len(p) >= maxV1 {
				t.Fatalf("%d bytes are not enough", len(p))
			}
			return
		}
		if n > len(p) || n > MaxLen || h.Version == 1 && n > maxV1 || h.Local && h.Source.IsValid() || h.Source.Is4In6() || h.Source.Zone() != "" {
			t.Fatalf("%+v of %d bytes", h, n)
		}
		if version, more := Resembles(p); version != h.Version || more {
			t.Fatalf("version %d resembles %d", h.Version, version)
		}
		if h2, n2, err := Parse(p[:n:n]); h2 != h || n2 != n || err != nil {
			t.Fatalf("alone it is %+v, %d, %v", h2, n2, err)
		}
		if _, n2, err := Parse(p[:n-1]); n2 != 0 || err != nil {
			t.Fatalf("without its last byte: %d, %v", n2, err)
		}
	})
}

// BenchmarkParse is what a connection pays.
func BenchmarkParse(b *testing.B) {
	for _, tt := range []struct{ name, give string }{{"v1", good[0].give}, {"v2", good[7].give}, {"v2 with fields", good[17].give}} {
		p := []byte(tt.give)
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, n, _ := Parse(p); n != len(p) {
					b.Fatal(n)
				}
			}
		})
	}
}
