package http1

import "bytes"

// An Error is why a message was refused. After one the bytes that follow on
// the connection have no agreed meaning: answer Status and close. For a
// response from an origin Status means nothing, only that it is malformed.
type Error struct {
	Status int    // the status to answer a client with
	Msg    string // short, safe to show to the client, holds none of its input
}

// Error returns Msg.
func (e *Error) Error() string { return e.Msg }

// Refusals of a head as a whole.
var (
	ErrBareLF        = &Error{400, "line feed without carriage return"}
	ErrStartLine     = &Error{400, "malformed start line"}
	ErrVersion       = &Error{505, "HTTP version not supported"}
	ErrHeadTooLarge  = &Error{431, "head too large"}
	ErrTooManyFields = &Error{431, "too many fields"}
)

// Refusals of a request line and its target.
var (
	ErrMethodToken   = &Error{400, "malformed method"}
	ErrMethod        = &Error{405, "method not allowed"}
	ErrTarget        = &Error{400, "malformed request target"}
	ErrTargetTooLong = &Error{414, "request target too long"}
	ErrPathEncoding  = &Error{400, "bad percent-encoding in the path"}
	ErrPathNUL       = &Error{400, "NUL in the path"}
	ErrPathBackslash = &Error{400, "backslash in the path"}
	ErrPathClimbs    = &Error{400, `".." in the path`}
	ErrEncodedSlash  = &Error{400, "encoded slash or backslash in the path (see encoded_slash)"}
)

// Refusals of fields.
var (
	ErrObsFold         = &Error{400, "folded field line"}
	ErrFieldName       = &Error{400, "malformed field name"}
	ErrSpaceBeforeName = &Error{400, "white space before the first field"}
	ErrSpaceAfterName  = &Error{400, "white space between field name and colon"}
	ErrFieldValue      = &Error{400, "control character in a field value"}
	ErrFieldTwin       = &Error{400, "field name that imitates a framing or forwarding field"}
	ErrNoHost          = &Error{400, "no Host field"}
	ErrManyHosts       = &Error{400, "more than one Host field"}
	ErrHost            = &Error{400, "malformed host"}
	ErrConnection      = &Error{400, "malformed Connection field"}
	ErrTrailer         = &Error{400, "Trailer announces a framing field"}
	ErrExpect          = &Error{417, "unknown expectation"}
	ErrSwitching       = &Error{400, "101 response without an upgrade"}
)

// Refusals of a body's framing.
var (
	ErrContentLength    = &Error{400, "malformed Content-Length"}
	ErrManyLengths      = &Error{400, "more than one Content-Length"}
	ErrTransferEncoding = &Error{501, "transfer coding not supported"}
	ErrManyCodings      = &Error{400, "more than one Transfer-Encoding"}
	ErrLengthAndCoding  = &Error{400, "both Content-Length and Transfer-Encoding"}
	ErrCodingVersion    = &Error{400, "Transfer-Encoding in an HTTP/1.0 message"}
	ErrBodyInterim      = &Error{400, "interim response with a body"}
	ErrBodyTooLarge     = &Error{413, "body too large"}
	ErrChunkSize        = &Error{400, "malformed chunk size"}
	ErrChunkExtension   = &Error{400, "malformed or over-long chunk extension"}
	ErrChunkEnd         = &Error{400, "chunk data without its line end"}
	ErrTrailersTooLarge = &Error{431, "trailer section too large"}
)

// TooLarge says which limit a head has broken that fills its buffer without
// an end: ErrTargetTooLong if not even the request line fitted, else
// ErrHeadTooLarge.
func TooLarge(buf []byte) *Error {
	if bytes.IndexByte(buf, '\n') < 0 {
		return ErrTargetTooLong
	}
	return ErrHeadTooLarge
}
