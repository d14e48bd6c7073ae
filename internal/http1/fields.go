package http1

// A Field is one field line of a head or a trailer section. Both slices alias
// the bytes that were parsed.
type Field struct {
	Name  []byte  // as received; a token
	Value []byte  // without the white space around it
	ID    FieldID // FieldOther if the name is none that this package knows
	Hop   bool    // ends here: hop-by-hop by its nature or named by Connection
}

// A FieldID is the name of a field that a gateway has to recognise. The zero
// value, FieldOther, is every other name.
type FieldID uint8

// The known names.
const (
	FieldOther FieldID = iota
	FieldAccept
	FieldAge
	FieldAllow
	FieldAuthorization
	FieldCDNLoop
	FieldCacheControl
	FieldConnection
	FieldContentEncoding
	FieldContentLength
	FieldContentRange
	FieldContentType
	FieldCookie
	FieldDate
	FieldExpect
	FieldExpires
	FieldFailoverAttempt
	FieldForwarded
	FieldHTTP2Settings
	FieldHost
	FieldKeepAlive
	FieldLocation
	FieldMaxForwards
	FieldProxyAuthenticate
	FieldProxyAuthorization
	FieldProxyConnection
	FieldProxyStatus
	FieldRange
	FieldReferer
	FieldRetryAfter
	FieldSetCookie
	FieldTE
	FieldTrailer
	FieldTransferEncoding
	FieldUpgrade
	FieldUserAgent
	FieldVary
	FieldVia
	FieldWWWAuthenticate
	FieldXForwardedFor
	FieldXForwardedHost
	FieldXForwardedProto
	FieldXRealIP
	FieldXRequestID
	FieldXForwardedOther // any other name that begins with X-Forwarded-
	fieldCount
)

// fieldNames are the known names in lower case; FieldOther and
// FieldXForwardedOther have none.
var fieldNames = [fieldCount]string{
	FieldAccept:             "accept",
	FieldAge:                "age",
	FieldAllow:              "allow",
	FieldAuthorization:      "authorization",
	FieldCDNLoop:            "cdn-loop",
	FieldCacheControl:       "cache-control",
	FieldConnection:         "connection",
	FieldContentEncoding:    "content-encoding",
	FieldContentLength:      "content-length",
	FieldContentRange:       "content-range",
	FieldContentType:        "content-type",
	FieldCookie:             "cookie",
	FieldDate:               "date",
	FieldExpect:             "expect",
	FieldExpires:            "expires",
	FieldFailoverAttempt:    "failover-attempt",
	FieldForwarded:          "forwarded",
	FieldHTTP2Settings:      "http2-settings",
	FieldHost:               "host",
	FieldKeepAlive:          "keep-alive",
	FieldLocation:           "location",
	FieldMaxForwards:        "max-forwards",
	FieldProxyAuthenticate:  "proxy-authenticate",
	FieldProxyAuthorization: "proxy-authorization",
	FieldProxyConnection:    "proxy-connection",
	FieldProxyStatus:        "proxy-status",
	FieldRange:              "range",
	FieldReferer:            "referer",
	FieldRetryAfter:         "retry-after",
	FieldSetCookie:          "set-cookie",
	FieldTE:                 "te",
	FieldTrailer:            "trailer",
	FieldTransferEncoding:   "transfer-encoding",
	FieldUpgrade:            "upgrade",
	FieldUserAgent:          "user-agent",
	FieldVary:               "vary",
	FieldVia:                "via",
	FieldWWWAuthenticate:    "www-authenticate",
	FieldXForwardedFor:      "x-forwarded-for",
	FieldXForwardedHost:     "x-forwarded-host",
	FieldXForwardedProto:    "x-forwarded-proto",
	FieldXRealIP:            "x-real-ip",
	FieldXRequestID:         "x-request-id",
}

const forwardedPrefix = "x-forwarded-"

// A fieldSet is a set of FieldIDs, one bit each.
type fieldSet uint64

func setOf(ids ...FieldID) (s fieldSet) {
	for _, id := range ids {
		s |= 1 << id
	}
	return s
}

func (s fieldSet) has(id FieldID) bool { return s>>id&1 != 0 }

var (
	// hopFields never travel further (RFC 9110, 7.6.1 and 11.7). HTTP2-Settings
	// goes with an h2c upgrade, which is never forwarded.
	hopFields = setOf(FieldConnection, FieldKeepAlive, FieldProxyConnection, FieldTE,
		FieldTransferEncoding, FieldUpgrade, FieldHTTP2Settings,
		FieldProxyAuthenticate, FieldProxyAuthorization)

	framingFields = setOf(FieldContentLength, FieldTransferEncoding)

	forwardingFields = setOf(FieldVia, FieldCDNLoop, FieldXRequestID, FieldFailoverAttempt, FieldForwarded, FieldXRealIP,
		FieldXForwardedFor, FieldXForwardedHost, FieldXForwardedProto, FieldXForwardedOther)

	// keptFields stay although Connection names them: otherwise a client could
	// strip what a gateway before us said about it, or the framing. Expect is
	// among them because the caller acts on it.
	keptFields = framingFields | forwardingFields | setOf(FieldHost, FieldExpect)

	// twinFields may not be imitated by names that differ only in punctuation.
	twinFields = framingFields | forwardingFields
)

// slots finds a name's ID by its length and three of its letters. The factors
// in slot were searched for until no two known names shared a slot; a test
// holds them to it.
var slots = func() (t [256]FieldID) {
	for id, name := range fieldNames {
		if name != "" {
			t[slot([]byte(name))] = FieldID(id)
		}
	}
	return t
}()

func slot(name []byte) uint8 {
	n := len(name)
	return uint8(n) + (name[0] | 0x20) + 3*(name[n/2]|0x20) + 29*(name[n-1]|0x20)
}

// lookup returns the ID of a name that is a token. Setting bit 0x20 folds the
// case of letters and turns no other token character into a letter or hyphen.
func lookup(name []byte) FieldID {
	id := slots[slot(name)]
	if known := fieldNames[id]; len(known) == len(name) {
		i := 0
		for i < len(name) && name[i]|0x20 == known[i] {
			i++
		}
		if i == len(name) {
			return id
		}
	}
	if len(name) >= len(forwardedPrefix) && name[0]|0x20 == 'x' && hasPrefixFold(name, forwardedPrefix) {
		return FieldXForwardedOther
	}
	return FieldOther
}

// isTwin reports whether a name becomes that of a framing or forwarding field
// when its punctuation is taken for hyphens. CGI and its descendants turn
// hyphens, and some of them every punctuation mark, into underscores, so that
// an origin could not tell Content_Length or X.Real.IP from the real ones.
func isTwin(name []byte) bool {
	var folded [32]byte
	if len(name) > len(folded) {
		name = name[:len(folded)] // longer than any name below, but for the prefix
	}
	for i, c := range name {
		if nameClass[c] == nameOdd {
			c = '-'
		}
		folded[i] = c
	}
	return twinFields.has(lookup(folded[:len(name)]))
}

// fieldStats is what a message needs to know of its fields.
type fieldStats struct {
	seen, repeated fieldSet
	twin           bool // one field imitates another, see isTwin
}

// MaxFields is how many fields a head or trailer section may have.
const MaxFields = 256

// parseFields appends the field lines of section, which ends with an empty
// line, to fields.
func parseFields(fields []Field, section []byte) ([]Field, fieldStats, error) {
	var stats fieldStats
	i := 0
	for {
		if len(section)-i < 2 {
			return fields, stats, ErrFieldName
		}
		if section[i] == '\r' && section[i+1] == '\n' {
			if i+2 != len(section) {
				return fields, stats, ErrFieldName
			}
			return fields, stats, nil
		}
		start, odd := i, uint8(0)
		for i < len(section) && nameClass[section[i]] != nameStop {
			odd |= nameClass[section[i]]
			i++
		}
		if i == start || i == len(section) || section[i] != ':' {
			return fields, stats, nameError(section, start, i)
		}
		name := section[start:i]
		start = i + 1
		i = scanText(section, start)
		if len(section)-i < 2 || section[i] != '\r' || section[i+1] != '\n' {
			return fields, stats, valueError(section, i)
		}
		if len(fields) == MaxFields {
			return fields, stats, ErrTooManyFields
		}
		id := lookup(name)
		if odd != 0 && isTwin(name) {
			stats.twin = true
		}
		stats.repeated |= stats.seen & (1 << id)
		stats.seen |= 1 << id
		fields = addField(fields)
		f := &fields[len(fields)-1]
		f.Name, f.Value, f.ID, f.Hop = name, trim(section[start:i]), id, hopFields.has(id)
		i += 2
	}
}

// addField makes fields longer by one field, to be filled in. An append of a
// filled one builds it on the stack and copies it, which takes up to a tenth
// of a head's time (BenchmarkParseResponse).
func addField(fields []Field) []Field {
	if len(fields) < cap(fields) {
		return fields[:len(fields)+1]
	}
	return append(fields, Field{})
}

// nameError says what is wrong with a field name that began at start and
// stopped at i.
func nameError(section []byte, start, i int) error {
	if i == len(section) || section[i] != ' ' && section[i] != '\t' {
		return ErrFieldName
	}
	switch {
	case i > start:
		return ErrSpaceAfterName
	case start == 0:
		return ErrSpaceBeforeName
	}
	return ErrObsFold
}

// valueError says what is wrong with a field value that stopped at i.
func valueError(section []byte, i int) error {
	if i < len(section) && section[i] == '\n' {
		return ErrBareLF
	}
	return ErrFieldValue
}

// first returns the first field of that ID, nil if there is none.
func first(fields []Field, id FieldID) *Field {
	for i := range fields {
		if fields[i].ID == id {
			return &fields[i]
		}
	}
	return nil
}

func firstValue(fields []Field, id FieldID) []byte {
	if f := first(fields, id); f != nil {
		return f.Value
	}
	return nil
}
