package admin

import (
	"fmt"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// What a drill is without further words, and how long it lasts at most.
const (
	usualShare  = 0.05
	usualStopAt = 0.01
	usualDrill  = "1m"
	longDrill   = time.Hour
)

func (s *Server) startDrill(c *call) {
	var r adminapi.DrillRequest
	if refused := c.readDrill(&r); refused != nil {
		c.refuse(refused)
		return
	}
	detail := []string{fmt.Sprintf("share %v", r.Share), fmt.Sprintf("stop at %v", r.StopAt), "for " + r.For}
	if r.Reason != "" {
		detail = append(detail, "reason "+r.Reason)
	}
	group, err := s.cfg.Backend.StartDrill(c.name, r, c.asker.by)
	c.changed("start_drill", details(r.Change, detail...), group, err)
}

// stopDrill takes no document: a drill may be stopped whatever the asker has seen.
func (s *Server) stopDrill(c *call) {
	group, err := s.cfg.Backend.StopDrill(c.name, c.asker.by)
	c.changed("stop_drill", "", group, err)
}

// readDrill takes a drill's document, checks what is no matter of the group and
// fills in what was left out.
func (c *call) readDrill(r *adminapi.DrillRequest) *Refused {
	if refused := c.read(r); refused != nil {
		return refused
	}
	if r.Share == 0 {
		r.Share = usualShare
	}
	if r.StopAt == 0 {
		r.StopAt = usualStopAt
	}
	if r.For == "" {
		r.For = usualDrill
	}
	switch d, err := time.ParseDuration(r.For); {
	case r.Share < 0 || r.Share > 1:
		return badRequest(fmt.Sprintf(`"share" must be above 0 and at most 1, not %v: 0.05 is one request in twenty`, r.Share))
	case r.StopAt < 0 || r.StopAt > 1:
		return badRequest(fmt.Sprintf(`"stop_at" must be above 0 and at most 1, not %v: 0.01 is one more error in a hundred requests`, r.StopAt))
	case err != nil || d < time.Second || d > longDrill:
		return badRequest(fmt.Sprintf(`"for" must be a duration from 1s to %v such as 5m, not %q`, longDrill, printable(r.For, 32)))
	}
	return checkReason(r.Reason)
}
