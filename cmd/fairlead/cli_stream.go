package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// eventsIdle and liveIdle are how long a stream may say nothing, not even a
	// comment, until it is taken for dead. The first has a comment each 15 s, the
	// second a status each second.
	eventsIdle = time.Minute
	liveIdle   = 10 * time.Second
	// streamPause is between a stream's end and the next try.
	streamPause = 500 * time.Millisecond
)

// message is one event of a stream.
type message struct {
	id, event string
	data      []byte
}

// stream is a response in the format of server-sent events (the HTML standard,
// section 9.2). One goroutine reads it.
type stream struct {
	body  io.ReadCloser
	lines *bufio.Reader
	limit int64
	idle  *time.Timer // nil: it may be silent
	quiet time.Duration
	end   context.CancelFunc
	id    string // the last one
}

// errLongMessage: a message of a stream is over the limit.
var errLongMessage = errors.New("a message of the stream is too long")

// open opens a stream, behind the message of that id unless it is "". It ends
// with ctx, or after the time quiet without a byte. Who has it closes it.
func (c *client) open(ctx context.Context, path string, query url.Values, behind string, quiet time.Duration) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	idle := time.AfterFunc(quiet, cancel)
	fields := http.Header{"Accept": {"text/event-stream"}, "Cache-Control": {"no-store"}}
	if behind != "" {
		fields.Set("Last-Event-Id", behind)
	}
	res, err := c.send(ctx, http.MethodGet, path, query, nil, fields)
	if err == nil {
		if kind, _, wrong := mime.ParseMediaType(res.Header.Get("Content-Type")); wrong != nil || kind != "text/event-stream" {
			res.Body.Close()
			err = c.stranger(fmt.Sprintf("it answers with %.60q instead of a stream", res.Header.Get("Content-Type")))
		}
	}
	if err != nil {
		idle.Stop()
		cancel()
		return nil, err
	}
	s := newStream(res.Body, c.limit)
	s.idle, s.quiet, s.end, s.id = idle, quiet, cancel, behind
	return s, nil
}

func newStream(body io.ReadCloser, limit int64) *stream {
	return &stream{body: body, lines: bufio.NewReader(body), limit: limit}
}

func (s *stream) close() {
	s.idle.Stop()
	s.end()
	s.body.Close()
}

// next reads the next message. One that was cut off is none.
func (s *stream) next() (message, error) {
	m := message{event: "message"}
	var size int64
	for {
		line, err := s.line(s.limit - size)
		if err != nil {
			return message{}, err
		}
		size += int64(len(line))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			m.event = string(value)
		case "data":
			m.data = append(append(m.data, value...), '\n')
		case "id":
			if bytes.IndexByte(value, 0) < 0 && len(value) < 64 {
				s.id = string(value)
			}
		}
		if len(line) > 0 {
			continue
		}
		size = 0
		if m.data != nil {
			m.data, m.id = bytes.TrimSuffix(m.data, []byte("\n")), s.id
			return m, nil
		}
		m = message{event: "message"}
	}
}

// line reads a line of at most limit bytes, without its end.
func (s *stream) line(limit int64) ([]byte, error) {
	var line []byte
	for {
		part, err := s.lines.ReadSlice('\n')
		if s.idle != nil {
			s.idle.Reset(s.quiet)
		}
		if int64(len(line)+len(part)) > limit {
			return nil, errLongMessage
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// listener keeps a stream open.
type listener struct {
	// connect opens the stream. Its first error, and any that says that the API
	// refuses, is the end.
	connect func(context.Context) (*stream, error)
	// do is given each message; its error is the end.
	do func(message) error
	// lost is told when the stream has broken off, again for each vain try.
	lost func(error)
}

// complaint says on stderr that a stream has broken off: a long outage is told once
// for each reason, not for each try.
type complaint struct {
	out  io.Writer
	last string // "" when the stream has been heard of since
}

// over is told when the stream goes on.
func (c *complaint) over() { c.last = "" }

func (c *complaint) lost(err error) {
	if text := brokenOff(err) + ", trying again"; text != c.last {
		c.last = text
		fmt.Fprintln(c.out, "fairlead:", text)
	}
}

// run returns nil when ctx ends, and otherwise what ended it.
func (l *listener) run(ctx context.Context) error {
	for first := true; ; first = false {
		err := l.once(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end, and what broke off by that is no error
		}
		if done, ok := errors.AsType[*doneError](err); ok {
			return done.err
		}
		if unopened, ok := errors.AsType[*unopenedError](err); ok && (first || unopened.final()) {
			return unopened.err
		}
		l.lost(err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(streamPause):
		}
	}
}

// once opens the stream and reads it to its end, which is always an error.
func (l *listener) once(ctx context.Context) error {
	s, err := l.connect(ctx)
	if err != nil {
		return &unopenedError{err}
	}
	defer s.close()
	for {
		m, err := s.next()
		if err != nil {
			return err
		}
		if err := l.do(m); err != nil {
			return &doneError{err}
		}
	}
}

// unopenedError is the error of a stream that was not opened.
type unopenedError struct{ err error }

func (e *unopenedError) Error() string { return e.err.Error() }
func (e *unopenedError) Unwrap() error { return e.err }

// final reports whether the API refuses, and will refuse again. An API that is
// busy or broken may be another one in a moment.
func (e *unopenedError) final() bool {
	refused, ok := errors.AsType[*apiError](e.err)
	return ok && refused.status < http.StatusInternalServerError
}

// doneError is the error of a reader's own, not of the stream.
type doneError struct{ err error }

func (e *doneError) Error() string { return e.err.Error() }

// brokenOff is in words why a stream ended, on one line.
func brokenOff(err error) string {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled) || errors.Is(err, errInterruptedAsking) {
		return "the connection was closed"
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}
