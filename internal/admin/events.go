package admin

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/internal/adminapi"
)

const (
	usualEvents = 100
	piece       = 100 // events that are sent at once
)

// events lists them, newest first, or streams them where the client accepts that.
func (s *Server) events(c *call) {
	limit, refused := c.limit(0, Kept)
	if refused != nil {
		c.refuse(refused)
		return
	}
	since, given, refused := c.since()
	if refused != nil {
		c.refuse(refused)
		return
	}
	if c.wantsStream() {
		s.streamEvents(c, since, given, limit)
		return
	}
	if limit == 0 {
		limit = usualEvents
	}
	wanted := c.filter()
	c.answer(http.StatusOK, s.cfg.Events.Latest(limit, func(e *adminapi.Event) bool {
		return wanted.wants(e) && (!given || e.Seq > since)
	}))
}

// filter says which events were asked for.
type filter struct {
	kinds           []string // of any if there is none
	group           string   // "": of any
	origins, routes []string // those of the group
}

// filter is what the query asks for.
func (c *call) filter() *filter {
	f := &filter{kinds: c.query["kind"], group: c.param("group")}
	f.look(c.server.cfg.Backend)
	return f
}

// look finds the origins and the routes of the group, whose events are its own as
// well: a reload may have changed them.
func (f *filter) look(b Backend) {
	if f.group == "" {
		return
	}
	f.origins, f.routes = nil, nil
	s := b.Status()
	for i := range s.Groups {
		if g := &s.Groups[i]; g.Name == f.group {
			f.origins = []string{g.Primary}
			if g.Secondary != "" {
				f.origins = append(f.origins, g.Secondary)
			}
		}
	}
	for i := range s.Routes {
		if r := &s.Routes[i]; r.Group == f.group {
			f.routes = append(f.routes, r.Name)
		}
	}
}

// wants reports whether an event is of a kind and a group that were asked for. A
// breaker's event is its route's.
func (f *filter) wants(e *adminapi.Event) bool {
	if len(f.kinds) > 0 && !slices.Contains(f.kinds, e.Kind) {
		return false
	}
	switch {
	case f.group == "":
		return true
	case e.Group != "":
		return e.Group == f.group
	case e.Route != "":
		return slices.Contains(f.routes, e.Route)
	}
	return e.Origin != "" && slices.Contains(f.origins, e.Origin)
}

// since is the event that the client has seen last: what it says when it
// reconnects is newer than what stands in its URL.
func (c *call) since() (seq uint64, given bool, refused *Refused) {
	text, name := c.r.Header.Get("Last-Event-ID"), "Last-Event-ID"
	if text == "" {
		text, name = c.param("since"), "since"
	}
	if text == "" {
		return 0, false, nil
	}
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, false, badRequest(fmt.Sprintf("%s must be the number of an event (seq), not %q", name, printable(text, 32)))
	}
	return seq, true, nil
}

// wantsStream reports whether Accept names the type of server-sent events.
func (c *call) wantsStream() bool {
	for accepted := range strings.SplitSeq(strings.Join(c.r.Header.Values("Accept"), ","), ",") {
		if kind, _, err := mime.ParseMediaType(accepted); err == nil && kind == "text/event-stream" {
			return true
		}
	}
	return false
}

// streamEvents sends what came after since and goes on with what comes. Where
// nothing is said of since, it begins with the last ones, as many as limit.
func (s *Server) streamEvents(c *call, since uint64, given bool, limit int) {
	st := c.openStream()
	if st == nil {
		return
	}
	defer st.release()
	woken, stop := s.cfg.Events.Watch()
	defer stop()
	wanted := c.filter()
	f := feed{journal: s.cfg.Events, wants: wanted.wants, reloaded: func() { wanted.look(s.cfg.Backend) }, at: since}
	if !given {
		f.begin(st, limit)
	}
	for {
		more, ok := f.send(st)
		if !ok || !st.flush() {
			return
		}
		if more {
			continue
		}
		beat, on := st.wait(woken, nil)
		if !on {
			return
		}
		if beat {
			st.comment("still here")
		}
	}
}

// feed is a stream's place in the journal.
type feed struct {
	journal  *Journal
	wants    func(*adminapi.Event) bool
	reloaded func() // is called behind an event of a reload
	at       uint64 // the last event that was sent, or passed over
	caughtUp bool   // it has been at the newest event
}

// begin starts at the newest event, with the last ones before it, as many as limit.
func (f *feed) begin(st *stream, limit int) {
	f.at, f.caughtUp = f.journal.Last(), true
	last := f.journal.Latest(limit, func(e *adminapi.Event) bool { return f.wants(e) && e.Seq <= f.at })
	for _, e := range slices.Backward(last) {
		f.add(st, e)
	}
}

// send adds the next events to the stream, and says whether there are more. What
// a reader missed before it came is told and passed over. One that falls so far
// behind while it is here that events are lost is dropped: not ok.
func (f *feed) send(st *stream) (more, ok bool) {
	events, lost := f.journal.Since(f.at, piece)
	if lost > 0 && f.caughtUp {
		st.comment(fmt.Sprintf("events came faster than they were read, and %d are no longer kept: resume with Last-Event-ID %d", lost, f.at))
		st.flush()
		return false, false
	}
	if lost > 0 {
		st.comment(fmt.Sprintf("%d events are no longer kept", lost))
	}
	for _, e := range events {
		if f.at = e.Seq; f.wants(&e) {
			f.add(st, e)
		}
		if e.Kind == "reload" && f.reloaded != nil {
			f.reloaded()
		}
	}
	more = len(events) == piece
	f.caughtUp = f.caughtUp || !more
	return more, true
}

func (f *feed) add(st *stream, e adminapi.Event) {
	data, err := json.Marshal(e)
	if err != nil {
		st.c.server.fault(err)
		return
	}
	st.event(e.Seq, "event", data)
}
