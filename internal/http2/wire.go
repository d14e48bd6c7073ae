package http2

import (
	"errors"

	"golang.org/x/net/http2/hpack"
)

const (
	// tableSize is what a peer may keep in the decoder's dynamic table: the
	// size that holds before anything was said (RFC 9113, 6.5.2).
	tableSize = 4096
	// decodePiece is how much of a block is decoded before the peer's account
	// is looked at again.
	decodePiece = 1 << 10
)

// decoder is the door to HPACK (RFC 7541). Its strings are its own or the
// table's, so the caller copies them.
type decoder struct {
	hpack *hpack.Decoder
}

// init makes the decoder call field for each field of a block. No name or value
// may be longer than longest.
func (d *decoder) init(longest int, field func(name, value string)) {
	d.hpack = hpack.NewDecoder(tableSize, func(f hpack.HeaderField) { field(f.Name, f.Value) })
	d.hpack.SetMaxStringLength(longest)
}

// decode takes a part of a block. more is asked now and then whether to go on.
// tooLong says that a string broke the limit.
func (d *decoder) decode(p []byte, more func() bool) (tooLong bool, err error) {
	for len(p) > 0 && more() {
		n := min(len(p), decodePiece)
		if _, err := d.hpack.Write(p[:n]); err != nil {
			return errors.Is(err, hpack.ErrStringLength), err
		}
		p = p[n:]
	}
	return false, nil
}

// end ends a block. It fails if a field was left unfinished.
func (d *decoder) end() error { return d.hpack.Close() }
