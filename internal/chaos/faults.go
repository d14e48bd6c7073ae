package chaos

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func reason(status int) string {
	if text := http.StatusText(status); text != "" {
		return text
	}
	return "Unknown"
}

// ---- answers that are whole and right

// OK answers 200 with a body of size bytes; the request's Chaos-Size goes before it. It reads the upload first, as all
// behaviours do that don't say otherwise.
func OK(size int64) Behaviour { return answer("OK", 200, size) }

// Status answers with a status and a body of 64 bytes, or of the request's Chaos-Size.
func Status(code int) Behaviour { return answer("Status "+strconv.Itoa(code), code, 64) }

func answer(name string, status int, size int64) Behaviour {
	return Behaviour{name: name, serve: func(k *call) bool {
		return k.receive() && k.whole(status, k.want(size)) && k.keep()
	}}
}

// whole sends a complete response framed by Content-Length, or without content where the status forbids it.
func (k *call) whole(status int, size int64, more ...string) bool {
	if status == 204 || status == 304 {
		return k.send(k.head(status, 0, more...), 0, 0)
	}
	return k.send(k.head(status, size, append(more, length(size))...), size, size)
}

// Delay answers OK(1024) after d.
func Delay(d time.Duration) Behaviour { return OK(1024).After(d) }

// Chunked answers 200 in chunks of unequal sizes, with two trailer fields, Chaos-Trailer (the id) and Chaos-End.
func Chunked(size int64) Behaviour {
	return Behaviour{name: "Chunked", serve: func(k *call) bool {
		return k.receive() && k.chunked(k.want(size)) && k.keep()
	}}
}

func (k *call) chunked(size int64) bool {
	head := k.head(200, size, "Transfer-Encoding: chunked", "Trailer: Chaos-Trailer, Chaos-End")
	if !k.write(head) || k.arrival.Method == "HEAD" {
		return k.arrival.Method == "HEAD"
	}
	content := newContent(k.origin.name, k.arrival.ID, size)
	buf := make([]byte, 16<<10)
	for i := 0; ; i++ {
		n, _ := io.ReadFull(content, buf[:[]int{1, 300, 16 << 10, 4096}[i%4]])
		if n == 0 {
			break
		}
		if !k.write(fmt.Appendf(nil, "%x\r\n%s\r\n", n, buf[:n])) {
			return false
		}
	}
	return k.write(fmt.Appendf(nil, "0\r\nChaos-Trailer: %s\r\nChaos-End: yes\r\n\r\n", k.arrival.ID))
}

// UntilClose answers 200 with a body that ends with the connection.
func UntilClose(size int64) Behaviour {
	return Behaviour{name: "UntilClose", serve: func(k *call) bool {
		if k.receive() {
			n := k.want(size)
			k.send(k.head(200, n, "Connection: close"), n, n)
		}
		return false
	}}
}

// ByteByByte answers OK(size) with one write for each byte of the head and a pause before each.
func ByteByByte(size int64, pause time.Duration) Behaviour {
	return Behaviour{name: "ByteByByte", serve: func(k *call) bool {
		if !k.receive() {
			return false
		}
		n := k.want(size)
		head := k.head(200, n, length(n))
		for i := range head {
			if pause > 0 && !k.pause(pause) || !k.write(head[i:i+1]) {
				return false
			}
		}
		return k.send(nil, n, n) && k.keep()
	}}
}

// Interim sends n interim responses, 100, 102 and 103 in turn, before OK(1024).
func Interim(n int) Behaviour {
	return Behaviour{name: "Interim", serve: func(k *call) bool {
		var b []byte
		for i := range n {
			switch i % 3 {
			case 0:
				b = append(b, "HTTP/1.1 100 Continue\r\n\r\n"...)
			case 1:
				b = append(b, "HTTP/1.1 102 Processing\r\n\r\n"...)
			case 2:
				b = append(b, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"...)
			}
		}
		return k.receive() && k.write(b) && k.whole(200, k.want(1024)) && k.keep()
	}}
}

// Early answers with a whole response before it reads the upload, then reads it and keeps the connection.
func Early(status int) Behaviour {
	return Behaviour{name: "Early", serve: func(k *call) bool {
		return k.whole(status, k.want(64)) && k.receive() && k.keep()
	}}
}

// EarlyClose answers before it reads the upload, says Connection: close and ends its side; what still comes is read, so
// that the answer is not lost in a reset.
func EarlyClose(status int) Behaviour {
	return Behaviour{name: "EarlyClose", serve: func(k *call) bool {
		if k.whole(status, k.want(64), "Connection: close") {
			k.closeWrite()
			k.receive()
		}
		return false
	}}
}

// SilentClose answers OK(1024) as if the connection would go on, and closes it. Whoever pools the connection finds it
// dead; a request that may not be sent twice can get lost on it, so this one is not among the [Sound].
func SilentClose() Behaviour {
	return Behaviour{name: "SilentClose", serve: func(k *call) bool {
		if k.receive() {
			k.whole(200, k.want(1024))
		}
		return false
	}}
}

// Upgrade answers a request that asks for an upgrade with 101 and then echoes every byte until the peer ends its side;
// any other request as OK(1024).
func Upgrade() Behaviour {
	return Behaviour{name: "Upgrade", serve: func(k *call) bool {
		protocol := k.arrival.Get("Upgrade")
		if !k.receive() {
			return false
		}
		if protocol == "" || !k.arrival.names("Connection", "upgrade") {
			return k.whole(200, k.want(1024)) && k.keep()
		}
		if k.write(fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\n%s: %s\r\n%s: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
			FieldOrigin, k.origin.name, FieldID, k.arrival.ID, protocol)) {
			n, _ := io.Copy(k.nc, k.br)
			k.origin.out.Add(n)
		}
		return false
	}}
}

// ---- no answer

// Hang reads the request and never answers.
func Hang() Behaviour {
	return Behaviour{name: "Hang", serve: func(k *call) bool {
		return k.receive() && k.wait(nil)
	}}
}

// Unread reads the head, leaves the upload where it is and never answers. It does not notice a peer that leaves.
func Unread() Behaviour {
	return Behaviour{name: "Unread", serve: func(k *call) bool {
		<-k.unplugged
		return false
	}}
}

// StallMidBody sends the head and half of the body, and no more.
func StallMidBody() Behaviour {
	return Behaviour{name: "StallMidBody", serve: func(k *call) bool {
		return k.receive() && k.half() && k.wait(nil)
	}}
}

// half sends a head and half of the body that it promises.
func (k *call) half() bool {
	n := k.want(1024)
	return k.send(k.head(200, n, length(n)), n/2, n)
}

// ---- connections that break

// CloseOnAccept ends the origin's side of a connection as soon as it is accepted, and records what the peer sends
// nevertheless. Nothing is answered. On a connection that is open already it acts on the next request.
func CloseOnAccept() Behaviour {
	drop := Behaviour{name: "CloseOnAccept", serve: func(k *call) bool {
		k.closeWrite()
		return k.receive()
	}}
	return Behaviour{name: drop.name, serve: drop.serve, onAccept: func(c *conn) {
		c.closeWrite()
		for c.exchange(&drop) {
		}
	}}
}

// ResetOnAccept resets a connection as soon as it is accepted. What the peer sent is in no ledger. On a connection that
// is open already it acts on the next request.
func ResetOnAccept() Behaviour {
	return Behaviour{name: "ResetOnAccept", onAccept: (*conn).reset, serve: func(k *call) bool {
		k.reset()
		return false
	}}
}

// CloseBeforeHead reads the request and closes the connection in an orderly way.
func CloseBeforeHead() Behaviour { return closing("CloseBeforeHead", nil) }

// ResetBeforeHead reads the request and resets the connection.
func ResetBeforeHead() Behaviour { return resetting("ResetBeforeHead", nil) }

// ResetInHead resets the connection after half of the response's head.
func ResetInHead() Behaviour {
	return resetting("ResetInHead", func(k *call) {
		n := k.want(1024)
		head := k.head(200, n, length(n))
		k.write(head[:len(head)/2])
	})
}

// ResetAfterHead resets the connection between the head and the body.
func ResetAfterHead() Behaviour {
	return resetting("ResetAfterHead", func(k *call) {
		n := max(k.want(1024), 1)
		k.write(k.head(200, n, length(n)))
	})
}

// ResetMidBody resets the connection after half of the body.
func ResetMidBody() Behaviour { return resetting("ResetMidBody", func(k *call) { k.half() }) }

// Truncate sends half of the body that Content-Length promises and closes in an orderly way.
func Truncate() Behaviour { return closing("Truncate", func(k *call) { k.half() }) }

// TruncateChunked sends half of the body in one chunk and closes without the last chunk.
func TruncateChunked() Behaviour {
	return closing("TruncateChunked", func(k *call) {
		n := k.want(1024)
		if k.write(k.head(200, n, "Transfer-Encoding: chunked")) && k.arrival.Method != "HEAD" && n > 1 {
			k.write(fmt.Appendf(nil, "%x\r\n%s\r\n", n/2, Body(k.origin.name, k.arrival.ID, n)[:n/2]))
		}
	})
}

// CloseOnReuse answers a connection's first request as OK(1024); each later one is read, recorded and dropped with the
// connection, as by an origin whose keep-alive ends just when the request is written.
func CloseOnReuse() Behaviour { return onReuse("CloseOnReuse", (*conn).close) }

// ResetOnReuse is CloseOnReuse with a reset.
func ResetOnReuse() Behaviour { return onReuse("ResetOnReuse", (*conn).reset) }

func onReuse(name string, end func(*conn)) Behaviour {
	return Behaviour{name: name, serve: func(k *call) bool {
		if !k.receive() {
			return false
		}
		if k.requests > 1 {
			end(k.conn)
			return false
		}
		return k.whole(200, k.want(1024)) && k.keep()
	}}
}

func closing(name string, say func(*call)) Behaviour {
	return ending(name, say, (*conn).close)
}

func resetting(name string, say func(*call)) Behaviour {
	return ending(name, say, (*conn).reset)
}

// ending reads the request, says something and ends the connection.
func ending(name string, say func(*call), end func(*conn)) Behaviour {
	return Behaviour{name: name, serve: func(k *call) bool {
		if k.receive() {
			if say != nil {
				say(k)
			}
			end(k.conn)
		}
		return false
	}}
}

// ---- bytes that are not HTTP

// Bytes reads the request, sends exactly these bytes and closes.
func Bytes(raw string) Behaviour {
	return closing("Bytes", func(k *call) { k.write([]byte(raw)) })
}

func said(name, raw string) Behaviour {
	b := Bytes(raw)
	b.name = name
	return b
}

// Garbage sends bytes of no protocol.
func Garbage() Behaviour {
	return said("Garbage", strings.Repeat("\x16\x03\x01\x00\xff\r\n\x00garbage\n", 8)+"\r\n\r\n")
}

// HTTP09 sends a body without any head.
func HTTP09() Behaviour { return said("HTTP09", "<html>hello from 1991</html>\n") }

// HalfStatusLine closes within the status line.
func HalfStatusLine() Behaviour { return said("HalfStatusLine", "HTTP/1.1 20") }

// edited sends a whole response whose head was changed, and closes.
func edited(name string, edit func(head string, size int64) string) Behaviour {
	return closing(name, func(k *call) {
		n := k.want(1024)
		head := edit(string(k.head(200, n, length(n))), n)
		k.send([]byte(head), n, n)
	})
}

func withField(head, line string) string {
	return strings.TrimSuffix(head, "\r\n") + line + "\r\n\r\n"
}

// NULInHead has a NUL in a field's value.
func NULInHead() Behaviour {
	return edited("NULInHead", func(head string, _ int64) string { return withField(head, "Chaos-Nul: a\x00b") })
}

// FoldedHead has a field that goes on in the next line (RFC 9112, 5.2).
func FoldedHead() Behaviour {
	return edited("FoldedHead", func(head string, _ int64) string { return withField(head, "Chaos-Fold: a\r\n b") })
}

// GiantHead has n bytes of fields.
func GiantHead(n int) Behaviour {
	return edited("GiantHead", func(head string, _ int64) string {
		line := "Chaos-Giant: " + strings.Repeat("x", 1000)
		return withField(head, strings.Repeat(line+"\r\n", n/(len(line)+2))+line)
	})
}

// DuplicateLength states the right Content-Length twice.
func DuplicateLength() Behaviour {
	return edited("DuplicateLength", func(head string, n int64) string { return withField(head, length(n)) })
}

// ContradictingLength states two Content-Lengths, of which one is too short.
func ContradictingLength() Behaviour {
	return edited("ContradictingLength", func(head string, n int64) string { return withField(head, length(n/2)) })
}

// LengthAndChunked states both framings of RFC 9112, 6.
func LengthAndChunked() Behaviour {
	return edited("LengthAndChunked", func(head string, _ int64) string {
		return withField(head, "Transfer-Encoding: chunked")
	})
}

// BadChunk sends a good head, a good first chunk of half the body and then a chunk whose size is no number.
func BadChunk() Behaviour {
	return closing("BadChunk", func(k *call) {
		n := max(k.want(1024), 2)
		if k.write(k.head(200, n, "Transfer-Encoding: chunked")) && k.arrival.Method != "HEAD" {
			k.write(fmt.Appendf(nil, "%x\r\n%s\r\nzz\r\n", n/2, Body(k.origin.name, k.arrival.ID, n)[:n/2]))
		}
	})
}

// Unasked101 switches protocols though nobody asked.
func Unasked101() Behaviour {
	return said("Unasked101", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chaos\r\n\r\nhello")
}

// message is OK(1024)'s whole answer, for those who add to it in the same write.
func (k *call) message() []byte {
	n := k.want(1024)
	b := k.head(200, n, length(n))
	if k.arrival.Method != "HEAD" {
		b = append(b, Body(k.origin.name, k.arrival.ID, n)...)
	}
	return b
}

// ExtraResponse answers as OK(1024) and sends, unasked and in the same write, a second response for the id "forged". The
// connection stays open, so that a proxy which pools it would give the second response to another request.
func ExtraResponse() Behaviour {
	return Behaviour{name: "ExtraResponse", serve: func(k *call) bool {
		if !k.receive() {
			return false
		}
		b := fmt.Appendf(k.message(), "HTTP/1.1 200 OK\r\n%s: %s\r\n%s: forged\r\n%s: 0\r\nContent-Length: 0\r\n\r\n",
			FieldOrigin, k.origin.name, FieldID, FieldSize)
		return k.write(b) && k.keep()
	}}
}

// Overlong answers as OK(1024) and sends so many bytes more than Content-Length says, in the same write. The connection
// stays open, so that a proxy which pools it would give them to another request.
func Overlong(extra int) Behaviour {
	return Behaviour{name: "Overlong", serve: func(k *call) bool {
		if !k.receive() {
			return false
		}
		return k.write(append(k.message(), strings.Repeat("x", extra)...)) && k.keep()
	}}
}

// ---- tables

// Sound returns behaviours that are odd but right: a client must get each answer whole.
func Sound() []Behaviour {
	return []Behaviour{OK(0), OK(1), OK(1024), OK(100 << 10), Chunked(50 << 10), UntilClose(50 << 10),
		ByteByByte(100, 0), Interim(9), Early(200), Upgrade(), Status(204)}
}

// HeadFaults returns behaviours that fail before a response's head is whole and right. A covered request goes to the
// other origin; nothing of these may reach a client.
func HeadFaults() []Behaviour {
	return []Behaviour{CloseOnAccept(), ResetOnAccept(), CloseBeforeHead(), ResetBeforeHead(), ResetInHead(),
		Garbage(), HTTP09(), HalfStatusLine(), NULInHead(), FoldedHead(), GiantHead(1 << 20), ContradictingLength(),
		LengthAndChunked(), Unasked101()}
}

// BodyFaults returns behaviours that fail after a good head. A client sees an abort, or, if nothing was committed yet,
// another origin's answer or an error; never a body that looks whole.
func BodyFaults() []Behaviour {
	return []Behaviour{ResetAfterHead(), ResetMidBody(), Truncate(), TruncateChunked(), BadChunk()}
}
