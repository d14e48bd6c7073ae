package http1

// pathMarks are the bytes that CheckPath has to look at closely.
var pathMarks = func() (t [256]bool) {
	for _, c := range []byte{'%', '\\', '.', 0} {
		t[c] = true
	}
	return t
}()

// CheckPath refuses a path that an origin could take for another: one with a
// bad percent-encoding (ErrPathEncoding), a NUL (ErrPathNUL), a backslash
// (ErrPathBackslash), a ".." segment, however encoded and whatever parameter
// follows it after a semicolon (ErrPathClimbs), or an encoded slash or
// backslash (ErrEncodedSlash). With keepSlash the last are allowed, and count
// as separators when ".." is looked for; a backslash as such never is allowed.
// The errors are *Error.
func CheckPath(path []byte, keepSlash bool) error {
	for _, c := range path {
		if pathMarks[c] {
			return checkPath(path, keepSlash)
		}
	}
	return nil
}

func checkPath(path []byte, keepSlash bool) error {
	dots := 0 // of a segment that is nothing but dots so far; -1 if it is more
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '\\' {
			return ErrPathBackslash
		}
		if c == '%' {
			if len(path)-i < 3 {
				return ErrPathEncoding
			}
			high, low := hexValue(path[i+1]), hexValue(path[i+2])
			if high > 15 || low > 15 {
				return ErrPathEncoding
			}
			c = high<<4 | low
			i += 2
			if (c == '/' || c == '\\') && !keepSlash {
				return ErrEncodedSlash
			}
		}
		switch c {
		case 0:
			return ErrPathNUL
		case '/', '\\', ';':
			if dots == 2 {
				return ErrPathClimbs
			}
			dots = 0
			if c == ';' {
				dots = -1
			}
		case '.':
			if dots >= 0 {
				dots++
			}
		default:
			dots = -1
		}
	}
	if dots == 2 {
		return ErrPathClimbs
	}
	return nil
}
