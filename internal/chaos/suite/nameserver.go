package suite

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// pointed is an answer about the pointer over DNS.
type pointed struct {
	asked, came time.Time
	target      string
	generation  uint64
}

// askPointer asks for the TXT record of the group shop on a connected socket.
func askPointer(nc net.Conn, id uint16) (pointed, error) {
	query := dnswire.Message{ID: id, Questions: []dnswire.Question{{Name: shopName, Type: dnswire.TypeTXT, Class: dnswire.ClassIN}}}
	text, err := query.Append(nil)
	if err != nil {
		return pointed{}, err
	}
	p := pointed{asked: time.Now()}
	_ = nc.SetDeadline(p.asked.Add(patience))
	if _, err := nc.Write(text); err != nil {
		return p, err
	}
	buf := make([]byte, dnswire.MaxUDPSize)
	n, err := nc.Read(buf)
	p.came = time.Now()
	if err != nil {
		return p, err
	}
	var m dnswire.Message
	if err := dnswire.Parse(buf[:n], &m); err != nil {
		return p, err
	}
	if m.ID != id || m.Rcode != dnswire.RcodeSuccess || len(m.Answer) != 1 || len(m.Answer[0].Text) != 1 {
		return p, fmt.Errorf("no answer about %s: %+v", shopName, m)
	}
	for word := range strings.FieldsSeq(m.Answer[0].Text[0]) {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "target":
			p.target = value
		case "generation":
			p.generation, err = strconv.ParseUint(value, 10, 64)
		}
	}
	return p, err
}

// AskedByDNS asks for the pointer over DNS all the time, until [Finish] of
// "queries": then each answer to a query of later than limit after a flip must
// tell of it, until the next one.
func AskedByDNS(limit time.Duration) Action {
	return Meanwhile("queries", func(s *Stage, stop <-chan struct{}) error {
		nc, err := net.Dial("udp", s.dns)
		if err != nil {
			return err
		}
		defer func() { _ = nc.Close() }()
		var all []pointed
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for id := uint16(1); !stopped(stop); id++ {
			p, err := askPointer(nc, id)
			if err != nil {
				return err
			}
			all = append(all, p)
			<-pace.C
		}
		return s.inTime(all, limit)
	})
}

// inTime holds answers against the pointer's flips. The log's times are whole
// milliseconds.
func (s *Stage) inTime(all []pointed, limit time.Duration) error {
	flips := s.journal.flips()
	if len(flips) == 0 {
		return fmt.Errorf("the pointer never moved")
	}
	for i, f := range flips {
		from, to, told := f.Time.Add(limit+s.lost.Allowance()), time.Now(), 0
		if i+1 < len(flips) {
			to = flips[i+1].Time.Add(-2 * time.Millisecond)
		}
		for _, p := range all {
			if p.target == f.To && p.generation == f.Generation {
				if told++; p.came.Before(f.Time.Add(-2 * time.Millisecond)) {
					return fmt.Errorf("generation %d was answered %v before it was there", f.Generation, f.Time.Sub(p.came))
				}
			} else if p.asked.After(from) && p.came.Before(to) {
				return late("%v after the flip to %s the answer was %s, generation %d", p.asked.Sub(f.Time), f.To, p.target, p.generation)
			}
		}
		if told < 5 {
			return fmt.Errorf("%d answers of %d told of the flip to %s", told, len(all), f.To)
		}
	}
	return nil
}
