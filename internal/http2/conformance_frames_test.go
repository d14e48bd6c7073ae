package http2

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// Connections and frames: sections 3 and 4 of RFC 9113, and what section 6 says of
// frames that open no window.

func TestSection3Point4ThePrefaceMayComeInPieces(t *testing.T) {
	p := connect(t, Config{Handler: echo})
	for _, b := range append([]byte(preface), rawFrame(fSettings, 0, 0, settings(3, 10, 0x9999, 7))...) {
		p.write([]byte{b})
	}
	p.want(fSettings, 0)
	for _, b := range rawFrame(fHeaders, endHeaders|endStream, 1, p.block(getHead...)) {
		p.write([]byte{b})
	}
	p.wantStatus(1, "200")
}

func TestSection3Point4WhatWasReadBeforeCountsAsRead(t *testing.T) {
	var head bytes.Buffer
	enc := hpack.NewEncoder(&head)
	for i := 0; i < len(postHead); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: postHead[i], Value: postHead[i+1]})
	}
	all := append([]byte(preface), rawFrame(fSettings, 0, 0, nil)...)
	all = append(all, rawFrame(fHeaders, endHeaders, 1, head.Bytes())...)
	for range 4 {
		all = append(all, rawFrame(fData, 0, 1, bytes.Repeat([]byte("x"), 10000))...)
	}
	all = append(all, rawFrame(fData, endStream, 1, nil)...)
	for _, n := range []int{0, 3, 24, 30, 33, 5000, len(all)} {
		p := connectEarly(t, Config{Handler: echo}, all[:n])
		p.write(all[n:])
		if r := p.wantStatus(1, "200"); len(r.body) != 40000 {
			t.Errorf("%d bytes early: %d bytes came back", n, len(r.body))
		}
	}
}

func TestSection3Point4WhatIsNoPrefaceEndsTheConnection(t *testing.T) {
	p := connect(t, Config{Handler: echo})
	p.write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	p.wantError(CodeProtocol)
}

func TestSection4Point1UnknownFramesAreIgnored(t *testing.T) {
	p := connect(t, Config{Handler: echo}).greet()
	p.frame(0xbe, 0xff, 0, []byte("anything"))
	p.headers(1, false, postHead...)
	p.frame(0xbe, 0xff, 1, []byte("anything"))
	p.data(1, true, "abc")
	if r := p.wantStatus(1, "200"); r.body != "abc" {
		t.Errorf("body %q", r.body)
	}
}

func TestSection4Point1TheReservedBitIsIgnored(t *testing.T) {
	p := connect(t, Config{Handler: echo}).greet()
	p.frame(fHeaders, endHeaders|endStream, 1|1<<31, p.block(getHead...))
	p.wantStatus(1, "200")
}

func TestSection4Point3AFieldBlockMayComeInPieces(t *testing.T) {
	p := connect(t, Config{Handler: echo}).greet()
	b := p.block(with(getHead, "x-long", strings.Repeat("long value ", 100)+".")...)
	p.frame(fHeaders, endStream, 1, b[:1])
	p.frame(fCont, 0, 1, nil)
	p.frame(fCont, 0, 1, b[1:100])
	p.frame(fCont, endHeaders, 1, b[100:])
	p.wantStatus(1, "200")
}

func TestLongResponseHeadsAreContinued(t *testing.T) {
	long := strings.Repeat("v", 20000)
	p := connect(t, Config{Handler: func(s *Stream) { _ = s.WriteHead(200, fields("a", long, "b", long), true) }}).greet()
	p.headers(1, true, getHead...)
	f := p.want(fHeaders, 1)
	block := f.payload
	if f.flags != endStream || len(f.payload) != 16384 {
		t.Errorf("HEADERS: flags %x, %d bytes", f.flags, len(f.payload))
	}
	for f.flags&endHeaders == 0 {
		if f = p.next(); f.typ != fCont || f.id != 1 {
			t.Fatalf("got type %d", f.typ)
		}
		block = append(block, f.payload...)
	}
	if _, err := p.dec.Write(block); err != nil || len(p.list) != 3 || p.list[2][1] != long {
		t.Errorf("%d fields, %v", len(p.list), err)
	}
}

func TestSection6Point5SettingsAreStated(t *testing.T) {
	p := connect(t, Config{Handler: echo, MaxStreams: 7, StreamWindow: 70000, MaxHeaderBytes: 5000})
	f := p.next()
	want := settings(3, 7, 4, 70000, 6, 5000, 8, 1, 9, 1)
	if f.typ != fSettings || !bytes.Equal(f.payload, want) {
		t.Errorf("got %+v, want %v", f, want)
	}
	if f = p.next(); f.typ != fWindow || f.id != 0 || f.u32(0) != 1<<20-65535 {
		t.Errorf("the connection's window: %+v", f)
	}
}

func TestSection6Point7APingIsAnsweredWithItsData(t *testing.T) {
	p := connect(t, Config{Handler: echo}).greet()
	p.frame(fPing, 0, 0, []byte("12345678"))
	if f := p.want(fPing, 0); f.flags != ack || string(f.payload) != "12345678" {
		t.Errorf("got %+v", f)
	}
	p.frame(fPing, ack, 0, []byte("12345678")) // an answer that nobody asked for
	p.alive()
}
