package http1

import (
	"strings"
	"testing"
)

// outFields parses a head and returns what is sent to the origin for it, field
// lines only, without the lines that every request gets unless they are asked for.
func outFields(t *testing.T, head string, o RequestOut) string {
	t.Helper()
	if o.Proto == "" {
		o.Proto = "http"
	}
	got := string(AppendRequestHead(nil, parse(t, head), &o))
	_, fields, _ := strings.Cut(got, "\r\n")
	fields, ok := strings.CutSuffix(fields, "\r\n\r\n")
	if !ok || strings.Contains(fields, "\r\n\r\n") {
		t.Fatalf("no head: %q", got)
	}
	return fields
}

func lines(l ...string) string { return strings.Join(l, "\r\n") }

func TestARequestIsForwardedInOrderAndSpellingWithTheGatewaysFields(t *testing.T) {
	give := "GET /a%20b//?c=%2f&d? HTTP/1.1\r\n" +
		"uSeR-aGeNt:x \r\nHost: shop.example\r\nConnection: keep-alive, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\n" +
		"Cookie: a=b\r\nVia: 1.0 first\r\nCDN-Loop: first\r\nAccept: */*\r\n\r\n"
	want := "GET /a%20b//?c=%2f&d? HTTP/1.1\r\n" +
		"uSeR-aGeNt: x\r\nHost: origin\r\nCookie: a=b\r\nVia: 1.0 first\r\nCDN-Loop: first\r\nAccept: */*\r\n" +
		"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nX-Request-Id: id1\r\n" +
		"Via: 1.1 fairlead\r\nCDN-Loop: fl-1\r\n\r\n"
	o := RequestOut{Host: []byte("origin"), ClientIP: []byte("192.0.2.1"), RequestID: []byte("id1"), Instance: []byte("fl-1"), Proto: "https"}
	if got := string(AppendRequestHead(nil, parse(t, give), &o)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTheRequestLineHasTheOriginForm(t *testing.T) {
	tests := []struct{ give, want string }{
		{"GET http://a/b?c HTTP/1.1", "GET /b?c HTTP/1.1"},
		{"GET http://a HTTP/1.1", "GET / HTTP/1.1"},
		{"GET http://a?b HTTP/1.1", "GET /?b HTTP/1.1"},
		{"GET /? HTTP/1.1", "GET /? HTTP/1.1"},
		{"GET / HTTP/1.0", "GET / HTTP/1.1"},
		{"OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1"},
		{"OPTIONS http://a HTTP/1.1", "OPTIONS * HTTP/1.1"},
		{"PROPFIND /x HTTP/1.1", "PROPFIND /x HTTP/1.1"},
	}
	for _, tt := range tests {
		got := string(AppendRequestHead(nil, parse(t, tt.give+"\r\nHost: a\r\n\r\n"), &RequestOut{}))
		if line, _, _ := strings.Cut(got, "\r\n"); line != tt.want {
			t.Errorf("%s: %s, want %s", tt.give, line, tt.want)
		}
	}
}

func TestHostIsReplacedInPlaceOrComesFirst(t *testing.T) {
	tests := []struct {
		name, give, host, want string
	}{
		{"in place", "GET / HTTP/1.1\r\nA: b\r\nHOST: a\r\n\r\n", "origin", lines("A: b", "HOST: origin")},
		{"the client's", "GET / HTTP/1.1\r\nA: b\r\nHost: a\r\n\r\n", "", lines("A: b", "Host: a")},
		{"the absolute target's", "GET http://t/ HTTP/1.1\r\nHost: a\r\n\r\n", "", "Host: t"},
		{"none in HTTP/1.0", "GET / HTTP/1.0\r\nA: b\r\n\r\n", "origin", lines("Host: origin", "A: b")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := RequestOut{}
			if tt.host != "" {
				o.Host = []byte(tt.host)
			}
			if got := outFields(t, tt.give, o); !strings.HasPrefix(got, tt.want+"\r\n") {
				t.Errorf("got\n%s\nwant at first\n%s", got, tt.want)
			}
		})
	}
}

func TestForwardingFieldsAreBelievedFromATrustedProxyAlone(t *testing.T) {
	tests := []struct {
		name              string
		give              []string
		trusted, stranger string // what is sent for it from each, without X-Request-Id and Via
	}{
		{"none", nil,
			lines("Host: a", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a"),
			lines("Host: a", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a")},
		{"For in two fields", []string{"x-forwarded-for: 10.0.0.1, 10.0.0.2", "B: c", "X-Forwarded-For:", "X-Forwarded-For: 10.0.0.3"},
			lines("Host: a", "x-forwarded-for: 10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.1", "B: c", "X-Forwarded-Proto: http", "X-Forwarded-Host: a"),
			lines("Host: a", "x-forwarded-for: 192.0.2.1", "B: c", "X-Forwarded-Proto: http", "X-Forwarded-Host: a")},
		{"Proto and Host", []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: shop"},
			lines("Host: a", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop", "X-Forwarded-For: 192.0.2.1"),
			lines("Host: a", "X-Forwarded-Proto: http", "X-Forwarded-Host: a", "X-Forwarded-For: 192.0.2.1")},
		{"Proto and Host twice", []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: shop", "X-Forwarded-Proto: http", "X-Forwarded-Host: evil"},
			lines("Host: a", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop", "X-Forwarded-Proto: http", "X-Forwarded-Host: evil", "X-Forwarded-For: 192.0.2.1"),
			lines("Host: a", "X-Forwarded-Proto: http", "X-Forwarded-Host: a", "X-Forwarded-For: 192.0.2.1")},
		{"another X-Forwarded field", []string{"X-Forwarded-Port: 443"},
			lines("Host: a", "X-Forwarded-Port: 443", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a"),
			lines("Host: a", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a")},
		{"Forwarded and X-Real-IP", []string{"Forwarded: for=10.0.0.1", "forwarded: for=10.0.0.2", "X-Real-Ip: 10.0.0.1"},
			lines("Host: a", "Forwarded: for=10.0.0.1", "forwarded: for=10.0.0.2", "X-Real-Ip: 10.0.0.1", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a"),
			lines("Host: a", `Forwarded: for=192.0.2.1;host="a";proto=http`, "X-Real-Ip: 192.0.2.1", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a")},
		{"Failover-Attempt", []string{"Failover-Attempt: 2"},
			lines("Host: a", "Failover-Attempt: 2", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a"),
			lines("Host: a", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a")},
		{"what Connection would remove", []string{"Connection: X-Forwarded-For, Forwarded, X-Forwarded-Host", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: shop"},
			lines("Host: a", "X-Forwarded-For: 10.0.0.1, 192.0.2.1", "X-Forwarded-Host: shop", "X-Forwarded-Proto: http"),
			lines("Host: a", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: a", "X-Forwarded-Proto: http")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := RequestOut{ClientIP: []byte("192.0.2.1"), Trusted: true}
			if got, want := outFields(t, get(tt.give...), o), tt.trusted+"\r\nVia: 1.1 fairlead"; got != want {
				t.Errorf("trusted: got\n%s\nwant\n%s", got, want)
			}
			o.Trusted = false
			if got, want := outFields(t, get(tt.give...), o), tt.stranger+"\r\nVia: 1.1 fairlead"; got != want {
				t.Errorf("not trusted: got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAClientWithoutAnAddressLeavesNone(t *testing.T) {
	give := get("X-Forwarded-For: 10.0.0.1", "X-Real-IP: 10.0.0.1", "Forwarded: for=10.0.0.1")
	got := outFields(t, give, RequestOut{})
	if want := lines("Host: a", `Forwarded: for=unknown;host="a";proto=http`, "X-Forwarded-Proto: http", "X-Forwarded-Host: a", "Via: 1.1 fairlead"); got != want {
		t.Errorf("not trusted: got\n%s\nwant\n%s", got, want)
	}
	got = outFields(t, get("X-Forwarded-For: 10.0.0.1"), RequestOut{Trusted: true})
	if want := lines("Host: a", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a", "Via: 1.1 fairlead"); got != want {
		t.Errorf("trusted: got\n%s\nwant\n%s", got, want)
	}
}

func TestAnIPv6AddressIsQuotedInForwardedAlone(t *testing.T) {
	got := outFields(t, get("Forwarded: for=x", "X-Real-IP: x"), RequestOut{ClientIP: []byte("2001:db8::1"), Proto: "https"})
	want := lines("Host: a", `Forwarded: for="[2001:db8::1]";host="a";proto=https`, "X-Real-IP: 2001:db8::1",
		"X-Forwarded-For: 2001:db8::1", "X-Forwarded-Proto: https", "X-Forwarded-Host: a", "Via: 1.1 fairlead")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTheRequestIDIsReplacedInPlaceAndOnce(t *testing.T) {
	got := outFields(t, get("x-request-id: forged", "B: c", "X-Request-Id: forged"), RequestOut{RequestID: []byte("id1")})
	want := lines("Host: a", "x-request-id: id1", "B: c", "X-Forwarded-Proto: http", "X-Forwarded-Host: a", "Via: 1.1 fairlead")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTheSecondAttemptSaysSoOnce(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		got := outFields(t, get("Failover-Attempt: 1"), RequestOut{Attempt: 2, Trusted: trusted})
		want := lines("Host: a", "X-Forwarded-Proto: http", "X-Forwarded-Host: a", "Failover-Attempt: 2", "Via: 1.1 fairlead")
		if got != want {
			t.Errorf("trusted %v: got\n%s\nwant\n%s", trusted, got, want)
		}
	}
}

func TestViaSaysWhichVersionWasReceived(t *testing.T) {
	got := outFields(t, "GET / HTTP/1.0\r\nHost: a\r\n\r\n", RequestOut{})
	if !strings.HasSuffix(got, "\r\nVia: 1.0 fairlead") {
		t.Errorf("got\n%s", got)
	}
}

func TestRequestFramingIsStatedOnce(t *testing.T) {
	const rest = "\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nVia: 1.1 fairlead"
	tests := []struct {
		name, give, want string
		change           func(r *Request)
	}{
		{"length in place", post("content-length: 007", "A: b"), lines("Host: a", "Content-Length: 7", "A: b"), nil},
		{"length 0", post("Content-Length: 0"), lines("Host: a", "Content-Length: 0"), nil},
		{"none", post(), "Host: a", nil},
		{"chunked in place", post("TRANSFER-encoding:\tChunked", "A: b"), lines("Host: a", "Transfer-Encoding: chunked", "A: b"), nil},
		{"chunked although Connection names it", post("Connection: Transfer-Encoding", "Transfer-Encoding: chunked"), lines("Host: a", "Transfer-Encoding: chunked"), nil},
		{"chunked that the caller has read", post("Transfer-Encoding: chunked", "A: b"), lines("Host: a", "Content-Length: 9", "A: b"),
			func(r *Request) { r.Body, r.Length = BodyLength, 9 }},
		{"a body that the caller has added", post("A: b"), lines("Host: a", "A: b", "Transfer-Encoding: chunked"),
			func(r *Request) { r.Body, r.Length = BodyChunked, -1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := parse(t, tt.give)
			if tt.change != nil {
				tt.change(r)
			}
			got := string(AppendRequestHead(nil, r, &RequestOut{Proto: "http"}))
			if want := "POST / HTTP/1.1\r\n" + tt.want + rest + "\r\n\r\n"; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestExpectGoesOnOnlyWhereItMeansSomething(t *testing.T) {
	tests := []struct {
		give string
		want bool
	}{
		{post("Expect: 100-continue", "Content-Length: 3"), true},
		{post("Connection: Expect", "Expect: 100-continue", "Content-Length: 3"), true},
		{post("Expect: 100-continue"), false},
		{"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", false},
	}
	for _, tt := range tests {
		if got := outFields(t, tt.give, RequestOut{}); strings.Contains(got, "Expect: 100-continue\r\n") != tt.want {
			t.Errorf("%q is sent as\n%s", tt.give, got)
		}
	}
}

func TestTheNextHopIsAskedForTrailersAndUpgrades(t *testing.T) {
	tests := []struct {
		give, want string
	}{
		{get("TE: gzip, trailers", "Connection: TE"), lines("TE: trailers", "Connection: TE")},
		{get("Upgrade: websocket", "Connection: keep-alive, Upgrade"), lines("Upgrade: websocket", "Connection: Upgrade")},
		{get("TE: trailers", "Upgrade: websocket", "Connection: TE, Upgrade"), lines("TE: trailers", "Upgrade: websocket", "Connection: Upgrade, TE")},
	}
	for _, tt := range tests {
		got := outFields(t, tt.give, RequestOut{})
		if !strings.HasSuffix(got, "\r\nVia: 1.1 fairlead\r\n"+tt.want) {
			t.Errorf("%q is sent as\n%s", tt.give, got)
		}
	}
	if got := outFields(t, get("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AA"), RequestOut{}); strings.Contains(got, "pgrade") || strings.Contains(got, "HTTP2") {
		t.Errorf("h2c is sent as\n%s", got)
	}
}

func TestAHeadIsAppended(t *testing.T) {
	got := AppendRequestHead([]byte("before "), parse(t, get()), &RequestOut{})
	if !strings.HasPrefix(string(got), "before GET / HTTP/1.1\r\n") {
		t.Errorf("got %q", got)
	}
}
