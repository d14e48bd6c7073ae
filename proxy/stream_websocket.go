package proxy

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1" // RFC 6455 wants it; nothing is secured by it
	"encoding/base64"

	"github.com/fairlead/fairlead/internal/http1"
)

var (
	methodGET           = []byte("GET")
	nameWebSocketKey    = []byte("Sec-WebSocket-Key")
	nameWebSocketAccept = []byte("Sec-WebSocket-Accept")
)

// webSocketMagic is what an answer to a key is made with (RFC 6455, section 1.3).
const webSocketMagic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// askForWebSocket adds the field that a WebSocket over HTTP/1.1 needs and one
// over HTTP/2 doesn't have (RFC 8441, section 5).
func (st *stream) askForWebSocket(fields []http1.Field) []http1.Field {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	base64.StdEncoding.Encode(st.key[:], nonce[:])
	kept := fields[:0]
	for _, f := range fields {
		if !bytes.EqualFold(f.Name, nameWebSocketKey) {
			kept = append(kept, f)
		}
	}
	return append(kept, http1.Field{Name: nameWebSocketKey, Value: st.key[:]})
}

// connected is the status of the answer to a CONNECT: 200 if the origin has
// switched (RFC 8441, section 5). Any other success would be taken for that, so
// it becomes a 502 without a body.
func (st *stream) connected(resp *http1.Response, out *http1.ResponseOut) int {
	switch {
	case out.Upgrade && st.accepted():
		return 200
	case out.Upgrade || resp.Status < 300:
		st.discard = true
		return 502
	}
	return resp.Status
}

// accepted reports whether the origin has answered the key that it was sent
// (RFC 6455, section 4.2.2), and takes that answer out.
func (st *stream) accepted() bool {
	sum := sha1.Sum(append(st.key[:len(st.key):len(st.key)], webSocketMagic...))
	want := base64.StdEncoding.EncodeToString(sum[:])
	ok := false
	kept := st.fields[:0]
	for _, f := range st.fields {
		if bytes.EqualFold(f.Name, nameWebSocketAccept) {
			ok = string(f.Value) == want
			continue
		}
		kept = append(kept, f)
	}
	st.fields = kept
	return ok
}

// tunnel implements client.
func (st *stream) tunnel(x *exchange) error {
	if st.discard {
		return st.s.WriteBody(nil, true)
	}
	if err := st.s.Flush(); err != nil {
		return err
	}
	if early := x.buf.resp[x.bodyAt:x.filled]; len(early) > 0 {
		if err := st.s.WriteBody(early, false); err != nil {
			return err
		}
		x.sent += int64(len(early))
	}
	x.buf.dropResp()
	return x.pipeBoth((*streamDuplex)(st))
}

// streamDuplex is a stream as the client's side of a tunnel.
type streamDuplex stream

func (d *streamDuplex) Read(p []byte) (int, error) { return d.s.ReadBody(p) }

func (d *streamDuplex) Write(p []byte) (int, error) {
	if err := d.s.WriteBody(p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (d *streamDuplex) CloseWrite() error { return d.s.WriteBody(nil, true) }
