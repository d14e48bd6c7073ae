package http2

import (
	"io"
	"strings"
	"testing"
)

// Flow control: what sections 6.1 and 6.9 of RFC 9113 say of windows.

func TestSection6Point1PaddingIsNoDataAndIsGivenBack(t *testing.T) {
	for _, size := range []int{0, 1, 100} {
		p := connect(t, Config{StreamWindow: 65536, Patience: 5000, Handler: func(s *Stream) {
			n, err := io.Copy(io.Discard, readerOf(s))
			if n != int64(2000*size+2) || err != nil {
				t.Errorf("read %d bytes, %v", n, err)
			}
			_ = s.WriteHead(200, nil, true)
		}}).greet()
		p.frame(fHeaders, endHeaders|padded, 1, append(append([]byte{3}, p.block(postHead...)...), 0, 0, 0))
		payload := append(append([]byte{250}, make([]byte, size)...), make([]byte, 250)...)
		window := 65536
		for range 2000 { // several times the window
			for window < len(payload) {
				if f := p.next(); f.typ == fWindow && f.id == 1 {
					window += int(f.u32(0))
				}
			}
			window -= len(payload)
			p.frame(fData, padded, 1, payload)
		}
		p.frame(fData, padded|endStream, 1, []byte{2, 'e', 'n', 0, 0})
		p.wantStatus(1, "200")
	}
}

func TestSection6Point9AResponseWaitsForTheStreamsWindow(t *testing.T) {
	p := connect(t, Config{Handler: bodyOf(10)}).greet(4, 3) // initial window: 3
	p.headers(1, true, getHead...)
	p.want(fHeaders, 1)
	wantData(p, 1, "012", false)
	p.alive() // and no more data comes
	p.frame(fWindow, 0, 1, u32(1))
	wantData(p, 1, "3", false)
	p.frame(fSettings, 0, 0, settings(4, 0)) // the window becomes negative
	p.want(fSettings, 0)
	p.frame(fWindow, 0, 1, u32(3))
	p.alive()
	p.frame(fWindow, 0, 1, u32(2))
	wantData(p, 1, "45", false)
	p.frame(fSettings, 0, 0, settings(4, 100))
	wantData(p, 1, "6789", true)
}

func TestSection6Point9AResponseWaitsForTheConnectionsWindow(t *testing.T) {
	p := connect(t, Config{Handler: bodyOf(70000)}).greet(4, 1<<20)
	p.headers(1, true, getHead...)
	p.want(fHeaders, 1)
	got := 0
	for got < 65535 {
		got += len(p.want(fData, 1).payload)
	}
	p.headers(3, true, with(getHead, "x-empty", "1")...)
	p.wantStatus(3, "204") // a head needs no window
	p.frame(fWindow, 0, 0, u32(1))
	wantData(p, 1, "5", false)
	p.frame(fWindow, 0, 0, u32(1<<20))
	for got++; got < 70000; {
		got += len(p.want(fData, 1).payload)
	}
}

func TestSection6Point9StreamsShareTheConnectionsWindowInTurn(t *testing.T) {
	p := connect(t, Config{Handler: bodyOf(1 << 20)}).greet(4, 1<<20)
	got := map[uint32]int{}
	ids := []uint32{1, 3, 5}
	for _, id := range ids {
		p.headers(id, true, getHead...)
	}
	for total, heads := 0, 0; total < 65535 || heads < len(ids); {
		switch f := p.next(); f.typ {
		case fData:
			total += len(f.payload)
		case fHeaders:
			heads++
		}
	}
	for range 30 {
		p.frame(fWindow, 0, 0, u32(1000))
		f := p.next()
		for f.typ != fData {
			f = p.next()
		}
		got[f.id] += len(f.payload)
	}
	for _, id := range ids {
		if got[id] != 10000 {
			t.Errorf("stream %d got %d of 30000 bytes: %v", id, got[id], got)
		}
	}
}

func TestSection6Point9TheRequestsWindowOpensOnlyAsTheHandlerReads(t *testing.T) {
	read := make(chan int)
	p := connect(t, Config{StreamWindow: 65536, Handler: func(s *Stream) {
		buf := make([]byte, 65536)
		for n := range read {
			if _, err := io.ReadFull(readerOf(s), buf[:n]); err != nil {
				t.Error(err)
			}
		}
		_ = s.WriteHead(200, nil, true)
	}}).greet()
	p.headers(1, false, postHead...)
	for range 4 {
		p.data(1, false, strings.Repeat("x", 16384))
	}
	p.alive() // no window update comes before the ping's answer
	read <- 16383
	p.alive()
	read <- 1
	if f := p.want(fWindow, 1); f.u32(0) != 16384 {
		t.Errorf("opened by %d", f.u32(0))
	}
	close(read)
	p.wantStatus(1, "200")
}
