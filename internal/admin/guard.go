package admin

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"
)

// call is one request on its way.
type call struct {
	server *Server
	door   *door
	access *access
	w      http.ResponseWriter
	r      *http.Request
	asker  asker
	name   string              // of the group or the origin in the path
	query  map[string][]string // of the parameters that the route knows
}

// serve lets a request pass one guard after the other, and then to its handler.
func (s *Server) serve(d *door, w http.ResponseWriter, r *http.Request) {
	c := &call{server: s, door: d, access: s.access.Load(), w: w, r: r}
	defer c.recovered()
	shield(w.Header())
	c.asker = askerOf(r, "", d.unix)
	if c.throughData() {
		c.turnAway("through_data", &Refused{Code: "forbidden", Text: "this request came through a Fairlead's data listener: no origin may lead here"})
		return
	}
	if !c.knownHost() {
		c.turnAway("foreign_host", &Refused{Code: "forbidden", Text: fmt.Sprintf(
			"this listener doesn't go by the name %q: ask for it by its address, or list the name in hosts", printable(r.Host, 128))})
		return
	}
	found, name, allowed := s.find(r.Method, r.URL.EscapedPath())
	if file := s.files[r.URL.Path]; found == nil && allowed == nil && file != nil {
		c.serveFile(file)
		return
	}
	if (found == nil || !found.foreign) && !c.ownSite() {
		return
	}
	if (found == nil || !found.open) && !c.signedIn() {
		return
	}
	if found == nil {
		c.nothingThere(allowed)
		return
	}
	c.name = name
	if refused := c.readQuery(found.query); refused != nil {
		c.refuse(refused)
		return
	}
	found.serve(c)
}

// throughData reports whether a request was passed on by a Fairlead, to which an
// origin's url gave this listener away: its clients are nobody's operators. The
// data plane writes that field into every request, whatever the client says.
func (c *call) throughData() bool {
	for _, via := range c.r.Header.Values("Via") {
		for hop := range strings.SplitSeq(via, ",") {
			if _, by, ok := strings.Cut(strings.TrimSpace(hop), " "); ok && strings.TrimSpace(by) == "fairlead" {
				return true
			}
		}
	}
	return false
}

// recovered turns a panic into an answer.
func (c *call) recovered() {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	c.server.fault(fmt.Errorf("panic while serving %s %s: %v\n%s", c.r.Method, c.r.URL.Path, p, debug.Stack()))
	c.refuse(&Refused{Code: "internal", Text: "this is a mistake in the program; its log says more"})
}

// knownHost reports whether the request asks for this server by a name that is
// its own. A page of evil.example whose name was made to lead here (DNS rebinding)
// is of one origin with what it asks for, in the browser's eyes, and only Host
// gives it away. An address can't be rebound. To a unix socket no browser
// connects.
func (c *call) knownHost() bool {
	if c.door.unix {
		return true
	}
	host := strings.ToLower(c.r.Host)
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	literal := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(literal); err == nil {
		return true
	}
	if host == "localhost" {
		addr, ok := c.door.Addr().(*net.TCPAddr)
		return ok && (addr.IP.IsLoopback() || addr.IP.IsUnspecified())
	}
	return host != "" && (host == c.door.host || c.access.hosts[host])
}

// ownSite refuses what another site's page asks for: writes, by what
// CrossOriginProtection says, and reads too, which such a page couldn't see but
// which would cost, a stream for as long as the page is open. A link that
// somebody follows is fine.
func (c *call) ownSite() bool {
	h := c.r.Header
	site := h.Get("Sec-Fetch-Site")
	own := site == "" || site == "same-origin" || site == "none"
	followed := h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document"
	if c.server.guard.Check(c.r) == nil && (own || followed) {
		return true
	}
	c.turnAway("cross_site", &Refused{Code: "forbidden", Text: "a page of another site asks, which is refused: use the dashboard of this listener, or a client that is no browser"})
	return false
}

// signedIn lets in who shows the token or a session, and everybody where no
// token is asked for.
func (c *call) signedIn() bool {
	if !c.access.token.set {
		return true
	}
	authorization := c.r.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(authorization, " ")
	if strings.EqualFold(scheme, "Bearer") {
		if c.access.token.is(strings.TrimSpace(token)) {
			c.asker = askerOf(c.r, "token", c.door.unix)
			return true
		}
		c.wrongToken()
		return false
	}
	if cookie, err := c.r.Cookie(c.door.cookieName); err == nil {
		if session := c.access.sessions.find(cookie.Value, time.Now()); session != nil {
			c.asker = askerOf(c.r, "session", c.door.unix)
			c.asker.session = session
			return true
		}
	}
	c.w.Header().Set("WWW-Authenticate", `Bearer realm="fairlead"`)
	c.refuse(&Refused{Code: "unauthorized", Text: "a token is needed: send Authorization: Bearer and the token of token_file, or sign in on the dashboard"})
	return false
}

// wrongToken answers who showed one, after a while.
func (c *call) wrongToken() {
	refused := &Refused{Code: "unauthorized", Text: "the token is not the one of token_file: read that file again, it may have been changed"}
	c.tellAway("wrong_token", refused)
	if !c.server.brake.hold(c.r.Context().Done(), c.door.ending) {
		panic(http.ErrAbortHandler)
	}
	c.w.Header().Set("WWW-Authenticate", `Bearer realm="fairlead", error="invalid_token"`)
	c.refuse(refused)
}

// nothingThere says that there is no such path, or no such method.
func (c *call) nothingThere(allowed []string) {
	if allowed != nil {
		c.w.Header().Set("Allow", strings.Join(allowed, ", "))
		c.refuse(&Refused{Code: "method_not_allowed", Text: fmt.Sprintf("%s is not for this path: use %s", printable(c.r.Method, 32), strings.Join(allowed, " or "))})
		return
	}
	c.refuse(&Refused{Code: "not_found", Text: "there is nothing at this path: /v1/openapi.json lists what there is"})
}

// turnAway refuses and tells.
func (c *call) turnAway(action string, refused *Refused) {
	c.tellAway(action, refused)
	c.refuse(refused)
}

func (c *call) tellAway(action string, refused *Refused) {
	change := c.change(action, printable(c.r.Method+" "+c.r.URL.Path, 256), "", refused)
	c.server.tell.turnedAway(change)
}

// change is what there is to tell of this call.
func (c *call) change(action, subject, detail string, refused *Refused) Change {
	change := Change{
		Time: time.Now().UTC(), Action: action, Subject: subject, Detail: detail,
		By: c.asker.by, Peer: c.asker.peer, UserAgent: printable(c.r.UserAgent(), 64),
		Result: "done", Status: http.StatusOK,
	}
	if refused != nil {
		change.Result, change.Status, change.Text = refused.Code, statuses[refused.Code], refused.Text
		if change.Status == 0 {
			change.Result, change.Status = "internal", http.StatusInternalServerError
		}
	}
	return change
}
