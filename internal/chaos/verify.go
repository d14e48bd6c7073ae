package chaos

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// fail says what an error makes of a result.
func (r *Result) fail(err error) {
	r.Err = err
	switch {
	case isMalformed(err):
		r.Kind = Wrong
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.Kind = Hung
	default:
		r.Kind = Aborted
	}
}

// held waits until the client may read the answer.
func (r *Result) held() {
	if r.Hold != nil {
		<-r.Hold
	}
}

// identify checks by a final response's head whose it is.
func (r *Result) identify() error {
	origins, ids := r.Head.Values(FieldOrigin), r.Head.Values(FieldID)
	if len(origins) > 1 || len(ids) > 1 {
		return malformed("fields of more than one origin's response")
	}
	r.Origin = strings.Join(origins, "")
	switch id := strings.Join(ids, ""); {
	case id != "" && id != r.ID:
		return malformed("response of request " + id)
	case id == "" && r.Origin != "":
		return malformed("response of origin " + r.Origin + " without an id")
	case r.Origin == "" && r.Status < 400:
		return malformed(r.Head.Line + " from no origin")
	}
	return nil
}

// size is how long the body is that the origin says it made.
func (r *Result) size() (int64, error) {
	size, err := strconv.ParseInt(orString(r.Head.Get(FieldSize), "0"), 10, 64)
	if err != nil {
		return 0, malformed("bad " + FieldSize)
	}
	return size, nil
}

// verify reads the content to its end. Each byte of an origin's response must be the one that the origin makes for this
// request at this place, and there must be size of them unless there is no body. Buf and scratch are for its use.
func (r *Result) verify(content io.Reader, size int64, bodyless bool, buf, scratch []byte) error {
	want := newContent(r.Origin, r.ID, size)
	got := int64(0)
	for {
		n, err := content.Read(buf)
		if r.Origin != "" && n > 0 {
			if at := want.mismatch(buf[:n], scratch); at >= 0 {
				return malformed("byte " + strconv.FormatInt(at, 10) + " of the body is not origin " + r.Origin + "'s")
			}
		}
		if len(r.Text) < 256 && r.Status >= 400 {
			r.Text += string(buf[:min(n, 256-len(r.Text))])
		}
		got += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if r.Origin != "" && !bodyless && got != size {
		return malformed(fmt.Sprintf("body of %d bytes looks whole, origin %s sent %d", got, r.Origin, size))
	}
	return nil
}
