package admin

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// patience is what a reader has for what it is sent at once. Who takes longer
	// is cut off, and resumes with Last-Event-ID.
	patience = 5 * time.Second
	// heartbeat is how often something is sent when there is nothing to say, so
	// that both sides know that the other is there.
	heartbeat = 15 * time.Second
)

// stream is an answer of server-sent events.
type stream struct {
	c       *call
	rc      *http.ResponseController
	pending bytes.Buffer
	expired <-chan time.Time // the end of the asker's session; nil: never
	release func()
}

// openStream begins the answer, or refuses and returns nil. Release must be
// called in the end.
func (c *call) openStream() *stream {
	s := c.server
	if s.streams.Add(1) > mostStreams {
		s.streams.Add(-1)
		c.w.Header().Set("Retry-After", "5")
		c.refuse(&Refused{Code: "busy", Text: fmt.Sprintf("%d streams are open, which is the most: close a dashboard or a follower", mostStreams)})
		return nil
	}
	st := &stream{c: c, rc: http.NewResponseController(c.w)}
	timer := (*time.Timer)(nil)
	if session := c.asker.session; session != nil {
		timer = time.NewTimer(time.Until(session.ends))
		st.expired = timer.C
	}
	st.release = func() {
		s.streams.Add(-1)
		if timer != nil {
			timer.Stop()
		}
	}
	_ = st.rc.SetReadDeadline(time.Time{}) // that of the request would end the stream
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy in between must not collect them
	c.w.WriteHeader(http.StatusOK)
	st.pending.WriteString("retry: 1000\n\n")
	return st
}

// event adds one; without an id the last one holds. Data is one line of JSON.
func (st *stream) event(id uint64, name string, data []byte) {
	if id != 0 {
		st.pending.WriteString("id: " + strconv.FormatUint(id, 10) + "\n")
	}
	st.pending.WriteString("event: " + name + "\ndata: ")
	st.pending.Write(data)
	st.pending.WriteString("\n\n")
}

// comment adds a line that clients pass over and people may read.
func (st *stream) comment(text string) {
	st.pending.WriteString(": " + strings.ReplaceAll(text, "\n", " ") + "\n\n")
}

// flush sends what was added. It reports whether the reader keeps up.
func (st *stream) flush() bool {
	if st.c.r.Method == http.MethodHead {
		return false
	}
	if st.pending.Len() == 0 {
		return true
	}
	_ = st.rc.SetWriteDeadline(time.Now().Add(st.c.server.readers))
	_, err := st.c.w.Write(st.pending.Bytes())
	if st.pending.Reset(); st.pending.Cap() > 1<<20 {
		st.pending = bytes.Buffer{} // a whole backlog is sent once
	}
	return err == nil && st.rc.Flush() == nil
}

// wait waits for one of the two to wake the stream, or for a heartbeat's time,
// after which beat is true. It reports whether the stream goes on.
func (st *stream) wait(a, b <-chan struct{}) (beat, on bool) {
	timer := time.NewTimer(heartbeat)
	defer timer.Stop()
	var signedOut <-chan struct{}
	if st.c.asker.session != nil {
		signedOut = st.c.asker.session.over
	}
	select {
	case <-a:
	case <-b:
	case <-timer.C:
		return true, true
	case <-st.c.r.Context().Done():
		return false, false
	case <-st.c.door.ending:
		return false, false
	case <-st.c.access.over:
		return false, false
	case <-signedOut:
		return false, false
	case <-st.expired:
		return false, false
	}
	return false, true
}
