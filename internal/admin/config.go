package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Config says where to listen, whom to let in and whom to ask.
type Config struct {
	// Listen is a host:port or "unix:" and a path. A unix socket can be connected
	// to by its owner and its group.
	Listen string
	// Token is what a request has to show, at least 16 visible ASCII characters;
	// see ReadToken. "": none is asked for, which is refused for anything but
	// loopback and a unix socket.
	Token string
	// Hosts are names by which browsers and others may ask, without a port, beside
	// the host of Listen. Addresses and, on loopback, "localhost" are always fine.
	Hosts []string

	Backend Backend
	Events  *Journal
	// Metrics answers GET /metrics. nil: 404.
	Metrics http.Handler
	// Page has the dashboard's files, with an index.html. nil: there is none.
	Page fs.FS

	// OnChange is told of every change that somebody asked for, also if it was
	// refused, and of askers who were turned away. It is called from the
	// goroutines of requests and must not block. nil: nobody.
	OnChange func(Change)
	// OnError is told of what went wrong here and is nobody's answer: a panic, an
	// accept that failed. As OnChange. nil: nobody.
	OnError func(error)
}

// Change is something that somebody asked for.
type Change struct {
	Time time.Time
	// Action is "pin", "unpin", "failback", "drain", "ready", "reload", "sign_in"
	// or "sign_out"; and of those who were turned away "wrong_token",
	// "foreign_host", "through_data" or "cross_site", each told at most once a second.
	Action string
	// Subject is the group or the origin, "" if there is none; of those who were
	// turned away, what they asked for.
	Subject string
	// Detail is what was asked, such as "target us, for 30m, forced".
	Detail string
	// By is who asked: "token 10.0.0.7", "session 127.0.0.1", "unix uid=1000
	// pid=4242", or the address alone where no token is asked for.
	By string
	// Peer is the address of the connection with its port, "" for a unix socket.
	Peer string
	// UserAgent is what the client calls itself, at most 64 bytes.
	UserAgent string
	// Result is "done" or the code of the error. Status is the answer's.
	Result string
	Status int
	// Text is the error's.
	Text string
	// Count is how many of these there were since the last one told; 1 for
	// changes.
	Count int
}

const minToken = 16

// check says what is wrong with what a reload may change.
func (c *Config) check() error {
	var errs []error
	if err := checkListen(c.Listen); err != nil {
		errs = append(errs, err)
	}
	if c.Token != "" {
		if err := checkToken(c.Token); err != nil {
			errs = append(errs, err)
		}
	} else if !private(c.Listen) {
		errs = append(errs, needsToken(c.Listen))
	}
	for _, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/:@ ") {
			errs = append(errs, fmt.Errorf("hosts: %q is not the name of a host; write it without scheme and port", h))
		}
	}
	return errors.Join(errs...)
}

func checkListen(address string) error {
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		if path == "" {
			return errors.New(`listen: "unix:" lacks the path of the socket`)
		}
		return nil
	}
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		return fmt.Errorf("listen: %q is neither host:port nor unix:/path", address)
	}
	return nil
}

// private reports whether only this machine can reach the address.
func private(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, _ := net.SplitHostPort(address)
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func needsToken(address string) error {
	return fmt.Errorf("listen: %s can be reached from other machines, so it needs a token_file; else listen on 127.0.0.1 or on a unix socket", address)
}

func checkToken(token string) error {
	if len(token) < minToken {
		return fmt.Errorf("the token has %d characters and needs %d at least; make one with: openssl rand -hex 32", len(token), minToken)
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return errors.New("the token has a character that is no visible ASCII, or has more than one line; make one with: openssl rand -hex 32")
		}
	}
	return nil
}
