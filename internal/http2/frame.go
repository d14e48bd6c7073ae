package http2

import "encoding/binary"

const (
	// frameHead is the length of a frame's header (RFC 9113, 4.1).
	frameHead = 9
	// maxFrame is the largest payload that is taken, and the largest that is
	// sent, whatever the peer would take (RFC 9113, 4.2).
	maxFrame = 16 << 10
	// maxWindow is the largest window there may be (RFC 9113, 6.9.1).
	maxWindow = 1<<31 - 1
	// firstWindow is every window's size before anything was said (RFC 9113, 6.9.2).
	firstWindow = 65535
	// maxStreamID stands for every stream in a GOAWAY that only warns.
	maxStreamID = 1<<31 - 1
)

// preface is what a client sends first (RFC 9113, 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

type frameType uint8

const (
	frameData         frameType = 0
	frameHeaders      frameType = 1
	framePriority     frameType = 2
	frameReset        frameType = 3
	frameSettings     frameType = 4
	framePushPromise  frameType = 5
	framePing         frameType = 6
	frameGoAway       frameType = 7
	frameWindowUpdate frameType = 8
	frameContinuation frameType = 9
)

const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

type settingID uint16

const (
	settingTableSize       settingID = 1
	settingPush            settingID = 2
	settingMaxStreams      settingID = 3
	settingInitialWindow   settingID = 4
	settingMaxFrame        settingID = 5
	settingMaxHeaderList   settingID = 6
	settingConnectProtocol settingID = 8 // RFC 8441
	settingNoPriorities    settingID = 9 // RFC 9218, 2.1
)

// frameHeader is the first nine bytes of a frame.
type frameHeader struct {
	length int
	typ    frameType
	flags  uint8
	id     uint32
}

func (h *frameHeader) has(flag uint8) bool { return h.flags&flag != 0 }

// parseFrameHeader reads a header from p, which holds at least frameHead bytes.
func parseFrameHeader(p []byte) frameHeader {
	return frameHeader{
		length: int(p[0])<<16 | int(p[1])<<8 | int(p[2]),
		typ:    frameType(p[3]),
		flags:  p[4],
		id:     binary.BigEndian.Uint32(p[5:]) & maxStreamID,
	}
}

func appendFrameHeader(dst []byte, length int, typ frameType, flags uint8, id uint32) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), byte(typ), flags)
	return binary.BigEndian.AppendUint32(dst, id)
}

func appendData(dst []byte, id uint32, p []byte, end bool) []byte {
	var flags uint8
	if end {
		flags = flagEndStream
	}
	return append(appendFrameHeader(dst, len(p), frameData, flags, id), p...)
}

// appendHeaders appends a field block as HEADERS and as many CONTINUATION
// frames as it takes (RFC 9113, 4.3).
func appendHeaders(dst []byte, id uint32, fields []byte, end bool) []byte {
	typ, flags := frameHeaders, uint8(0)
	if end {
		flags = flagEndStream
	}
	for len(fields) > maxFrame {
		dst = append(appendFrameHeader(dst, maxFrame, typ, flags, id), fields[:maxFrame]...)
		fields = fields[maxFrame:]
		typ, flags = frameContinuation, 0
	}
	return append(appendFrameHeader(dst, len(fields), typ, flags|flagEndHeaders, id), fields...)
}

func appendReset(dst []byte, id uint32, code ErrCode) []byte {
	dst = appendFrameHeader(dst, 4, frameReset, 0, id)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

func appendSetting(dst []byte, id settingID, value uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(id))
	return binary.BigEndian.AppendUint32(dst, value)
}

func appendSettingsAck(dst []byte) []byte {
	return appendFrameHeader(dst, 0, frameSettings, flagAck, 0)
}

func appendPing(dst []byte, flags uint8, data []byte) []byte {
	return append(appendFrameHeader(dst, 8, framePing, flags, 0), data...)
}

func appendGoAway(dst []byte, last uint32, code ErrCode, reason string) []byte {
	dst = appendFrameHeader(dst, 8+len(reason), frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, reason...)
}

func appendWindowUpdate(dst []byte, id uint32, n int) []byte {
	dst = appendFrameHeader(dst, 4, frameWindowUpdate, 0, id)
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}
