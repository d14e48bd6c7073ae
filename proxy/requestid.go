package proxy

import (
	"math/rand/v2"

	"github.com/fairlead/fairlead/internal/http1"
)

// maxRequestID bounds an id that a trusted proxy sends.
const maxRequestID = 128

// requestID is the request's X-Request-Id: a trusted proxy's, or a new one of
// 128 random bits in hexadecimal.
func (x *exchange) requestID() []byte {
	if x.trusted {
		if id := x.req.Get(http1.FieldXRequestID); validID(id) {
			return id
		}
	}
	hi, lo := rand.Uint64(), rand.Uint64()
	const digits = "0123456789abcdef"
	for i := range 16 {
		x.idBuf[i] = digits[hi>>(60-4*i)&15]
		x.idBuf[16+i] = digits[lo>>(60-4*i)&15]
	}
	return x.idBuf[:]
}

// validID reports whether an id is safe wherever ids are written: headers,
// logs, JSON.
func validID(id []byte) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for _, b := range id {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9':
		case b == '-', b == '_', b == '.', b == '=', b == '+', b == '/', b == ':', b == '@', b == ',', b == ';':
		default:
			return false
		}
	}
	return true
}
