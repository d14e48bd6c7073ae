package suite

import (
	"fmt"
	"syscall"
	"time"
)

// ShowPair puts the files of one of the site's two certificates in place: 0 is
// the one of the start.
func ShowPair(i int) Action {
	return Action{fmt.Sprintf("certificate %d is put in place", i), func(s *Stage) error {
		s.mark(fmt.Sprintf("certificate %d", i))
		return s.site.show(i)
	}}
}

// BreakPair puts the certificate of one beside the key of the other.
func BreakPair(cert, key int) Action {
	return Action{fmt.Sprintf("certificate %d is put beside the key of %d", cert, key), func(s *Stage) error {
		s.mark("broken pair")
		text, _, err := s.site.pairs[cert].Pair()
		if err != nil {
			return err
		}
		_, other, err := s.site.pairs[key].Pair()
		if err != nil {
			return err
		}
		return s.site.write(text, other)
	}}
}

// Shows waits until new clients are shown one of the site's certificates.
func Shows(i int, limit time.Duration) Action {
	return Action{fmt.Sprintf("certificate %d is shown within %v", i, limit), func(s *Stage) error {
		var failed error
		err := s.await(limit, "the certificate to be shown", func() bool {
			shown, err := s.site.shown()
			failed = err
			return err == nil && shown == i
		})
		if failed != nil {
			return failed
		}
		return err
	}}
}

// ShowsStill holds that twenty new clients in a row are shown this certificate.
func ShowsStill(i int) Action {
	return Action{fmt.Sprintf("certificate %d is still shown", i), func(s *Stage) error {
		for range 20 {
			if shown, err := s.site.shown(); err != nil || shown != i {
				return fmt.Errorf("certificate %d was, %w", shown, err)
			}
		}
		return nil
	}}
}

// ReloadInVain sends SIGHUP and waits until the log says why the configuration
// at work stays.
func ReloadInVain() Action {
	const told = "not reloaded, the configuration at work stays"
	return Action{"a reload that is refused", func(s *Stage) error {
		n := len(s.journal.find(told, nil))
		s.mark("reload in vain")
		if err := s.proxy.signal(syscall.SIGHUP); err != nil {
			return err
		}
		return s.await(patience, "the reload to be refused", func() bool { return len(s.journal.find(told, nil)) > n })
	}}
}
