package http1

// Compose completes a request whose head did not come as text but in parts, as
// that of an HTTP/2 stream does. The caller has set Method, Target, Host and
// each field's Name and Value; names are tokens and values hold no control
// characters. hasBody says that a body will come, and length how long it will
// be, -1 if that was not stated.
//
// It judges as Parse does and returns the same errors, so that a request is
// the same whatever wire it came by. What belongs to an HTTP/1.1 connection
// (Connection and the fields that it names) must not be among the fields: here
// nothing is looked for.
func (r *Request) Compose(hasBody bool, length int64) error {
	*r = Request{Method: r.Method, Target: r.Target, Host: r.Host, Fields: r.Fields, Minor: 1}
	if !isToken(r.Method) {
		return ErrMethodToken
	}
	r.MethodID = methodOf(r.Method)
	if r.MethodID == MethodCONNECT || r.MethodID == MethodTRACE {
		return ErrMethod
	}
	stats := identify(r.Fields)
	switch {
	case len(r.Fields) > MaxFields:
		return ErrTooManyFields
	case stats.twin:
		return ErrFieldTwin
	case len(r.Host) == 0:
		return ErrNoHost
	case !isAuthority(r.Host):
		return ErrHost
	}
	query, ok := scanTarget(r.Target)
	if !ok {
		return ErrTarget
	}
	if err := r.parseTarget(query); err != nil {
		return err
	}
	if r.Form == FormAbsolute {
		return ErrTarget
	}
	r.composeBody(hasBody, length)
	if stats.seen.has(FieldTrailer) {
		if err := checkTrailer(r.Fields); err != nil {
			return err
		}
	}
	return r.parseConnection(&stats)
}

func (r *Request) composeBody(hasBody bool, length int64) {
	switch {
	case !hasBody || length == 0:
		r.Body = BodyNone
	case length > 0:
		r.Body, r.Length = BodyLength, length
	default:
		r.Body, r.Length = BodyChunked, -1
	}
}

// identify fills in what fields are, from their names.
func identify(fields []Field) (stats fieldStats) {
	for i := range fields {
		f := &fields[i]
		f.ID = lookup(f.Name)
		f.Hop = hopFields.has(f.ID)
		if odd(f.Name) && isTwin(f.Name) {
			stats.twin = true
		}
		stats.repeated |= stats.seen & (1 << f.ID)
		stats.seen |= 1 << f.ID
	}
	return stats
}

// odd reports whether a name holds a token character that is no letter, digit
// or hyphen.
func odd(name []byte) bool {
	for _, c := range name {
		if nameClass[c] == nameOdd {
			return true
		}
	}
	return false
}

// scanTarget finds the first "?" of a target, -1 for none, and reports whether
// all of it may stand in a request line.
func scanTarget(target []byte) (query int, ok bool) {
	query = -1
	for i, c := range target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return -1, false
		}
		if c == '?' && query < 0 {
			query = i
		}
	}
	return query, len(target) > 0
}

// ComposeTrailers fills in what trailer fields are, from their names, and
// returns those that may travel on, as those of a chunked body are chosen.
func ComposeTrailers(fields []Field) []Field {
	identify(fields)
	return travelling(fields)
}

// travelling keeps the trailer fields that belong neither to the connection nor
// to a head, nor imitate those that do.
func travelling(fields []Field) []Field {
	kept := fields[:0]
	for _, f := range fields {
		if !f.Hop && !lateFields.has(f.ID) && !isTwin(f.Name) {
			kept = append(kept, f)
		}
	}
	return kept
}
