package suite

import (
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Flap takes an origin down and up again for half of the period each, until it is
// mended: Mend(origin, "flapping").
func Flap(origin string, period time.Duration) Action {
	return Action{fmt.Sprintf("%s flaps with a period of %v", origin, period), func(s *Stage) error {
		s.beginFault(origin, "flapping")
		s.mark(origin + " flaps")
		return chaos.Flapping(period).Begin(s.origins[origin], healthPath)
	}}
}

// Together does several things as one step, one right after the other.
func Together(actions ...Action) Action {
	texts := make([]string, len(actions))
	for i, a := range actions {
		texts[i] = a.Text
	}
	return Action{"at once: " + strings.Join(texts, "; "), func(s *Stage) error {
		for _, a := range actions {
			if err := a.Do(s); err != nil {
				return err
			}
		}
		return nil
	}}
}
