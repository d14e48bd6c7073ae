package certs

import (
	"context"
	"slices"
	"time"

	"github.com/fairlead/fairlead/internal/filestamp"
)

// defaultEvery is how often files are looked at. Looking costs a system call a file.
const defaultEvery = 5 * time.Second

// Watch looks at the files until ctx ends, and reloads them when they have
// changed and two looks in a row found them the same: so a pair is not read
// while one half of it is new. What can't be used is tried again at each
// look. Zero means every 5 s. It blocks; call it once. Configure changes which
// files it looks at.
func (s *Store) Watch(ctx context.Context, every time.Duration) {
	if every <= 0 {
		every = defaultEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.look()
		}
	}
}

// look reloads if the files have settled on something new.
func (s *Store) look() {
	var events []Event
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.stampAllLocked()
	settled := s.last != nil && now.Same(s.last)
	if settled && (s.troubledLocked() || !now.Same(s.stamps)) {
		_ = s.loadLocked(&events) // it is told as events
		s.stamps = now
	}
	s.last = now
	s.remindLocked(&events, time.Now())
	s.tell(events)
}

// stampAllLocked looks at all files.
func (s *Store) stampAllLocked() filestamp.Stamps {
	var files []string
	for _, p := range s.cfg.Pairs {
		files = append(files, p.Cert, p.Key)
	}
	if s.cfg.ClientCA != "" {
		files = append(files, s.cfg.ClientCA)
	}
	return filestamp.Of(files...)
}

// troubledLocked reports whether a file could not be used.
func (s *Store) troubledLocked() bool {
	return s.ca.problem != "" || slices.ContainsFunc(s.pairs, func(p pairState) bool { return p.problem != "" })
}
