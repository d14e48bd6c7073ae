package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

func fmtSeq(seq uint64) string { return strconv.FormatUint(seq, 10) }

// message is one of a stream. A comment has only that.
type message struct{ id, event, data, comment string }

// reader reads a stream.
type reader struct {
	t    *testing.T
	body io.ReadCloser
	all  chan message // closed at the end
}

// stream opens one. The test's end closes it.
func (r *rig) stream(path string, fields ...string) *reader {
	r.t.Helper()
	resp, err := r.open("GET", path, "", append(fields, "Accept: text/html, text/event-stream;q=1")...)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		r.t.Fatalf("%s: %d %v", path, resp.StatusCode, resp.Header)
	}
	rd := &reader{t: r.t, body: resp.Body, all: make(chan message, 10000)}
	r.t.Cleanup(rd.close)
	go rd.read()
	return rd
}

func (rd *reader) read() {
	defer close(rd.all)
	scan(rd.body, func(m message) { rd.all <- m })
}

// parse takes a text of messages apart.
func parse(text string) (all []message) {
	scan(strings.NewReader(text), func(m message) { all = append(all, m) })
	return all
}

func scan(from io.Reader, each func(message)) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	var m message
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			m.data = value
		case "":
			if lines.Text() != "" {
				m.comment = value
			} else if m != (message{}) {
				each(m)
				m = message{}
			}
		}
	}
}

func (rd *reader) close() {
	rd.body.Close()
	for range rd.all {
	}
}

// next is the next message that is no status.
func (rd *reader) next() message {
	rd.t.Helper()
	for {
		if m := rd.any(); m.event != "status" {
			return m
		}
	}
}

func (rd *reader) any() message {
	rd.t.Helper()
	select {
	case m, ok := <-rd.all:
		if !ok {
			rd.t.Fatal("the stream has ended")
		}
		return m
	case <-time.After(long):
		rd.t.Fatal("the stream says nothing")
	}
	return message{}
}

// wantEvent takes the next message for that event.
func (rd *reader) wantEvent(want adminapi.Event) {
	rd.t.Helper()
	m := rd.next()
	var e adminapi.Event
	err := json.Unmarshal([]byte(m.data), &e)
	if m.event != "event" || m.id != fmtSeq(want.Seq) || err != nil || e.Seq != want.Seq || e.Text != want.Text {
		rd.t.Fatalf("%+v is not event %d %q", m, want.Seq, want.Text)
	}
}

// wantEnd waits for the stream's end.
func (rd *reader) wantEnd(what string) {
	rd.t.Helper()
	for end := time.After(long); ; {
		select {
		case _, ok := <-rd.all:
			if !ok {
				return
			}
		case <-end:
			rd.t.Fatalf("the stream goes on: %s", what)
		}
	}
}

// fill adds n events and gives them.
func (r *rig) fill(n int) (all []adminapi.Event) {
	for i := range n {
		all = append(all, r.journal.Add(adminapi.Event{Kind: "flip", Group: "shop", Text: fmt.Sprint("a\nb ", i)}))
	}
	return all
}

func TestAStreamOfEventsBeginsWhereItIsAskedTo(t *testing.T) {
	r := start(t, nil)
	past := r.fill(250)
	for _, give := range []struct {
		path, last string
		first      int // index in past
	}{
		{"/v1/events", "", 250},
		{"/v1/events?limit=3", "", 247},
		{"/v1/events?since=" + fmtSeq(past[9].Seq), "", 10},
		{"/v1/events?since=0", "", 0},
		{"/v1/events", fmtSeq(past[239].Seq), 240},
		{"/v1/events?since=0", fmtSeq(past[239].Seq), 240},
		{"/v1/events", "7", 0},                         // of a process before this one
		{"/v1/events", fmtSeq(past[249].Seq + 100), 0}, // as well
		{"/v1/events?kind=flip&group=shop&limit=1000", "", 0},
		{"/v1/live?since=" + fmtSeq(past[9].Seq), "", 10},
		{"/v1/live", fmtSeq(past[239].Seq), 240},
		{"/v1/events?kind=flip&since=" + fmtSeq(past[9].Seq), "", 10},
	} {
		var fields []string
		if give.last != "" {
			fields = []string{"Last-Event-ID: " + give.last}
		}
		s := r.stream(give.path, fields...)
		for _, e := range past[give.first:] {
			s.wantEvent(e)
		}
		s.close()
	}
}

func TestAStreamGoesOnWithWhatComes(t *testing.T) {
	r := start(t, nil)
	s := r.stream("/v1/events")
	only := r.stream("/v1/events?kind=pin&group=shop")
	eventually(t, "both streams to follow", func() bool { r.journal.mu.Lock(); defer r.journal.mu.Unlock(); return len(r.journal.watchers) == 2 })
	for _, e := range r.fill(5) {
		s.wantEvent(e)
	}
	r.journal.Add(adminapi.Event{Kind: "pin", Group: "other"})
	want := r.journal.Add(adminapi.Event{Kind: "pin", Group: "shop", Text: "by hand"})
	only.wantEvent(want)
}

func TestWhatIsForgottenIsToldToWhoResumes(t *testing.T) {
	r := start(t, nil)
	past := r.fill(Kept + 20)
	s := r.stream("/v1/events", "Last-Event-ID: "+fmtSeq(past[4].Seq))
	if m := s.next(); !strings.Contains(m.comment, "15 events are no longer kept") {
		t.Errorf("%+v", m)
	}
	s.wantEvent(past[20])
}

// TestAReaderThatFallsBehindIsDroppedWithAComment drives the feed itself, since
// the system's buffers would hide a slow reader for long.
func TestAReaderThatFallsBehindIsDroppedWithAComment(t *testing.T) {
	r := newRig(t, nil)
	defer r.server.Close()
	w := &recorder{header: make(http.Header)}
	c := &call{server: r.server, w: w, r: &http.Request{Method: "GET"}}
	st := c.openStream()
	defer st.release()
	f := feed{journal: r.journal, wants: func(*adminapi.Event) bool { return true }}
	f.begin(st, 0)
	seen := r.fill(1)[0]
	if _, ok := f.send(st); !ok || !st.flush() {
		t.Fatal("dropped while it keeps up")
	}
	r.fill(Kept + 1)
	if _, ok := f.send(st); ok {
		t.Fatal("not dropped")
	}
	if want := fmt.Sprintf("events came faster than they were read, and 1 are no longer kept: resume with Last-Event-ID %d\n\n", seen.Seq); !strings.HasSuffix(w.text.String(), want) {
		t.Errorf("it was sent %q", w.text.String())
	}
}

// recorder is a ResponseWriter that remembers.
type recorder struct {
	header http.Header
	text   strings.Builder
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(int)             {}
func (w *recorder) Write(b []byte) (int, error) { return w.text.Write(b) }
func (w *recorder) Flush()                      {}

// TestAReaderThatReadsNothingIsCutOff has a client that asks and then sleeps.
func TestAReaderThatReadsNothingIsCutOff(t *testing.T) {
	r := newRig(t, nil)
	r.server.readers, r.server.door.http.WriteTimeout = 200*time.Millisecond, time.Hour
	r.run()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(c, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
	eventually(t, "the stream", func() bool { return r.server.Stats().Streams == 1 })
	text := strings.Repeat("x", 64<<10)
	eventually(t, "the stream to be cut", func() bool {
		r.journal.Add(adminapi.Event{Text: text}) // it never waits for that reader
		return r.server.Stats().Streams == 0
	})
}

func TestLiveShowsStatusEventsAndSamples(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.backend.sample(1)
	s := r.stream("/v1/live")
	m := s.any()
	var status adminapi.Status
	if err := json.Unmarshal([]byte(m.data), &status); m.event != "status" || m.id != "" || err != nil || status.Version != "test" || status.Groups[0].Target != "eu" {
		t.Fatalf("%+v %v", m, err)
	}
	r.backend.set(func(f *fake) { f.target = "us" })
	flip := r.journal.Add(adminapi.Event{Kind: "flip", Text: "eu to us"})
	s.wantEvent(flip)
	for status.Groups[0].Target != "us" {
		if m := s.any(); m.event == "status" {
			if err := json.Unmarshal([]byte(m.data), &status); err != nil {
				t.Fatal(err)
			}
		}
	}
	for second := 2; second < 5; second++ {
		r.backend.sample(second)
		m := s.next()
		var sample adminapi.Sample
		if err := json.Unmarshal([]byte(m.data), &sample); m.event != "sample" || err != nil || sample.At.Unix() != int64(second) {
			t.Fatalf("sample %d: %+v %v", second, m, err)
		}
	}
}

func TestThereAreNoMoreStreamsThanTheMost(t *testing.T) {
	r := start(t, nil)
	var open []*reader
	for i := range mostStreams {
		open = append(open, r.stream([]string{"/v1/live", "/v1/events"}[i%2]))
	}
	g := r.ask("GET", "/v1/live", "")
	if g.status != http.StatusServiceUnavailable || g.errorOf(t).Code != "busy" || g.header.Get("Retry-After") == "" || g.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %s", g.status, g.header, g.body)
	}
	if g := r.ask("GET", "/v1/status", ""); g.status != 200 {
		t.Errorf("status beside them: %d", g.status)
	}
	open[0].close()
	eventually(t, "a place", func() bool { return r.server.Stats().Streams < mostStreams })
	r.stream("/v1/live").any()
}

func TestStreamsEndAtOnceWithTheServer(t *testing.T) {
	r := start(t, nil)
	a, b := r.stream("/v1/live"), r.stream("/v1/events")
	begun := time.Now()
	r.stop()
	if took := time.Since(begun); took >= farewell {
		t.Errorf("the end took %v, as long as requests have that are under way", took)
	}
	a.wantEnd("live")
	b.wantEnd("events")
	if n := r.server.Stats(); n.Streams != 0 || n.Connections != 0 {
		t.Errorf("left over: %+v", n)
	}
}

func TestASignOutEndsTheStreamsOfItsSession(t *testing.T) {
	r := start(t, guarded)
	one, two := signIn(r), signIn(r)
	a := r.stream("/v1/live", "Cookie: "+one.Name+"="+one.Value)
	b := r.stream("/v1/live", "Cookie: "+two.Name+"="+two.Value)
	b.any()
	r.ask("DELETE", "/v1/session", "", "Cookie: "+one.Name+"="+one.Value)
	a.wantEnd("after the sign-out")
	flip := r.fill(1)[0]
	b.wantEvent(flip)
}

func TestAStreamEndsWithItsSession(t *testing.T) {
	t.Parallel()
	r := start(t, guarded)
	c := signIn(r)
	sessions := r.server.access.Load().sessions
	session := sessions.find(c.Value, time.Now())
	sessions.mu.Lock()
	session.ends = time.Now().Add(time.Second)
	sessions.mu.Unlock()
	s := r.stream("/v1/events", "Cookie: "+c.Name+"="+c.Value)
	s.wantEnd("after the session's life")
}
