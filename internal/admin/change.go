package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// reloadTime bounds a reload: it may have to look up names.
const reloadTime = 60 * time.Second

const reasonBytes = 256

func (s *Server) pin(c *call) {
	var r adminapi.PinRequest
	if refused := c.readPin(&r); refused != nil {
		c.refuse(refused)
		return
	}
	detail := []string{"target " + printable(r.Target, 64)}
	if r.For != "" {
		detail = append(detail, "for "+r.For)
	}
	if r.Reason != "" {
		detail = append(detail, "reason "+r.Reason)
	}
	group, err := s.cfg.Backend.Pin(c.name, r, c.asker.by)
	c.changed("pin", details(r.Change, detail...), group, err)
}

// readPin takes a pin's document and checks what is no matter of the group.
func (c *call) readPin(r *adminapi.PinRequest) *Refused {
	if refused := c.read(r); refused != nil {
		return refused
	}
	if r.Target == "" {
		return badRequest(`"target" is missing: the name of one of the group's origins`)
	}
	if d, err := time.ParseDuration(r.For); r.For != "" && (err != nil || d <= 0) {
		return badRequest(fmt.Sprintf(`"for" must be a duration such as 30m or 1h30m, not %q; without it the pin stays until unpin`, printable(r.For, 32)))
	}
	return checkReason(r.Reason)
}

func checkReason(text string) *Refused {
	for _, b := range []byte(text) {
		if b < ' ' || b == 0x7f || len(text) > reasonBytes {
			return badRequest(fmt.Sprintf(`"reason" must be one line of at most %d bytes`, reasonBytes))
		}
	}
	return nil
}

func (s *Server) unpin(c *call)    { changeOf(c, "unpin", s.cfg.Backend.Unpin) }
func (s *Server) failback(c *call) { changeOf(c, "failback", s.cfg.Backend.Failback) }
func (s *Server) drain(c *call)    { changeOf(c, "drain", s.cfg.Backend.Drain) }
func (s *Server) ready(c *call)    { changeOf(c, "ready", s.cfg.Backend.Ready) }

// changeOf makes a change that has nothing to say beside adminapi.Change.
func changeOf[T any](c *call, action string, do func(name string, r adminapi.Change, by string) (T, error)) {
	var r adminapi.Change
	if refused := c.read(&r); refused != nil {
		c.refuse(refused)
		return
	}
	after, err := do(c.name, r, c.asker.by)
	c.changed(action, details(r), after, err)
}

// reload does not depend on the patience of who asked. It ends with the server.
func (s *Server) reload(c *call) {
	if refused := c.read(&struct{}{}); refused != nil {
		c.refuse(refused)
		return
	}
	rc := http.NewResponseController(c.w)
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Now().Add(reloadTime + writeTimeout))
	ctx, cancel := context.WithTimeout(c.door.ctx, reloadTime)
	defer cancel()
	result, err := s.cfg.Backend.Reload(ctx, c.asker.by)
	if result.Changed == nil {
		result.Changed = []string{}
	}
	c.changed("reload", "", result, err)
}

// changed answers and tells.
func (c *call) changed(action, detail string, after any, err error) {
	var refused *Refused
	if err != nil {
		refused = asRefused(err, "internal")
	}
	c.server.tell.change(c.change(action, c.name, detail, refused))
	if refused != nil {
		c.refuse(refused)
		return
	}
	c.answer(http.StatusOK, after)
}

// details says in words what was asked.
func details(r adminapi.Change, parts ...string) string {
	if r.Generation != 0 {
		parts = append(parts, fmt.Sprintf("generation %d", r.Generation))
	}
	if r.Force {
		parts = append(parts, "forced")
	}
	return strings.Join(parts, ", ")
}

// signIn opens a session for who posts the token.
func (s *Server) signIn(c *call) {
	var r adminapi.SessionRequest
	if refused := c.read(&r); refused != nil {
		c.refuse(refused)
		return
	}
	if !c.access.token.set {
		c.w.WriteHeader(http.StatusNoContent) // everybody is in already
		return
	}
	if !c.access.token.is(r.Token) {
		c.wrongToken()
		return
	}
	http.SetCookie(c.w, c.door.cookie(c.access.sessions.open(time.Now())))
	c.asker = askerOf(c.r, "token", c.door.unix)
	s.tell.change(c.change("sign_in", "", "", nil))
	c.w.WriteHeader(http.StatusNoContent)
}

// signOut ends the session that the request came by, and its streams.
func (s *Server) signOut(c *call) {
	if cookie, err := c.r.Cookie(c.door.cookieName); err == nil {
		c.access.sessions.end(cookie.Value)
	}
	http.SetCookie(c.w, c.door.cookie(""))
	s.tell.change(c.change("sign_out", "", "", nil))
	c.w.WriteHeader(http.StatusNoContent)
}
