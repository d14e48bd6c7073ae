package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/fairlead/fairlead/internal/chaos"
)

// withHTTP2 adds a TLS listener that offers HTTP/2.
func withHTTP2(g *rig, cfg *Config) {
	withTLS(g, cfg)
	cfg.TLS.NextProtos = []string{"h2", "http/1.1"}
}

// overHTTP2 lets every client of a test come by HTTP/2, through a proxy of
// another make.
func overHTTP2(g *rig, cfg *Config) {
	withHTTP2(g, cfg)
	g.door = func(t testing.TB, target string) string {
		tr := transportTo(t, target)
		s := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "https", Host: target})
				r.Out.Host = r.In.Host
			},
			Transport: tr, FlushInterval: -1,
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
			ErrorLog:     quiet(),
		})
		s.Config.ErrorLog = quiet()
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
}

// transportTo is Go's own client of HTTP/2 alone, for whatever host.
func transportTo(t testing.TB, target string) *http.Transport {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	tr := &http.Transport{
		TLSClientConfig: clientTLS(), Protocols: protocols, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", target)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func (g *rig) http2Client() *http.Client {
	return &http.Client{Transport: transportTo(g.t, g.tlsAddr()), Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// ask2 sends a request over HTTP/2 and reads its response.
func ask2(t testing.TB, c *http.Client, method, path string, body io.Reader) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://a"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Chaos-Id", chaos.NewID())
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// Frame types (RFC 9113, 6).
const (
	frameData2    = 0
	frameHeaders2 = 1
	frameReset2   = 3
	frameGoAway2  = 7
	frameWindow2  = 8
)

// frames is a client that writes and reads frames by hand.
type frames struct {
	t   testing.TB
	nc  net.Conn
	enc *hpack.Encoder
	buf bytes.Buffer
	dec *hpack.Decoder
}

// dialFrames connects over TLS, agrees on h2, and sends the preface.
func dialFrames(t testing.TB, g *rig) *frames { return dialFramesTo(t, g.tlsAddr()) }

func dialFramesTo(t testing.TB, addr string) *frames {
	t.Helper()
	cfg := clientTLS()
	cfg.NextProtos = []string{"h2"}
	nc, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	f := &frames{t: t, nc: nc, dec: hpack.NewDecoder(4096, nil)}
	f.enc = hpack.NewEncoder(&f.buf)
	_, _ = io.WriteString(nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	f.write(4, 0, 0, nil)
	return f
}

func (f *frames) write(typ, flags byte, id uint32, p []byte) {
	f.t.Helper()
	head := []byte{byte(len(p) >> 16), byte(len(p) >> 8), byte(len(p)), typ, flags}
	head = binary.BigEndian.AppendUint32(head, id)
	if _, err := f.nc.Write(append(head, p...)); err != nil {
		f.t.Errorf("write: %v", err)
	}
}

func (f *frames) settings(id uint16, v uint32) {
	f.write(4, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, id), v))
}

func (f *frames) headers(id uint32, end bool, fields ...string) {
	f.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = f.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	block := bytes.Clone(f.buf.Bytes())
	flags := byte(0)
	if end {
		flags = 1
	}
	first := block[:min(len(block), 16<<10)]
	block = block[len(first):]
	if len(block) == 0 {
		flags |= 4
	}
	f.write(1, flags, id, first)
	for len(block) > 0 {
		piece := block[:min(len(block), 16<<10)]
		block = block[len(piece):]
		last := byte(0)
		if len(block) == 0 {
			last = 4
		}
		f.write(9, last, id, piece)
	}
}

func (f *frames) data(id uint32, end bool, p string) {
	flags := byte(0)
	if end {
		flags = 1
	}
	f.write(0, flags, id, []byte(p))
}

// grant opens a window for n more bytes.
func (f *frames) grant(id uint32, n int) {
	f.write(8, 0, id, binary.BigEndian.AppendUint32(nil, uint32(n)))
}

// await reads frames until one of that stream; of the connection's own only
// GOAWAY counts.
func (f *frames) await(id uint32) (typ byte, p []byte) {
	f.t.Helper()
	for {
		var head [9]byte
		if _, err := io.ReadFull(f.nc, head[:]); err != nil {
			f.t.Fatalf("no frame of stream %d: %v", id, err)
		}
		p := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(f.nc, p); err != nil {
			f.t.Fatalf("a frame is cut short: %v", err)
		}
		if binary.BigEndian.Uint32(head[5:]) == id && (id > 0 || head[3] == frameGoAway2) {
			return head[3], p
		}
	}
}

// fields are those of a field block. Each block is to be decoded once, in order.
func (f *frames) fields(block []byte) []hpack.HeaderField {
	f.t.Helper()
	fields, err := f.dec.DecodeFull(block)
	if err != nil {
		f.t.Fatal(err)
	}
	return fields
}

// status is that of a field block.
func (f *frames) status(block []byte) string {
	f.t.Helper()
	for _, h := range f.fields(block) {
		if h.Name == ":status" {
			return h.Value
		}
	}
	return ""
}
