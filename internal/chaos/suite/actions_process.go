package suite

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/fairlead/fairlead/internal/statefile"
)

// Drain ends the proxy with SIGTERM, waits until it is gone and starts it again
// at the same address. It marks "SIGTERM", "gone" and "started again".
func Drain() Action {
	return Action{"the proxy is drained and started again", func(s *Stage) error {
		s.mark("SIGTERM")
		if err := s.proxy.drain(); err != nil {
			return err
		}
		s.mark("gone")
		return s.startAgain(func(*Stage) error { return nil })
	}}
}

// Upgrade sends SIGUSR2 and waits until another process has taken over and the
// old one, which finishes what it has in flight, is gone.
func Upgrade() Action {
	return Action{"upgrade", func(s *Stage) error {
		const done, over = "the new process has taken over, this one drains", "stopped"
		handed, stopped := len(s.journal.find(done, nil)), len(s.journal.find(over, nil))
		s.mark("upgrade")
		if err := s.proxy.signal(sigusr2); err != nil {
			return err
		}
		if err := s.await(patience, "another process", func() bool { return len(s.journal.find(done, nil)) > handed }); err != nil {
			return err
		}
		heir, err := os.FindProcess(s.journal.find(done, nil)[handed].PID)
		if err != nil {
			return err
		}
		s.proxy.heir.Store(heir)
		return s.await(patience, "the end of the old process", func() bool { return len(s.journal.find(over, nil)) > stopped })
	}}
}

// Misconfigure puts a configuration with a mistake in the file's place and sends a
// signal, waits for what the log must say of it, and puts the good one back.
func Misconfigure(sig os.Signal, says string) Action {
	return Action{fmt.Sprintf("%v with a broken configuration", sig), func(s *Stage) error {
		n := len(s.journal.find(says, nil))
		good, err := os.ReadFile(s.configFile())
		if err != nil {
			return err
		}
		if err := os.WriteFile(s.configFile(), append(good, "\n[groups.shop]\nnonsense = 1\n"...), 0o600); err != nil {
			return err
		}
		s.mark("broken configuration")
		if err := s.proxy.signal(sig); err != nil {
			return err
		}
		err = s.await(patience, says, func() bool { return len(s.journal.find(says, nil)) > n })
		return errors.Join(err, os.WriteFile(s.configFile(), good, 0o600))
	}}
}

// Reconfigure changes the configuration as [Reload] does, for one whose log nobody
// reads: that it is at work is seen in the admin API.
func Reconfigure(text string, change func(*Setup)) Action {
	return Action{text, func(s *Stage) error {
		before, err := s.admin.status()
		if err != nil {
			return err
		}
		sc := *s.scenario // the table is not changed
		change(&sc.Setup)
		s.scenario = &sc
		if err := s.configure(); err != nil {
			return err
		}
		s.mark(text)
		if err := s.proxy.signal(syscall.SIGHUP); err != nil {
			return err
		}
		return s.await(patience, "the reload", func() bool {
			now, err := s.admin.status()
			return err == nil && now.Config.Fingerprint != before.Config.Fingerprint
		})
	}}
}

// stateFile is where scenarios with a state file keep it, and withState the key.
const (
	stateFile = "/state"
	withState = "state = \"$DIR" + stateFile + "\"\n"
)

// Kept waits until the state file has the pointer's last move, to an origin.
func Kept(origin string) Action { return KeptIn(stateFile, origin) }

// KeptIn is [Kept] of a state file elsewhere in the stage's folder.
func KeptIn(path, origin string) Action {
	return Action{"the state file says " + origin, func(s *Stage) error {
		return s.await(patience, "the state of "+origin, func() bool {
			kept, err := statefile.Load(s.dir + path)
			flips := s.journal.flips()
			return err == nil && len(kept.Groups) == 1 && kept.Groups[0].Target == origin &&
				(len(flips) == 0 || kept.Groups[0].Generation >= flips[len(flips)-1].Generation)
		})
	}}
}

// StaysIn holds a state file to be whole, and to say what it did before the last flip.
func StaysIn(path, origin string) Action {
	return Action{"the state file still says " + origin, func(s *Stage) error {
		kept, err := statefile.Load(s.dir + path)
		if err != nil {
			return err
		}
		if len(kept.Groups) != 1 || kept.Groups[0].Target != origin {
			return fmt.Errorf("it says %+v", kept.Groups)
		}
		return nil
	}}
}

// rewrite changes what the state file says of the group.
func rewrite(change func(kept *statefile.Snapshot, g *statefile.Group)) func(*Stage) error {
	return func(s *Stage) error {
		kept, err := statefile.Load(s.dir + stateFile)
		if err != nil {
			return err
		}
		change(&kept, &kept.Groups[0])
		return statefile.Save(s.dir+stateFile, kept)
	}
}
