package http2

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

// tooMuch answers an upload without reading it, and echoes anything else.
func tooMuch(s *Stream) {
	if !s.HasBody {
		echo(s)
		return
	}
	_ = s.WriteHead(413, fields("content-length", "4"), false)
	_ = s.WriteBody([]byte("much"), true)
}

// TestAnAnsweredUploadMayGoOnForAWhile looks at what comes after an early
// response: the connection's window opens for what is dropped, the stream's
// doesn't, and the reset comes a tick later.
func TestAnAnsweredUploadMayGoOnForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{StreamWindow: 128 << 10, ConnWindow: 128 << 10, Handler: tooMuch}).greet()
		p.headers(1, false, postHead...)
		p.wantStatus(1, "413")
		synctest.Wait()
		if n := p.conn.Streams(); n != 1 {
			t.Errorf("%d streams are open", n)
		}
		for range 8 {
			p.data(1, false, strings.Repeat("x", 16<<10))
		}
		returned := 0
		p.frame(fPing, 0, 0, make([]byte, 8))
		for f := p.next(); f.typ != fPing; f = p.next() {
			if f.typ != fWindow || f.id != 0 {
				t.Fatalf("got %+v", f)
			}
			returned += int(f.u32(0))
		}
		if returned != 128<<10 {
			t.Errorf("%d bytes of the connection's window came back", returned)
		}
		p.headers(3, true, getHead...)
		p.wantStatus(3, "200")
		p.wantReset(1, CodeNo)
		p.data(1, true, "late")
		p.alive()
		if n := p.conn.Streams(); n != 0 {
			t.Errorf("%d streams are open", n)
		}
	})
}

// TestAnAnsweredUploadEnds ends one in every way that a client may and may not.
func TestAnAnsweredUploadEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		give  func(p *peer)
		reset ErrCode // CodeNo: none
	}{
		"by its last byte":       {func(p *peer) { p.data(1, true, "x") }, CodeNo},
		"by trailers":            {func(p *peer) { p.headers(1, true, "a", "b") }, CodeNo},
		"by a reset":             {func(p *peer) { p.frame(fReset, 0, 1, u32(8)) }, CodeNo},
		"by fields in between":   {func(p *peer) { p.headers(1, false, "a", "b") }, CodeProtocol},
		"by more than it may be": {func(p *peer) { overfill(p) }, CodeFlowControl},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := connect(t, Config{MaxStreams: 1, Handler: tooMuch}).greet()
				p.headers(1, false, postHead...)
				p.wantStatus(1, "413")
				synctest.Wait()
				tt.give(p)
				if tt.reset != CodeNo {
					p.wantReset(1, tt.reset)
				}
				p.headers(3, true, getHead...)
				p.wantStatus(3, "200")
				synctestSleep(3)
				p.alive()
			})
		})
	}
}

func overfill(p *peer) {
	for range 17 {
		p.data(1, false, strings.Repeat("x", 16<<10))
	}
}

// TestAnsweredUploadsCountAsOpen shows that they can't be had without number.
func TestAnsweredUploadsCountAsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, Config{MaxStreams: 3, Handler: tooMuch}).greet()
		for id := uint32(1); id < 7; id += 2 {
			p.headers(id, false, postHead...)
			p.wantStatus(id, "413")
		}
		synctest.Wait()
		p.headers(7, false, postHead...)
		p.wantReset(7, CodeRefusedStream)
		synctestSleep(3)
		p.headers(9, false, postHead...)
		p.wantStatus(9, "413")
		p.conn.Close()
		p.wantEnd()
		if n := p.conn.Streams(); n != 0 {
			t.Errorf("%d streams are open", n)
		}
	})
}

func TestCurlIsAnsweredBeforeItsUploadEnds(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl here")
	}
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 300<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := listen(t, Config{Handler: tooMuch})
	for _, method := range [][]string{{"--data-binary", "@" + file}, {"-T", file}} {
		args := append([]string{"-sS", "--http2-prior-knowledge", "--max-time", "20", "-w", " %{http_version} %{http_code}"}, method...)
		out, err := exec.CommandContext(t.Context(), curl, append(args, "http://"+addr+"/")...).CombinedOutput()
		if err != nil || string(out) != "much 2 413" {
			t.Errorf("%s: got %q, %v", method[0], out, err)
		}
	}
}
