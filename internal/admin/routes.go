package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one thing that can be asked for. One segment of its pattern may be a
// name in braces, and stands for any one that is not empty.
type route struct {
	method  string
	pattern string
	query   []string // the parameters that it knows
	open    bool     // no token is needed
	foreign bool     // another site's page may ask
	serve   func(*call)
}

func (s *Server) table() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{method: get, pattern: "/v1/status", serve: s.status},
		{method: get, pattern: "/v1/history", serve: s.history},
		{method: get, pattern: "/v1/events", query: []string{"limit", "since", "kind", "group"}, serve: s.events},
		{method: get, pattern: "/v1/live", query: []string{"since"}, serve: s.live},
		{method: get, pattern: "/v1/explain", query: []string{"method", "url", "host"}, serve: s.explain},
		{method: get, pattern: "/v1/requests", query: []string{"route", "failed", "limit"}, serve: s.requests},
		{method: get, pattern: "/v1/config", serve: s.config},
		{method: get, pattern: "/v1/openapi.json", serve: s.openAPI},
		{method: post, pattern: "/v1/groups/{group}/pin", serve: s.pin},
		{method: post, pattern: "/v1/groups/{group}/unpin", serve: s.unpin},
		{method: post, pattern: "/v1/groups/{group}/failback", serve: s.failback},
		{method: post, pattern: "/v1/groups/{group}/drill", serve: s.startDrill},
		{method: http.MethodDelete, pattern: "/v1/groups/{group}/drill", serve: s.stopDrill},
		{method: post, pattern: "/v1/origins/{origin}/drain", serve: s.drain},
		{method: post, pattern: "/v1/origins/{origin}/ready", serve: s.ready},
		{method: post, pattern: "/v1/reload", serve: s.reload},
		{method: post, pattern: "/v1/session", open: true, serve: s.signIn},
		{method: http.MethodDelete, pattern: "/v1/session", serve: s.signOut},
		{method: get, pattern: "/metrics", query: []string{"*"}, serve: s.metrics},
		{method: get, pattern: "/healthz", query: []string{"*"}, open: true, foreign: true, serve: s.healthz},
		{method: get, pattern: "/readyz", query: []string{"*"}, open: true, foreign: true, serve: s.readyz},
	}
}

// find gives the route of a request and the name in its path. HEAD is answered
// as GET. If there is none, allowed are the methods that the path has.
func (s *Server) find(method, escapedPath string) (found *route, name string, allowed []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range s.routes {
		r := &s.routes[i]
		n, ok := matches(r.pattern, escapedPath)
		if !ok {
			continue
		}
		if r.method == method {
			return r, n, nil
		}
		allowed = append(allowed, r.method)
		if r.method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	return nil, "", allowed
}

// matches compares segment by segment, so that a name may have a slash that is
// escaped. Nothing is cleaned or redirected.
func matches(pattern, escapedPath string) (name string, ok bool) {
	for pattern != "" {
		var want, have string
		want, pattern, _ = strings.Cut(pattern, "/")
		var more bool
		have, escapedPath, more = strings.Cut(escapedPath, "/")
		if more != (pattern != "") {
			return "", false
		}
		have, err := url.PathUnescape(have)
		if err != nil {
			return "", false
		}
		switch {
		case !strings.HasPrefix(want, "{"):
			if have != want {
				return "", false
			}
		case have == "":
			return "", false
		default:
			name = have
		}
	}
	return name, escapedPath == ""
}
