package suite

import "fmt"

// task is work beside the steps.
type task struct {
	stop chan struct{}
	done chan struct{}
	err  error // valid after done
}

// Meanwhile begins work that goes on beside the steps which follow, until [Finish].
// It returns soon after stop is closed, or when it is done.
func Meanwhile(name string, work func(s *Stage, stop <-chan struct{}) error) Action {
	return Action{name + " begin", func(s *Stage) error {
		t := &task{stop: make(chan struct{}), done: make(chan struct{})}
		if s.tasks == nil {
			s.tasks = make(map[string]*task)
		}
		s.tasks[name] = t
		s.mark(name + " begin")
		go func() {
			defer close(t.done)
			t.err = work(s, t.stop)
		}()
		s.later(func() { _ = s.finish(name) })
		return nil
	}}
}

// Finish ends what [Meanwhile] began, and fails if that did.
func Finish(name string) Action {
	return Action{name + " end", func(s *Stage) error { return s.finish(name) }}
}

// Await waits until what [Meanwhile] began ends by itself, and fails if that did.
func Await(name string) Action {
	return Action{name + " end by themselves", func(s *Stage) error {
		t := s.tasks[name]
		over := func() bool {
			select {
			case <-t.done:
				return true
			default:
				return false
			}
		}
		if err := s.await(2*patience, name+" to end", over); err != nil {
			return err
		}
		return s.finish(name)
	}}
}

func (s *Stage) finish(name string) error {
	t := s.tasks[name]
	if t == nil {
		return nil
	}
	delete(s.tasks, name)
	close(t.stop)
	<-t.done
	if t.err != nil {
		return fmt.Errorf("%s: %w", name, t.err)
	}
	return nil
}

// stopped reports whether a task is to end.
func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
