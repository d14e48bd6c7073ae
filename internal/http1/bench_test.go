package http1

import (
	"strings"
	"testing"
)

const browserHead = "GET /product/1234?ref=home&utm_source=newsletter HTTP/1.1\r\n" +
	"Host: shop.example.com\r\n" +
	"Connection: keep-alive\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
	"Referer: https://shop.example.com/\r\n" +
	"Cookie: session=0f8fad5b-d9cb-469f-a165-70867728950e; consent=1; theme=dark\r\n" +
	"Sec-Fetch-Site: same-origin\r\n" +
	"Cache-Control: max-age=0\r\n\r\n"

const curlHead = "GET /product/1234 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: curl/8.7.1\r\nAccept: */*\r\n\r\n"

const originHead = "HTTP/1.1 200 OK\r\nServer: nginx/1.26.0\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n" +
	"Content-Length: 1024\r\nConnection: keep-alive\r\nETag: \"66a1f3c2-400\"\r\nCache-Control: public, max-age=60\r\n\r\n"

var heads = []struct{ name, head string }{{"curl", curlHead}, {"browser", browserHead}}

func benchmarkOut() *RequestOut {
	return &RequestOut{Host: []byte("shop.example.com"), ClientIP: []byte("192.0.2.17"), RequestID: []byte("01J8ZC6Q4M9T7R5V3X2W1Y0ABC"),
		Instance: []byte("fairlead-7f3a"), Proto: "http"}
}

func chunkedBody() []byte {
	return []byte(strings.Repeat("400\r\n"+strings.Repeat("a", 1024)+"\r\n", 16) + "0\r\n\r\n")
}

func BenchmarkHeadEnd(b *testing.B) {
	for _, h := range heads {
		b.Run(h.name, func(b *testing.B) {
			b.ReportAllocs()
			head := []byte(h.head)
			for b.Loop() {
				if end, err := HeadEnd(head, 0); end != len(head) || err != nil {
					b.Fatal(end, err)
				}
			}
		})
	}
}

func BenchmarkParseRequest(b *testing.B) {
	for _, h := range heads {
		b.Run(h.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(h.head)))
			head := []byte(h.head)
			var r Request
			for b.Loop() {
				if err := r.Parse(head); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendRequestHead(b *testing.B) {
	for _, h := range heads {
		b.Run(h.name, func(b *testing.B) {
			b.ReportAllocs()
			r, o := parse(b, h.head), benchmarkOut()
			buf := make([]byte, 0, 4096)
			for b.Loop() {
				AppendRequestHead(buf, r, o)
			}
		})
	}
}

func BenchmarkParseResponse(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(originHead)))
	head := []byte(originHead)
	var r Response
	for b.Loop() {
		if err := r.Parse(head, MethodGET); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendResponseHead(b *testing.B) {
	b.ReportAllocs()
	r := parseResponse(b, originHead, MethodGET)
	o := ResponseOut{Body: BodyLength, ProxyStatus: []byte("fairlead")}
	buf := make([]byte, 0, 4096)
	for b.Loop() {
		AppendResponseHead(buf, r, &o)
	}
}

func BenchmarkCheckPath(b *testing.B) {
	for _, p := range []string{"/product/1234", "/caf%C3%A9/a.b.c/index.html"} {
		b.Run(p, func(b *testing.B) {
			b.ReportAllocs()
			path := []byte(p)
			for b.Loop() {
				if err := CheckPath(path, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Decoding moves data within the buffer, so each round starts from a copy,
// which costs about a fifth of the time.
func BenchmarkChunkDecoder(b *testing.B) {
	b.ReportAllocs()
	body := chunkedBody()
	buf := make([]byte, len(body))
	b.SetBytes(int64(len(body)))
	var d ChunkDecoder
	for b.Loop() {
		copy(buf, body)
		d.Reset()
		if data, _, err := d.Decode(buf); len(data) != 16<<10 || err != nil || !d.Done() {
			b.Fatal(len(data), err)
		}
	}
}

func TestAGoodExchangeAllocatesNothing(t *testing.T) {
	var r Request
	var p Response
	var d ChunkDecoder
	o := benchmarkOut()
	browser, curl, origin := []byte(browserHead), []byte(curlHead), []byte(originHead)
	body, copied := chunkedBody(), make([]byte, len(chunkedBody()))
	upgrade := []byte(get("Connection: keep-alive, Upgrade", "Upgrade: websocket", "TE: trailers", "CDN-Loop: a, b", "X-Forwarded-For: 10.0.0.1",
		"Forwarded: for=10.0.0.1", "Via: 1.1 a"))
	trailers := []byte("0\r\nA: b\r\n\r\n")
	buf := make([]byte, 0, 4096)
	must := func(ok bool, err error) {
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	actions := map[string]func(){
		"HeadEnd": func() { end, err := HeadEnd(browser, 0); must(end > 0, err) },
		"Request.Parse, browser": func() {
			must(true, r.Parse(browser))
			must(true, CheckPath(r.Path, false))
			must(!r.Looped(o.Instance), nil)
			AppendRequestHead(buf, &r, o)
		},
		"Request.Parse, curl":    func() { must(true, r.Parse(curl)); AppendRequestHead(buf, &r, o) },
		"Request.Parse, upgrade": func() { must(true, r.Parse(upgrade)); AppendRequestHead(buf, &r, o) },
		"Response.Parse": func() {
			must(true, p.Parse(origin, MethodGET))
			AppendResponseHead(buf, &p, &ResponseOut{Body: BodyLength})
		},
		"ChunkDecoder":            func() { copy(copied, body); d.Reset(); _, _, err := d.Decode(copied); must(d.Done(), err) },
		"ChunkDecoder, trailers":  func() { d.Reset(); _, _, err := d.Decode(trailers); must(d.Done(), err) },
		"AppendChunkHeader, last": func() { AppendLastChunk(AppendChunkHeader(buf, 1000), d.Trailers()) },
	}
	for name, action := range actions {
		if n := testing.AllocsPerRun(100, action); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
