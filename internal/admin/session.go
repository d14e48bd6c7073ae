package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

const (
	sessionLife  = 12 * time.Hour // a shift
	mostSessions = 64
)

// sessions are the browsers that have shown the token. They live in memory
// only; a restart and another token end them.
type sessions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*session // by the sum of the id, so that no id can be found by the time of a lookup; guarded by mu
}

type session struct {
	ends time.Time
	over chan struct{} // closed by a sign-out, or when another took its place
}

// open makes a session. If there are too many, the one that ends first goes.
func (ss *sessions) open(now time.Time) (id string) {
	id = rand.Text() + rand.Text()
	ss.mu.Lock()
	defer ss.mu.Unlock()
	var oldest [sha256.Size]byte
	for key, s := range ss.all {
		if !now.Before(s.ends) {
			ss.endLocked(key)
		} else if o := ss.all[oldest]; o == nil || s.ends.Before(o.ends) {
			oldest = key
		}
	}
	if len(ss.all) >= mostSessions {
		ss.endLocked(oldest)
	}
	if ss.all == nil {
		ss.all = make(map[[sha256.Size]byte]*session)
	}
	ss.all[sha256.Sum256([]byte(id))] = &session{ends: now.Add(sessionLife), over: make(chan struct{})}
	return id
}

// find gives the session of that id, or nil.
func (ss *sessions) find(id string, now time.Time) *session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.all[sha256.Sum256([]byte(id))]; s != nil && now.Before(s.ends) {
		return s
	}
	return nil
}

// end closes the session of that id, if there is one.
func (ss *sessions) end(id string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.endLocked(sha256.Sum256([]byte(id)))
}

func (ss *sessions) endLocked(key [sha256.Size]byte) {
	if s := ss.all[key]; s != nil {
		close(s.over)
		delete(ss.all, key)
	}
}

// cookie carries a session's id; "" takes it away. It can't be marked Secure,
// since there is no TLS here.
func (d *door) cookie(id string) *http.Cookie {
	c := &http.Cookie{Name: d.cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLife / time.Second)}
	if id == "" {
		c.MaxAge = -1
	}
	return c
}
