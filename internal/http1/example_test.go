package http1_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fairlead/fairlead/internal/http1"
)

func Example() {
	received := []byte("POST /cart?add=7 HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi")

	end, err := http1.HeadEnd(received, 0)
	var r http1.Request
	if err == nil && end > 0 {
		err = r.Parse(received[:end])
	}
	if err == nil {
		err = http1.CheckPath(r.Path, false)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	out := http1.RequestOut{ClientIP: []byte("192.0.2.1"), RequestID: []byte("r1"), Proto: "http"}
	head := http1.AppendRequestHead(nil, &r, &out)
	fmt.Print(strings.ReplaceAll(string(head), "\r\n", "\n"))
	fmt.Println(r.Length, "bytes of body follow")
	// Output:
	// POST /cart?add=7 HTTP/1.1
	// Host: shop.example
	// Content-Length: 2
	// X-Forwarded-For: 192.0.2.1
	// X-Forwarded-Proto: http
	// X-Forwarded-Host: shop.example
	// X-Request-Id: r1
	// Via: 1.1 fairlead
	//
	// 2 bytes of body follow
}

func ExampleError() {
	head := []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")
	var r http1.Request
	if refusal, ok := errors.AsType[*http1.Error](r.Parse(head)); ok {
		fmt.Println(refusal.Status, refusal)
	}
	// Output: 400 both Content-Length and Transfer-Encoding
}

func ExampleChunkDecoder() {
	var d http1.ChunkDecoder
	for _, piece := range []string{"5\r\nhel", "lo\r\n0\r\nDig", "est: x\r\n\r\nGET /next"} {
		data, n, err := d.Decode([]byte(piece))
		fmt.Printf("%q %d %v %v\n", data, n, err, d.Done())
	}
	for _, f := range d.Trailers() {
		fmt.Printf("%s: %s\n", f.Name, f.Value)
	}
	// Output:
	// "hel" 6 <nil> false
	// "lo" 10 <nil> false
	// "" 10 <nil> true
	// Digest: x
}
