package http1

// A Method is a request method. The zero value, MethodOther, is any method
// without a name here. Methods are case-sensitive.
type Method uint8

// The methods of RFC 9110, 9.3, and PATCH (RFC 5789).
const (
	MethodOther Method = iota
	MethodGET
	MethodHEAD
	MethodPOST
	MethodPUT
	MethodPATCH
	MethodDELETE
	MethodOPTIONS
	MethodCONNECT
	MethodTRACE
)

func methodOf(b []byte) Method {
	switch string(b) {
	case "GET":
		return MethodGET
	case "HEAD":
		return MethodHEAD
	case "POST":
		return MethodPOST
	case "PUT":
		return MethodPUT
	case "PATCH":
		return MethodPATCH
	case "DELETE":
		return MethodDELETE
	case "OPTIONS":
		return MethodOPTIONS
	case "CONNECT":
		return MethodCONNECT
	case "TRACE":
		return MethodTRACE
	}
	return MethodOther
}
