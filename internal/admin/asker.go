package admin

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// asker is who made a request.
type asker struct {
	by   string // see Change.By
	peer string // see Change.Peer
	// session is how the asker came in, nil if not by one.
	session *session
}

// credentials are those of a process at the other end of a unix socket.
type credentials struct {
	uid uint32
	pid int32
}

type credentialsKey struct{}

// withCredentials remembers who is at the other end, where the system tells. It
// tells of the moment in which the connection was made.
func withCredentials(ctx context.Context, c net.Conn) context.Context {
	if s, ok := c.(*seat); ok {
		c = s.Conn
	}
	if unix, ok := c.(*net.UnixConn); ok {
		if cred, ok := credentialsOf(unix); ok {
			return context.WithValue(ctx, credentialsKey{}, cred)
		}
	}
	return ctx
}

// askerOf says who asks: how tells by what they came in, "" for nothing.
func askerOf(r *http.Request, how string, unix bool) asker {
	var a asker
	switch cred, known := r.Context().Value(credentialsKey{}).(credentials); {
	case known:
		a.by = fmt.Sprintf("unix uid=%d pid=%d", cred.uid, cred.pid)
	case unix:
		a.by = "unix"
	default:
		a.peer = r.RemoteAddr
		a.by, _, _ = net.SplitHostPort(r.RemoteAddr)
	}
	if how != "" {
		a.by = how + " " + a.by
	}
	return a
}

// printable cuts a client's own words to n bytes and leaves out what could play
// tricks on a terminal.
func printable(s string, n int) string {
	s = strings.ToValidUTF8(s[:min(len(s), n)], "")
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f {
			return -1
		}
		return c
	}, s)
}
