package suite

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Fault begins a fault of the table at an origin.
func Fault(origin, name string) Action {
	return Action{fmt.Sprintf("%s: %s", origin, name), func(s *Stage) error {
		f, ok := chaos.FaultByName(name)
		if !ok {
			return fmt.Errorf("there is no fault %s", name)
		}
		s.beginFault(origin, name)
		return f.Begin(s.origins[origin], healthPath)
	}}
}

// Mend ends the fault that an origin has.
func Mend(origin, name string) Action {
	return Action{origin + " is mended", func(s *Stage) error {
		f, ok := chaos.FaultByName(name)
		if !ok {
			return fmt.Errorf("there is no fault %s", name)
		}
		s.endFault(origin)
		s.mark(origin + " mended")
		return f.End(s.origins[origin])
	}}
}

// Behave gives an origin a behaviour for its requests; probes stay well unless a
// path is given for it, such as /healthz.
func Behave(origin string, b chaos.Behaviour, paths ...string) Action {
	return Action{fmt.Sprintf("%s: %s %s", origin, b.Name(), strings.Join(paths, " ")), func(s *Stage) error {
		o := s.origins[origin]
		s.beginFault(origin, b.Name())
		if len(paths) > 0 {
			for _, path := range paths {
				o.SetPath(path, b)
			}
			return nil
		}
		o.SetPath(healthPath, chaos.OK(16))
		o.Set(b)
		return nil
	}}
}

// Well makes an origin behave again, after [Behave].
func Well(origin string, paths ...string) Action {
	return Action{origin + " is well", func(s *Stage) error {
		s.endFault(origin)
		s.mark(origin + " well")
		for _, path := range paths {
			s.origins[origin].ClearPath(path)
		}
		s.origins[origin].Set(chaos.OK(1024))
		return nil
	}}
}

// Unplug takes an origin down, Plug brings it up again.
func Unplug(origin string) Action { return Fault(origin, "connect_refused") }

// Plug is the end of [Unplug].
func Plug(origin string) Action { return Mend(origin, "connect_refused") }

// Served waits until an origin has served n more requests.
func Served(origin string, n int) Action {
	return Action{fmt.Sprintf("%s serves %d requests", origin, n), func(s *Stage) error {
		n := n + s.from(origin)
		return s.await(patience, fmt.Sprintf("requests served by %s", origin), func() bool { return s.from(origin) >= n })
	}}
}

// PointerAt waits until the pointer is at an origin ("": at none), at most for limit.
func PointerAt(origin string, limit time.Duration) Action {
	return Action{fmt.Sprintf("the pointer is at %q within %v", origin, limit), func(s *Stage) error {
		return s.await(limit, "the pointer at "+origin, func() bool { return s.target() == origin })
	}}
}

// target is the origin that the pointer is at, as the log says.
func (s *Stage) target() string {
	if flips := s.journal.flips(); len(flips) > 0 {
		return flips[len(flips)-1].To
	}
	return "eu"
}

// PointerStays holds that the pointer does not move for a time.
func PointerStays(d time.Duration) Action {
	return Action{fmt.Sprintf("the pointer stays for %v", d), func(s *Stage) error {
		n := len(s.journal.flips())
		time.Sleep(d) // that nothing happens can't be awaited
		if flips := s.journal.flips(); len(flips) > n {
			return fmt.Errorf("it moved to %s: %s", flips[n].To, flips[n].Reason)
		}
		return nil
	}}
}

// Verdict waits until an origin's verdict is so, at most for limit.
func Verdict(origin, verdict string, limit time.Duration) Action {
	return Action{fmt.Sprintf("%s is %s within %v", origin, verdict, limit), func(s *Stage) error {
		return s.await(limit, origin+" "+verdict, func() bool {
			v := s.journal.find("verdict", func(l *Line) bool { return l.Origin == origin })
			return len(v) > 0 && v[len(v)-1].To == verdict
		})
	}}
}

// Logged waits until the log has an event of that name.
func Logged(msg string, limit time.Duration) Action {
	return Action{fmt.Sprintf("the log says %q within %v", msg, limit), func(s *Stage) error {
		return s.await(limit, msg, func() bool { return len(s.journal.find(msg, nil)) > 0 })
	}}
}

// Pass lets time pass, in which the load runs.
func Pass(d time.Duration) Action {
	return Action{fmt.Sprintf("%v pass", d), func(*Stage) error {
		time.Sleep(d) // the scenario is about what happens meanwhile
		return nil
	}}
}

// Signal sends a signal to the proxy.
func Signal(sig os.Signal) Action {
	return Action{fmt.Sprintf("the proxy gets %v", sig), func(s *Stage) error {
		s.mark(sig.String())
		return s.proxy.signal(sig)
	}}
}

// Kill ends the proxy with SIGKILL and starts it again at the same address.
func Kill() Action {
	kill := KillAnd("", func(*Stage) error { return nil })
	kill.Text = "the proxy is killed and started again"
	return kill
}

// KillAnd is [Kill] with something done before the new start. It marks "SIGKILL"
// and "started again".
func KillAnd(text string, between func(*Stage) error) Action {
	return Action{"the proxy is killed, " + text + ", and started again", func(s *Stage) error {
		s.mark("SIGKILL")
		s.proxy.kill()
		return s.startAgain(between)
	}}
}

// startAgain starts another process in the place of one that has ended.
func (s *Stage) startAgain(between func(*Stage) error) error {
	s.restarts++
	if err := between(s); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	s.mark("started again")
	return nil
}

// Reload sends SIGHUP and waits until the configuration is at work. Change, if it
// is not nil, changes the setup before.
func Reload(change func(*Setup)) Action {
	return Action{"reload", func(s *Stage) error {
		n := len(s.journal.find("reloaded", nil))
		if change != nil {
			sc := *s.scenario // the table is not changed
			change(&sc.Setup)
			s.scenario = &sc
		}
		if err := s.configure(); err != nil {
			return err
		}
		s.mark("reload")
		if err := s.proxy.signal(syscall.SIGHUP); err != nil {
			return err
		}
		return s.await(patience, "the reload", func() bool { return len(s.journal.find("reloaded", nil)) > n })
	}}
}

// Freeze stops the proxy's process for a time, as a machine does that swaps or
// is moved.
func Freeze(d time.Duration) Action {
	return Action{fmt.Sprintf("the proxy's process stands still for %v", d), func(s *Stage) error {
		s.mark("SIGSTOP")
		if err := s.proxy.signal(sigstop); err != nil {
			return err
		}
		time.Sleep(d) // what is tried
		s.mark("SIGCONT")
		return s.proxy.signal(sigcont)
	}}
}

// Do is an action of a scenario's own.
func Do(text string, do func(*Stage) error) Action { return Action{text, do} }

// Ask sends one request of the scenario's own, which is judged with the others,
// and hands it to check.
func Ask(text string, q chaos.Request, check func(r chaos.Result) error) Action {
	return Action{text, func(s *Stage) error {
		r := s.ask(q)
		if err := check(r); err != nil {
			return fmt.Errorf("%w: %v %q", err, r, r.Text)
		}
		return nil
	}}
}

// ask sends one request on a connection of its own.
func (s *Stage) ask(q chaos.Request) chaos.Result {
	const slowest = 10 << 20 // bytes a second of a long upload
	c := &chaos.Client{Address: s.front(), Timeout: patience + time.Duration(q.BodySize/slowest)*time.Second}
	defer c.Close()
	r := c.Do(context.Background(), q)
	s.own.Add(r)
	return r
}

// AskAll sends many requests at once, each on a connection of its own, waits for
// them and hands their results to check.
func AskAll(text string, n int, q chaos.Request, check func([]chaos.Result) error) Action {
	return Action{text, func(s *Stage) error {
		results := make([]chaos.Result, n)
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() { results[i] = s.ask(q) })
		}
		all.Wait()
		return check(results)
	}}
}

// Repeat is a list of steps, each taken when the one before it is done, n times.
func Repeat(n int, actions ...Action) Action {
	var texts []string
	for _, a := range actions {
		texts = append(texts, a.Text)
	}
	return Action{fmt.Sprintf("%d times: %s", n, strings.Join(texts, "; ")), func(s *Stage) error {
		for range n {
			for _, a := range actions {
				if err := a.Do(s); err != nil {
					return fmt.Errorf("%s: %w", a.Text, err)
				}
			}
		}
		return nil
	}}
}

// Now lists actions as steps without times of their own.
func Now(actions ...Action) (steps []Step) {
	for _, a := range actions {
		steps = append(steps, Step{Do: a})
	}
	return steps
}

// Then joins lists of steps.
func Then(lists ...[]Step) []Step { return slices.Concat(lists...) }
