package http2

import (
	"errors"
	"strconv"
)

// An ErrCode is why a stream or a connection ends (RFC 9113, 7).
type ErrCode uint32

// The codes.
const (
	CodeNo                 ErrCode = 0x0 // NO_ERROR
	CodeProtocol           ErrCode = 0x1
	CodeInternal           ErrCode = 0x2
	CodeFlowControl        ErrCode = 0x3
	CodeSettingsTimeout    ErrCode = 0x4
	CodeStreamClosed       ErrCode = 0x5
	CodeFrameSize          ErrCode = 0x6
	CodeRefusedStream      ErrCode = 0x7 // nothing was done for the stream, so it may be sent again
	CodeCancel             ErrCode = 0x8
	CodeCompression        ErrCode = 0x9
	CodeConnect            ErrCode = 0xa
	CodeEnhanceYourCalm    ErrCode = 0xb
	CodeInadequateSecurity ErrCode = 0xc
	CodeHTTP11Required     ErrCode = 0xd
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
	"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String is the code's name in the RFC.
func (c ErrCode) String() string {
	if int64(c) < int64(len(codeNames)) {
		return codeNames[c]
	}
	return "code " + strconv.FormatUint(uint64(c), 10)
}

// A ConnError is why a connection was ended by us: what the peer did that it
// may not do, or did too often. The peer is told in a GOAWAY frame.
type ConnError struct {
	Code   ErrCode
	Reason string // short, holds nothing that the peer sent
}

// Error reads "PROTOCOL_ERROR: data on an idle stream".
func (e *ConnError) Error() string { return e.Code.String() + ": " + e.Reason }

// What ends reading and writing on a stream.
var (
	// ErrLeft says that the client has reset the stream or that its connection
	// is gone.
	ErrLeft = errors.New("client has left")
	// ErrInterrupted says that Interrupt or InterruptRead was called.
	ErrInterrupted = errors.New("interrupted")
	// ErrBody says that the request's body is malformed: it is not as long as
	// its content-length, or its trailers are not allowed. The stream was reset.
	ErrBody = errors.New("request body is malformed")
	// ErrEnded says that we have ended the stream before: by its last byte or
	// by Reset.
	ErrEnded = errors.New("stream has ended")
	// ErrTimeout is what Serve returns when the peer left a frame or a field
	// block unfinished for too long, or took nothing of what was sent to it.
	ErrTimeout = errors.New("peer was too slow")
)
