package admin

import (
	"errors"
	"net/http"
	"strings"

	"github.com/fairlead/fairlead/internal/adminapi"
)

const (
	usualRequests = 50
	mostRequests  = 1000
)

func (s *Server) status(c *call)  { c.answer(http.StatusOK, s.cfg.Backend.Status()) }
func (s *Server) history(c *call) { c.answer(http.StatusOK, s.cfg.Backend.History()) }
func (s *Server) config(c *call)  { c.answer(http.StatusOK, s.cfg.Backend.Config()) }

// explain asks what would happen to a request now.
func (s *Server) explain(c *call) {
	method := c.param("method")
	if method == "" {
		method = http.MethodGet
	}
	if !isToken(method) {
		c.refuse(badRequest("method must be one such as GET or POST"))
		return
	}
	if c.param("url") == "" {
		c.refuse(badRequest("url is missing: give a whole URL, or a path and host"))
		return
	}
	host, target, refused := splitURL(c.param("url"))
	if refused != nil {
		c.refuse(refused)
		return
	}
	if h := c.param("host"); h != "" {
		if host = h; printable(h, len(h)) != h || strings.ContainsAny(h, " /?#@") {
			c.refuse(badRequest("host must be a name or an address, with or without a port"))
			return
		}
	}
	explanation, err := s.cfg.Backend.Explain(method, host, target)
	if err != nil {
		c.refuse(asRefused(err, "bad_request"))
		return
	}
	c.answer(http.StatusOK, explanation)
}

// requests lists the last decisions.
func (s *Server) requests(c *call) {
	limit, refused := c.limit(usualRequests, mostRequests)
	if refused != nil {
		c.refuse(refused)
		return
	}
	failed, refused := c.flag("failed")
	if refused != nil {
		c.refuse(refused)
		return
	}
	requests, err := s.cfg.Backend.Requests(c.param("route"), failed, limit)
	if err != nil {
		c.refuse(asRefused(err, "not_found"))
		return
	}
	if requests == nil {
		requests = []adminapi.Request{}
	}
	c.answer(http.StatusOK, requests)
}

// asRefused is what err says, with code if it doesn't bring one.
func asRefused(err error, code string) *Refused {
	if refused, ok := errors.AsType[*Refused](err); ok {
		return refused
	}
	return &Refused{Code: code, Text: err.Error()}
}

func (s *Server) metrics(c *call) {
	if s.cfg.Metrics == nil {
		c.refuse(&Refused{Code: "not_found", Text: "there are no metrics here"})
		return
	}
	s.cfg.Metrics.ServeHTTP(c.w, c.r)
}

// healthz says that the process lives, which is why it can answer at all.
func (s *Server) healthz(c *call) {
	c.write(http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}

// readyz says whether clients are served. Origins are no part of it: a balancer
// that left a Fairlead whose origins are down would leave all of them.
func (s *Server) readyz(c *call) {
	if err := s.cfg.Backend.Serving(); err != nil {
		c.write(http.StatusServiceUnavailable, "text/plain; charset=utf-8", []byte("not ready: "+err.Error()+"\n"))
		return
	}
	c.write(http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}
