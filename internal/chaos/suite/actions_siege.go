package suite

import (
	"context"
	"fmt"
	"slices"
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

// Beaten waits until the proxy has ended n connections of the siege, and fails if
// one of them lasted longer than limit or was answered with a status that is not
// among these; "" is none.
func Beaten(n int, limit time.Duration, statuses ...string) Action {
	return Action{fmt.Sprintf("%d hostile connections are ended within %v", n, limit), func(s *Stage) error {
		if err := s.await(patience, "the end of hostile connections", func() bool { return len(s.siege.Ended()) >= n }); err != nil {
			return err
		}
		for _, lasted := range s.siege.Ended() {
			if lasted > limit+s.lost.Allowance() {
				return late("one lasted %v", lasted)
			}
		}
		for status := range s.siege.Answers() {
			if !slices.Contains(statuses, status) {
				return fmt.Errorf("they were answered with %v", s.siege.Answers())
			}
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
