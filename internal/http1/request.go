package http1

import "bytes"

// A TargetForm is the form of a request target (RFC 9112, 3.2). The authority
// form belongs to CONNECT alone, which is refused.
type TargetForm uint8

// The forms of a target.
const (
	FormOrigin   TargetForm = iota // /path?query
	FormAbsolute                   // http://host/path?query
	FormAsterisk                   // *, with OPTIONS, or OPTIONS of an absolute target without path and query
)

// A Request is a parsed request head. Its slices alias the head that Parse was
// given. Use one Request for many heads: Fields is then allocated once.
type Request struct {
	Method   []byte
	MethodID Method
	Target   []byte // as received
	Form     TargetForm
	Path     []byte // as received, undecoded; "/" for an absolute target without one, "*" for FormAsterisk
	Query    []byte // as received, without the "?"
	HasQuery bool   // there was a "?", if only with an empty query

	// Host is an absolute target's authority, which wins over the Host field
	// (RFC 9112, 3.2.2), else the Host field's value. It is nil only in an
	// HTTP/1.0 request without both.
	Host  []byte
	Minor int // 0 or 1: the version is HTTP/1.Minor

	Fields []Field // in the order received

	Body   BodyKind // never BodyUntilClose
	Length int64    // of the body; 0 with BodyNone, -1 with BodyChunked

	Close      bool   // the connection ends after this exchange: close, or HTTP/1.0 without keep-alive
	Expect100  bool   // HTTP/1.1, with a body, and the client may wait for 100 (Continue) before it sends it
	Upgrade    []byte // the protocols that the client would switch to: HTTP/1.1, no body, named by Connection; never HTTP/2 or TLS
	TETrailers bool   // the client takes trailers
}

var (
	slash    = []byte("/")
	asterisk = []byte("*")
)

// Parse reads a head, whose end HeadEnd has found. It returns an *Error if the
// request is malformed, can be read in two ways, or asks for what a gateway
// doesn't do: CONNECT and TRACE (ErrMethod), another version (ErrVersion),
// another transfer coding (ErrTransferEncoding), an unknown expectation
// (ErrExpect). After an error the Request holds nothing of use.
//
// Parse does not look into the path; that is CheckPath. It allocates only
// when Fields has to grow, and for a Host that is an IPv6 address.
func (r *Request) Parse(head []byte) error {
	*r = Request{Fields: r.Fields[:0]}
	n, query, err := r.parseLine(head)
	if err != nil {
		return err
	}
	if r.MethodID == MethodCONNECT || r.MethodID == MethodTRACE {
		return ErrMethod
	}
	var stats fieldStats
	if r.Fields, stats, err = parseFields(r.Fields, head[n:]); err != nil {
		return err
	}
	if stats.twin {
		return ErrFieldTwin
	}
	if err := r.parseHost(&stats); err != nil {
		return err
	}
	if err := r.parseTarget(query); err != nil {
		return err
	}
	if err := r.parseBody(&stats); err != nil {
		return err
	}
	return r.parseConnection(&stats)
}

// parseLine reads the request line. It returns its length, and where in
// Target the first "?" is, -1 if there is none.
func (r *Request) parseLine(head []byte) (n, query int, err error) {
	i := 0
	for i < len(head) && nameClass[head[i]] != nameStop {
		i++
	}
	if i == 0 || i == len(head) || head[i] != ' ' {
		return 0, 0, ErrMethodToken
	}
	r.Method, r.MethodID = head[:i], methodOf(head[:i])
	i++
	start := i
	query = -1
	for ; i < len(head) && head[i] > ' ' && head[i] < 0x7f && head[i] != '#'; i++ {
		if head[i] == '?' && query < 0 {
			query = i - start
		}
	}
	if i == start || i == len(head) || head[i] != ' ' {
		return 0, 0, ErrTarget
	}
	r.Target = head[start:i]
	i++
	r.Minor, err = parseVersion(head[i:])
	if err != nil {
		return 0, 0, err
	}
	i += len("HTTP/1.1")
	if !bytes.HasPrefix(head[i:], crlf) {
		return 0, 0, ErrStartLine
	}
	return i + 2, query, nil
}

var crlf = []byte("\r\n")

// parseVersion reads HTTP/1.0 or HTTP/1.1 at the beginning of b. Every other
// well-formed version is ErrVersion.
func parseVersion(b []byte) (minor int, err error) {
	if len(b) < len("HTTP/1.1") || string(b[:5]) != "HTTP/" || b[6] != '.' || hexValue(b[5]) > 9 || hexValue(b[7]) > 9 {
		return 0, ErrStartLine
	}
	if b[5] != '1' || b[7] > '1' {
		return 0, ErrVersion
	}
	return int(b[7] - '0'), nil
}

func (r *Request) parseHost(stats *fieldStats) error {
	if stats.repeated.has(FieldHost) {
		return ErrManyHosts
	}
	if !stats.seen.has(FieldHost) {
		if r.Minor > 0 {
			return ErrNoHost
		}
		return nil
	}
	r.Host = firstValue(r.Fields, FieldHost)
	if !isAuthority(r.Host) {
		return ErrHost
	}
	return nil
}

func (r *Request) parseBody(stats *fieldStats) (err error) {
	if r.Body, r.Length, err = framing(r.Fields, stats, r.Minor); err != nil {
		return err
	}
	if r.Body == BodyNone {
		r.Length = 0
	}
	if stats.seen.has(FieldTrailer) {
		return checkTrailer(r.Fields)
	}
	return nil
}

func (r *Request) parseConnection(stats *fieldStats) error {
	var o options
	if stats.seen.has(FieldConnection) {
		var err error
		if o, err = connectionOptions(r.Fields); err != nil {
			return err
		}
	}
	r.Close = o.close || r.Minor == 0 && !o.keepAlive
	if stats.seen.has(FieldExpect) {
		if err := r.parseExpect(); err != nil {
			return err
		}
	}
	if r.Minor == 0 {
		return nil
	}
	if o.upgrade && r.Body == BodyNone && !stats.repeated.has(FieldUpgrade) {
		if v := firstValue(r.Fields, FieldUpgrade); mayUpgrade(v) {
			r.Upgrade = v
		}
	}
	if stats.seen.has(FieldTE) {
		r.TETrailers = listHas(r.Fields, FieldTE, "trailers")
	}
	return nil
}

// parseExpect knows one expectation (RFC 9110, 10.1.1), which means nothing in
// HTTP/1.0 and without a body.
func (r *Request) parseExpect() error {
	for i := range r.Fields {
		if r.Fields[i].ID == FieldExpect && !equalFold(r.Fields[i].Value, "100-continue") {
			return ErrExpect
		}
	}
	r.Expect100 = r.Minor > 0 && r.Body != BodyNone
	return nil
}

// Get returns the value of the first field of that ID, nil if there is none.
func (r *Request) Get(id FieldID) []byte { return firstValue(r.Fields, id) }

// Looped reports whether the request has been here before: a CDN-Loop field
// names instance (RFC 8586). Nothing has been through an instance without a name.
func (r *Request) Looped(instance []byte) bool {
	for i := range r.Fields {
		if r.Fields[i].ID != FieldCDNLoop {
			continue
		}
		info, rest := element(r.Fields[i].Value)
		for ; len(info) > 0; info, rest = element(rest) {
			id, _, _ := bytes.Cut(info, semicolon)
			if id = trim(id); len(id) > 0 && sameName(id, instance) {
				return true
			}
		}
	}
	return false
}

var semicolon = []byte(";")

// listHas reports whether a list field has an element, given in lower case.
func listHas(fields []Field, id FieldID, want string) bool {
	for i := range fields {
		if fields[i].ID != id {
			continue
		}
		elem, rest := element(fields[i].Value)
		for ; len(elem) > 0; elem, rest = element(rest) {
			if equalFold(elem, want) {
				return true
			}
		}
	}
	return false
}
