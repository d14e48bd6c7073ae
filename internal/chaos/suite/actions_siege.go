package suite

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Besiege lays a siege of hostile clients, which carry no id and stand in no
// ledger, and waits until all of them have come. It goes on until [Relieve].
func Besiege(a chaos.Attack) Action {
	return Action{fmt.Sprintf("%d %s", a.Conns, a.Hostile.Name), func(s *Stage) error {
		a.Address = s.listen
		siege := a.Start(context.Background())
		s.later(siege.Stop)
		s.siege = siege
		s.mark("siege")
		return s.await(patience, "the siege", func() bool { return siege.Opened() >= a.Conns })
	}}
}

// Beaten waits until the proxy has ended as many connections of the siege as the
// answers say, by status ("" is none), and fails if one of them lasted longer than
// limit or the answers are others.
func Beaten(limit time.Duration, answers map[string]int) Action {
	n := 0
	for _, count := range answers {
		n += count
	}
	return Action{fmt.Sprintf("%d hostile connections are ended within %v", n, limit), func(s *Stage) error {
		if err := s.await(patience, "the end of hostile connections", func() bool { return len(s.siege.Ended()) >= n }); err != nil {
			return err
		}
		for _, lasted := range s.siege.Ended() {
			if lasted > limit+s.lost.allowance() {
				return late("one lasted %v", lasted)
			}
		}
		if got := s.siege.Answers(); !maps.Equal(got, answers) {
			return fmt.Errorf("they were answered with %v", got)
		}
		return nil
	}}
}

// Relieve ends the siege: whoever still stands there leaves.
func Relieve() Action {
	return Action{"the siege is over", func(s *Stage) error {
		s.siege.Stop()
		s.mark("relieved")
		return nil
	}}
}
