package http1

// A BodyKind is how the end of a message's body is found (RFC 9112, 6.3).
type BodyKind uint8

// The kinds of body.
const (
	BodyNone       BodyKind = iota // no body, or one of length 0
	BodyLength                     // Content-Length bytes, at least one
	BodyChunked                    // chunks and a trailer section
	BodyUntilClose                 // all that comes before the connection closes; responses only
)

// framing returns the kind and length of the body that the fields state, with
// length -1 if they state none. A message without either field has BodyNone
// here.
func framing(fields []Field, stats *fieldStats, minor int) (BodyKind, int64, error) {
	switch {
	case stats.seen&framingFields == 0:
		return BodyNone, -1, nil
	case stats.seen&framingFields == framingFields:
		return BodyNone, -1, ErrLengthAndCoding
	case stats.repeated.has(FieldContentLength):
		return BodyNone, -1, ErrManyLengths
	case stats.repeated.has(FieldTransferEncoding):
		return BodyNone, -1, ErrManyCodings
	}
	if stats.seen.has(FieldTransferEncoding) {
		if minor == 0 {
			return BodyNone, -1, ErrCodingVersion
		}
		if !equalFold(firstValue(fields, FieldTransferEncoding), "chunked") {
			return BodyNone, -1, ErrTransferEncoding
		}
		return BodyChunked, -1, nil
	}
	n, ok := parseDecimal(firstValue(fields, FieldContentLength))
	switch {
	case !ok:
		return BodyNone, -1, ErrContentLength
	case n == 0:
		return BodyNone, 0, nil
	}
	return BodyLength, n, nil
}

// checkTrailer refuses a Trailer field that announces framing: nobody can say
// what a parser that believes it would do.
func checkTrailer(fields []Field) error {
	for i := range fields {
		if fields[i].ID != FieldTrailer {
			continue
		}
		name, rest := element(fields[i].Value)
		for ; len(name) > 0; name, rest = element(rest) {
			if id := lookup(name); framingFields.has(id) || id == FieldTrailer {
				return ErrTrailer
			}
		}
	}
	return nil
}
