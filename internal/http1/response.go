package http1

import "bytes"

// A Response is a parsed response head. Its slices alias the head that Parse
// was given. Use one Response for many heads: Fields is then allocated once.
type Response struct {
	Minor  int    // 0 or 1: the version is HTTP/1.Minor
	Status int    // 100 to 999
	Reason []byte // may be empty

	Fields []Field // in the order received

	// Body is BodyNone for a response to HEAD, an interim one, 204 and 304,
	// whatever its fields say.
	Body   BodyKind
	Length int64 // as stated by Content-Length, even if Body is BodyNone; -1 if it is not stated

	Close   bool   // the connection to the origin can't be used again
	Upgrade []byte // the protocol that a 101 response switches to, else nil
	HasDate bool   // there is a Date field
}

// Parse reads a response head, whose end HeadEnd has found; m is the method of
// the request that it answers. It returns an *Error if the response is
// malformed or can be read in two ways. After an error the Response holds
// nothing of use. Parse allocates only when Fields has to grow.
func (r *Response) Parse(head []byte, m Method) error {
	*r = Response{Fields: r.Fields[:0]}
	n, err := r.parseLine(head)
	if err != nil {
		return err
	}
	var stats fieldStats
	if r.Fields, stats, err = parseFields(r.Fields, head[n:]); err != nil {
		return err
	}
	r.HasDate = stats.seen.has(FieldDate)
	var o options
	if stats.seen.has(FieldConnection) {
		if o, err = connectionOptions(r.Fields); err != nil {
			return err
		}
	}
	r.Close = o.close || r.Minor == 0 && !o.keepAlive
	if r.Status == 101 {
		if r.Upgrade = firstValue(r.Fields, FieldUpgrade); len(r.Upgrade) == 0 || !o.upgrade || stats.repeated.has(FieldUpgrade) {
			return ErrSwitching
		}
	}
	return r.parseBody(&stats, m)
}

// parseLine reads the status line and returns its length. The space before
// an empty reason may be missing: nobody reads that in another way.
func (r *Response) parseLine(head []byte) (n int, err error) {
	if r.Minor, err = parseVersion(head); err != nil {
		return 0, err
	}
	i := len("HTTP/1.1")
	if len(head) < i+6 || head[i] != ' ' {
		return 0, ErrStartLine
	}
	status, ok := parseDecimal(head[i+1 : i+4])
	if !ok || status < 100 {
		return 0, ErrStartLine
	}
	r.Status = int(status)
	i += 4
	if head[i] == ' ' {
		start := i + 1
		i = scanText(head, start)
		r.Reason = head[start:i]
	}
	if !bytes.HasPrefix(head[i:], crlf) {
		return 0, ErrStartLine
	}
	return i + 2, nil
}

// parseBody finds the framing by the rules of RFC 9112, 6.3.
func (r *Response) parseBody(stats *fieldStats, m Method) (err error) {
	if r.Body, r.Length, err = framing(r.Fields, stats, r.Minor); err != nil {
		return err
	}
	if stats.seen.has(FieldTrailer) {
		if err := checkTrailer(r.Fields); err != nil {
			return err
		}
	}
	switch {
	case r.Status < 200:
		if r.Body != BodyNone {
			return ErrBodyInterim
		}
	case r.Status == 204:
		// Some origins send the body that they announce here, so nothing
		// that follows on this connection can be trusted.
		r.Close = r.Close || r.Body != BodyNone
		r.Body = BodyNone
	case r.Status == 304 || m == MethodHEAD:
		r.Body = BodyNone
	case stats.seen&framingFields == 0:
		r.Body, r.Close = BodyUntilClose, true
	}
	return nil
}

// Get returns the value of the first field of that ID, nil if there is none.
func (r *Response) Get(id FieldID) []byte { return firstValue(r.Fields, id) }
