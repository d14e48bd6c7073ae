package chaos

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Hostile is a sort of client that means harm: what it sends on a connection, how slowly, and what it takes. The zero
// value connects, sends nothing and takes whatever comes.
type Hostile struct {
	Name string

	First string        // sent at once
	Drop  string        // sent after it, again and again; "": nothing
	Pause time.Duration // before each Drop; 0: 100 ms
	Deaf  bool          // takes nothing, with the smallest receive buffer that the system gives
	Leave bool          // closes the connection as soon as First is sent
}

// SlowHead begins a head and sends another byte of it after each pause, without end.
func SlowHead(path string, pause time.Duration) Hostile {
	return Hostile{Name: "slow heads", First: "GET " + path + " HTTP/1.1\r\nHost: chaos.test\r\nSlow: ", Drop: "a", Pause: pause}
}

// SlowBody promises a gigabyte and sends a byte of it after each pause.
func SlowBody(path string, pause time.Duration) Hostile {
	return Hostile{Name: "slow bodies", First: "POST " + path + " HTTP/1.1\r\nHost: chaos.test\r\nContent-Length: 1000000000\r\n\r\n",
		Drop: "a", Pause: pause}
}

// StuckBody promises a gigabyte and sends none of it.
func StuckBody(path string) Hostile {
	h := SlowBody(path, 0)
	h.Name, h.Drop = "stuck bodies", ""
	return h
}

// EndlessBody promises a gigabyte and sends 32 KiB of it after each pause: slow, but not so slow that nothing moves.
func EndlessBody(path string, pause time.Duration) Hostile {
	h := SlowBody(path, pause)
	h.Name, h.Drop = "endless bodies", strings.Repeat("a", 32<<10)
	return h
}

// DeafReader asks for size bytes and takes none of them.
func DeafReader(path string, size int64) Hostile {
	return Hostile{Name: "slow readers", Deaf: true,
		First: fmt.Sprintf("GET %s HTTP/1.1\r\nHost: chaos.test\r\n%s: %d\r\n\r\n", path, FieldSize, size)}
}

// Idle connects and says nothing.
func Idle() Hostile { return Hostile{Name: "idle connections"} }

// OpenAndClose leaves as soon as it has come.
func OpenAndClose() Hostile { return Hostile{Name: "connections that leave at once", Leave: true} }

// ShortHello begins a TLS handshake with the first bytes of a record.
func ShortHello() Hostile { return Hostile{Name: "handshakes that stall", First: clientHello()[:8]} }

// OnlyHello begins a TLS handshake with a whole ClientHello, which costs the server its signature, and goes no further.
func OnlyHello() Hostile {
	return Hostile{Name: "handshakes that stall after the hello", First: clientHello()}
}

// clientHello is what crypto/tls would send first.
func clientHello() string {
	r := &recorder{}
	_ = tls.Client(r, &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12}).Handshake() // fails: nobody answers
	return r.sent.String()
}

// recorder is a connection on which nothing comes back.
type recorder struct {
	net.Conn
	sent bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error)        { return r.sent.Write(p) }
func (r *recorder) Read([]byte) (int, error)           { return 0, io.EOF }
func (r *recorder) Close() error                       { return nil }
func (r *recorder) SetDeadline(time.Time) error        { return nil }
func (r *recorder) SetWriteDeadline(t time.Time) error { return nil }

// ShutWindows asks for size bytes on each of so many streams of HTTP/2, without TLS, with windows of zero that never
// open (RFC 9113, section 6.9).
func ShutWindows(path string, size int64, streams int) Hostile {
	var b strings.Builder
	b.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	b.WriteString(frame(frameSettings, 0, 0, "\x00\x04\x00\x00\x00\x00")) // SETTINGS_INITIAL_WINDOW_SIZE: 0
	block := "\x82\x86" + literal("\x04", path) + literal("\x01", "chaos.test") +
		"\x00" + literal(literal("", strings.ToLower(FieldSize)), fmt.Sprint(size))
	for i := range streams {
		b.WriteString(frame(frameHeaders, flagEndStream|flagEndHeaders, uint32(2*i+1), block))
	}
	return Hostile{Name: "windows that stay shut", First: b.String()}
}

// Frame types and flags (RFC 9113, section 6).
const (
	frameHeaders   = 1
	frameSettings  = 4
	flagEndStream  = 1
	flagEndHeaders = 4
)

func frame(typ, flags byte, stream uint32, payload string) string {
	n := len(payload)
	head := []byte{byte(n >> 16), byte(n >> 8), byte(n), typ, flags}
	return string(binary.BigEndian.AppendUint32(head, stream)) + payload
}

// literal is a field with this name and a value of fewer than 127 bytes, not indexed and not compressed (RFC 7541,
// section 6.2.2).
func literal(name, value string) string { return name + string([]byte{byte(len(value))}) + value }

// Plenty answers 200 with size bytes that cost the origin next to nothing, for clients that would not verify them: an
// attack should not keep its own test busy.
func Plenty(size int64) Behaviour {
	same := bytes.Repeat([]byte{'a'}, 64<<10)
	return Behaviour{name: "Plenty", serve: func(k *call) bool {
		if !k.receive() || !k.write(k.head(200, size, length(size))) {
			return false
		}
		for left := size; left > 0; left -= int64(len(same)) {
			if !k.write(same[:min(left, int64(len(same)))]) {
				return false
			}
		}
		return k.keep()
	}}
}

// run is one connection of a hostile client. It returns when the peer has ended it, or stop is closed; whichever it was
// is for the caller to know. answer is the beginning of what came.
func (h *Hostile) run(nc net.Conn, stop <-chan struct{}) (answer string) {
	if _, err := io.WriteString(nc, h.First); err != nil || h.Leave {
		return ""
	}
	over := make(chan string, 1)
	if h.Deaf {
		h.Drop = orString(h.Drop, "\n") // who reads nothing learns of the end by writing; an empty line asks for nothing
	} else {
		go func() { over <- listen(nc) }()
	}
	if h.Drop == "" {
		select {
		case answer = <-over:
		case <-stop:
		}
		return answer
	}
	ticker := time.NewTicker(orDuration(h.Pause, 100*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case answer = <-over:
			return answer
		case <-stop:
			return ""
		case <-ticker.C:
			_ = nc.SetWriteDeadline(time.Now().Add(time.Millisecond)) // a full socket is no end
			if _, err := io.WriteString(nc, h.Drop); err != nil && !isTimeout(err) && h.Deaf {
				return ""
			}
		}
	}
}

// listen takes what comes until the connection's end and returns how it began.
func listen(nc net.Conn) string {
	buf, first := make([]byte, 1024), ""
	for {
		n, err := nc.Read(buf)
		if len(first) < 12 {
			first += string(buf[:n])
		}
		if err != nil {
			return first
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
