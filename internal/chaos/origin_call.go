package chaos

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// call is one request that is being answered.
type call struct {
	*conn
	arrival *Arrival
	size    int64 // what the request asked for, 0 for nothing
	body    *body
	digest  hash.Hash
}

// parse fills in the arrival from its head, before it is recorded.
func (k *call) parse(err error) {
	a := k.arrival
	method, rest, _ := strings.Cut(a.Line, " ")
	target, version, _ := strings.Cut(rest, " ")
	a.Method, a.Target = method, target
	if err != nil {
		if isMalformed(err) {
			a.Fault = err.Error()
		}
		return
	}
	a.Fault = a.fault()
	if a.Fault == "" && (method == "" || target == "" || version != "HTTP/1.1" && version != "HTTP/1.0") {
		a.Fault = "bad request line " + strconv.Quote(a.Line)
	}
	if a.Fault == "" && version == "HTTP/1.1" && len(a.Values("Host")) != 1 {
		a.Fault = "not one Host"
	}
	framing, length, err := a.frame(framingNone)
	if err != nil && a.Fault == "" {
		a.Fault = err.Error()
	}
	k.body = &body{br: k.br, framing: framing, left: length}
	k.digest = sha256.New()
}

// receive reads the request's body to its end and completes the arrival. It sends 100 (Continue) if it is expected.
func (k *call) receive() bool {
	if k.body.framing != framingNone && strings.EqualFold(k.arrival.Get("Expect"), "100-continue") {
		k.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
	var n int64
	var err error
	if k.body.framing != framingNone { // Copy would allocate its buffer for nothing
		n, err = io.Copy(k.digest, k.body)
	}
	k.origin.journal.update(func() {
		a := k.arrival
		a.BodyLen = n
		a.BodyWhole = err == nil
		a.Trailers = k.body.trailers
		if err == nil {
			k.digest.Sum(a.BodyHash[:0])
		} else if isMalformed(err) {
			a.Fault = err.Error()
		}
	})
	return err == nil
}

func (k *call) write(p []byte) bool {
	n, err := k.nc.Write(p)
	k.origin.out.Add(int64(n))
	return err == nil
}

// want is the body's size: the request's wish before the behaviour's own.
func (k *call) want(size int64) int64 {
	if k.arrival.Get(FieldSize) != "" {
		return max(k.size, 0)
	}
	return size
}

// head makes the head of a response with a body of size bytes; more are further whole field lines.
func (k *call) head(status int, size int64, more ...string) []byte {
	b := make([]byte, 0, 256)
	b = fmt.Appendf(b, "HTTP/1.1 %d %s\r\n%s: %s\r\n%s: %s\r\n%s: %d\r\nContent-Type: text/plain\r\n",
		status, reason(status), FieldOrigin, k.origin.name, FieldID, k.arrival.ID, FieldSize, size)
	for _, field := range more {
		b = append(b, field...)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

func length(n int64) string { return "Content-Length: " + strconv.FormatInt(n, 10) }

// send writes a head and the first n bytes of a body of size bytes; no body at all for HEAD.
func (k *call) send(head []byte, n, size int64) bool {
	if k.arrival.Method == "HEAD" {
		n = 0
	}
	content := io.LimitReader(newContent(k.origin.name, k.arrival.ID, size), n)
	buf := make([]byte, len(head)+int(min(n, 32<<10)))
	at := copy(buf, head)
	for {
		m, err := io.ReadFull(content, buf[at:])
		if at+m > 0 && !k.write(buf[:at+m]) {
			return false
		}
		if err != nil || at+m == 0 || n == 0 {
			return true
		}
		at = 0
	}
}

// keep reports whether the request lets the connection go on.
func (k *call) keep() bool {
	return !k.arrival.names("Connection", "close") && strings.HasSuffix(k.arrival.Line, "HTTP/1.1")
}

// pause waits for d, or until the connection has ended: then it reports false.
func (k *call) pause(d time.Duration) bool {
	ready := make(chan struct{})
	timer := time.AfterFunc(d, func() { close(ready) })
	defer timer.Stop()
	return k.wait(ready)
}

// wait blocks until ready is closed; false when the connection ended first, at either end. nil is never ready.
func (k *call) wait(ready <-chan struct{}) bool {
	left := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for k.br.Buffered() < k.br.Size() { // a pipelined request is no reason to stop watching
			if _, err := k.br.Peek(k.br.Buffered() + 1); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					close(left)
				}
				return
			}
		}
	}()
	select {
	case <-ready:
	case <-left:
		return false
	case <-k.unplugged:
		<-watched
		return false
	}
	_ = k.nc.SetReadDeadline(longAgo) // calls the watcher back
	<-watched
	_ = k.nc.SetReadDeadline(time.Time{})
	select {
	case <-k.unplugged: // whose deadline the line above may have undone
		return false
	default:
		return true
	}
}
