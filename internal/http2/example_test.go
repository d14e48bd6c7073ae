package http2_test

import (
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/fairlead/fairlead/internal/http2"
)

func Example() {
	srv := http2.NewServer(http2.Config{Handler: func(s *http2.Stream) {
		fields := []http2.Field{{Name: []byte("Content-Type"), Value: []byte("text/plain")}}
		if s.WriteHead(200, fields, false) == nil {
			_ = s.WriteBody(fmt.Appendf(nil, "%s %s", s.Method, s.Path), true)
		}
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	ended := make(chan error)
	go func() {
		nc, err := l.Accept()
		if err == nil {
			err = srv.NewConn(nc, nil).Serve()
		}
		ended <- err
	}()

	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := http.Client{Transport: &http.Transport{Protocols: &protocols}}
	resp, err := client.Get("http://" + l.Addr().String() + "/hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	fmt.Println(resp.Proto, resp.Status, string(body))

	client.CloseIdleConnections()
	fmt.Println(<-ended)
	// Output:
	// HTTP/2.0 200 OK GET /hello
	// <nil>
}
