package http2

import (
	"bytes"
	"io"
)

const (
	// smallInput is what a connection waits with. It holds the heads of a
	// dozen requests whose fields the table knows.
	smallInput = 1 << 10
	// bigInput holds the largest frame. It is taken from a pool while more
	// comes than the small one holds.
	bigInput = 18 << 10
)

// input is what was read and not taken yet: buf[r:w].
type input struct {
	small [smallInput]byte
	big   *[bigInput]byte // nil, or what buf is
	buf   []byte
	r, w  int
	short bool // the last read left room in the small buffer
}

// init begins with what somebody else has read before.
func (in *input) init(early []byte) {
	in.buf, in.short = in.small[:], true
	if len(early) > bigInput {
		in.buf, in.w = bytes.Clone(early), len(early)
		return
	}
	if len(early) > len(in.buf) {
		in.grow()
	}
	in.w = copy(in.buf, early)
}

// unread is what is here.
func (in *input) unread() []byte { return in.buf[in.r:in.w] }

// fill reads more. need is how many bytes have to fit, with those that are here.
func (in *input) fill(src io.Reader, need int) error {
	in.makeRoom(need)
	for range emptyReads {
		n, err := src.Read(in.buf[in.w:])
		in.w += n
		in.short = n < smallInput && in.w < len(in.buf)
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// emptyReads is how many reads in a row may bring nothing.
const emptyReads = 100

func (in *input) makeRoom(need int) {
	switch {
	case in.r == in.w && in.short && need <= smallInput:
		in.release()
	case need > len(in.buf) || !in.short && in.big == nil:
		in.grow()
	case in.r > 0:
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
}

// grow moves what is here to the big buffer.
func (in *input) grow() {
	if in.w-in.r > bigInput {
		return // only what came early can be larger, and it is taken first
	}
	big := inputPool.Get().(*[bigInput]byte)
	n := copy(big[:], in.buf[in.r:in.w])
	if in.big != nil {
		inputPool.Put(in.big)
	}
	in.big, in.buf, in.r, in.w = big, big[:], 0, n
}

// release gives up what is here, and the big buffer.
func (in *input) release() {
	if in.big != nil {
		inputPool.Put(in.big)
	}
	in.big, in.buf, in.r, in.w = nil, in.small[:], 0, 0
}
