package suite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// steer asks for a change by hand. Refused is what the answer says if it is not
// 200.
func (a *admin) steer(path string, change any) (status int, refused adminapi.Error, err error) {
	text, err := json.Marshal(change)
	if err != nil {
		return 0, refused, err
	}
	r, err := a.client.Post("http://127.0.0.1"+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return 0, refused, err
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusOK {
		err = json.NewDecoder(r.Body).Decode(&refused)
	}
	return r.StatusCode, refused, err
}

// Steer makes a change by hand, which must be accepted.
func Steer(path string, change any) Action {
	return Action{"by hand: " + path, func(s *Stage) error {
		s.mark(path)
		status, refused, err := s.admin.steer(path, change)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d: %s: %s", status, refused.Code, refused.Text)
		}
		return err
	}}
}

// SteerInVain asks for a change by hand that must be refused with 409 and this
// code, and that moves nothing.
func SteerInVain(path string, change any, code string) Action {
	return Action{fmt.Sprintf("by hand: %s, which is refused: %s", path, code), func(s *Stage) error {
		before, err := s.admin.status()
		if err != nil {
			return err
		}
		status, refused, err := s.admin.steer(path, change)
		if err != nil || status != http.StatusConflict || refused.Code != code || refused.Text == "" {
			return fmt.Errorf("%d, %+v, %w", status, refused, err)
		}
		after, err := s.admin.status()
		if err != nil {
			return err
		}
		if was, is := before.Groups[0].Generation, after.Groups[0].Generation; was != is {
			return fmt.Errorf("the pointer went from generation %d to %d", was, is)
		}
		return nil
	}}
}

// LooksAtAdmin asks the admin listener for the status and the metrics all the
// time, until [Finish] of "looks": each has to be answered within limit, and there
// are to be at least so many.
func LooksAtAdmin(limit time.Duration, least int) Action {
	return Meanwhile("looks", func(s *Stage, stop <-chan struct{}) error {
		n, worst := 0, time.Duration(0)
		pace := time.NewTicker(10 * time.Millisecond)
		defer pace.Stop()
		for ; !stopped(stop); n++ {
			begun := time.Now()
			if _, err := s.admin.status(); err != nil {
				return err
			}
			m, err := s.admin.metrics()
			if err != nil {
				return err
			}
			if m["fairlead_requests_total"] == 0 {
				return fmt.Errorf("the metrics count no request: %d names", len(m))
			}
			worst = max(worst, time.Since(begun))
			<-pace.C
		}
		if worst > limit+s.lost.Allowance() {
			return late("one took %v", worst)
		}
		if n < least {
			return late("there were only %d", n)
		}
		return nil
	})
}
