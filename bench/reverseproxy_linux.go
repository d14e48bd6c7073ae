package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// runReverseProxy is the contender httputil.ReverseProxy, tuned as far as its own settings go: enough idle connections,
// pooled copy buffers, no compression. It prints its address and serves until it is ended. With a certificate it speaks TLS, and HTTP/2 as net/http does.
func runReverseProxy(origin, certificate string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	target := &url.URL{Scheme: "http", Host: origin}
	quiet := log.New(io.Discard, "", 0)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: upstreamIdle,
			IdleConnTimeout:     5 * time.Minute,
			DisableCompression:  true,
		},
		BufferPool: new(copyBuffers),
		ErrorLog:   quiet,
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: proxy, ErrorLog: quiet, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute}
	if certificate == "" {
		return server.Serve(listener)
	}
	server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13}
	return server.ServeTLS(listener, certificate, certificate)
}

// copyBuffers is a httputil.BufferPool; the zero value is ready.
type copyBuffers struct{ pool sync.Pool }

func (b *copyBuffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *copyBuffers) Put(p []byte) { b.pool.Put(&p) }
