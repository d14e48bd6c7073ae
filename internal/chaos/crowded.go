package chaos

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Crowded is an origin that is too small: it does b for so many requests at a time, and answers any further one with 503
// at once.
func Crowded(most int, b Behaviour) Behaviour {
	var now atomic.Int64
	full := Status(503)
	return Behaviour{name: fmt.Sprintf("%s, %d at a time", b.name, most), serve: func(k *call) bool {
		defer now.Add(-1)
		if now.Add(1) > int64(most) {
			return full.serve(k)
		}
		return b.serve(k)
	}}
}

// Trickle answers 200 with a chunked body of size bytes, as a stream of events would come: in so many pieces, with a
// pause before each.
func Trickle(size int64, pieces int, pause time.Duration) Behaviour {
	return Behaviour{name: "Trickle", serve: func(k *call) bool {
		if !k.receive() {
			return false
		}
		size := k.want(size)
		if !k.write(k.head(200, size, "Transfer-Encoding: chunked")) || k.arrival.Method == "HEAD" {
			return k.arrival.Method == "HEAD"
		}
		content := newContent(k.origin.name, k.arrival.ID, size)
		piece := make([]byte, max(size/int64(max(pieces, 1)), 1))
		for {
			n, _ := io.ReadFull(content, piece)
			if n == 0 {
				return k.write([]byte("0\r\n\r\n")) && k.keep()
			}
			if !k.pause(pause) || !k.write(fmt.Appendf(nil, "%x\r\n%s\r\n", n, piece[:n])) {
				return false
			}
		}
	}}
}
