package http2

import (
	"testing"
	"testing/synctest"
)

// The life of a stream: section 5 of RFC 9113.

func TestSection5Point1FramesMayComeOnAStreamThatWeHaveReset(t *testing.T) {
	p := connect(t, Config{Handler: func(s *Stream) {
		if string(s.Method) == "POST" {
			s.Reset(CodeCancel)
			return
		}
		echo(s)
	}}).greet()
	p.headers(1, false, postHead...)
	p.wantReset(1, CodeCancel)
	p.data(1, false, "late")
	p.frame(fWindow, 0, 1, u32(100))
	p.headers(1, true, "late", "too")
	p.frame(fReset, 0, 1, u32(8))
	p.headers(3, true, getHead...)
	p.wantStatus(3, "200")
}

func TestSection5Point1AResponseMayEndBeforeTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{Handler: func(s *Stream) { _ = s.WriteHead(413, nil, true) }}).greet()
		p.headers(1, false, postHead...)
		p.wantStatus(1, "413")
		p.wantReset(1, CodeNo)
		p.data(1, true, "late")
		p.alive()
	})
}

func TestSection5Point1Point2StreamsOverTheLimitAreRefused(t *testing.T) {
	p := connect(t, Config{Handler: wait, MaxStreams: 2}).greet()
	for id := uint32(1); id <= 5; id += 2 {
		p.headers(id, true, getHead...)
	}
	p.wantReset(5, CodeRefusedStream)
	p.alive()
}

func TestSection5Point3PrioritiesAreIgnored(t *testing.T) {
	p := connect(t, Config{Handler: echo}).greet()
	p.frame(fPriority, 0, 77, []byte{0, 0, 0, 77, 16})
	p.frame(fHeaders, endHeaders|endStream|priority, 1, append([]byte{0x80, 0, 0, 1, 255}, p.block(getHead...)...))
	p.wantStatus(1, "200")
	p.frame(fPriority, 0, 1, []byte{0, 0, 0, 3, 16})
	p.alive()
}
