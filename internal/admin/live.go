package admin

// live streams what a dashboard shows: the status at once, each second, and soon
// after an event; events; and the samples of the charts.
func (s *Server) live(c *call) {
	since, given, refused := c.since()
	if refused != nil {
		c.refuse(refused)
		return
	}
	st := c.openStream()
	if st == nil {
		return
	}
	defer st.release()
	if !st.flush() {
		return
	}
	woken, stop := s.cfg.Events.Watch()
	defer stop()
	wanted := c.filter()
	f := feed{journal: s.cfg.Events, wants: wanted.wants, reloaded: func() { wanted.look(s.cfg.Backend) }, at: since}
	if !given {
		f.begin(st, 0)
	}
	beats, leave := s.pulse.join()
	defer leave()
	var shown view
	shown.begin(s.pulse.now())
	for {
		shown.add(st, s.pulse.now())
		more, ok := f.send(st)
		if !ok || !st.flush() {
			return
		}
		if more {
			continue
		}
		if _, on := st.wait(woken, beats); !on {
			return
		}
	}
}

// view is what a dashboard has been shown.
type view struct {
	n       uint64 // the beat
	samples uint64
	begun   bool
}

// begin passes over the samples that there were before: the page asks for the
// history.
func (v *view) begin(b *beat) {
	if b != nil {
		v.samples, v.begun = b.samples, true
	}
}

// add adds what is new in a beat.
func (v *view) add(st *stream, b *beat) {
	if b == nil || b.n == v.n {
		return
	}
	v.n = b.n
	st.event(0, "status", b.status)
	if !v.begun {
		v.begin(b)
	}
	fresh := min(b.samples-v.samples, uint64(len(b.last)))
	for _, frame := range b.last[uint64(len(b.last))-fresh:] {
		st.event(0, "sample", frame)
	}
	v.samples = b.samples
}
