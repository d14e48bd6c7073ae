package bubble

import (
	"context"
	"flag"
	"net/url"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
)

// TestMain fails the run if a test leaves a goroutine behind. Of random hours
// there are a dozen, unless FAIRLEAD_TEST_FULL is set or -rapid.checks says how many.
func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue && os.Getenv("FAIRLEAD_TEST_FULL") == "" {
		_ = checks.Value.Set("12")
	}
	goleak.VerifyTestMain(m)
}

// probing and pointing are the defaults of the configuration.
var (
	probing = health.Config{
		Interval: 2 * time.Second, Timeout: time.Second, FastInterval: 250 * time.Millisecond, Fall: 3, Rise: 3,
	}
	pointing = failover.PointerConfig{
		HasSecondary: true, FailbackAfter: 30 * time.Second, MinHold: time.Minute, MaxHold: 15 * time.Minute,
	}
)

// settings are what a world is made of.
type settings struct {
	probing  health.Config
	pointing failover.PointerConfig

	primary, secondary schedule      // a nil secondary is one without a check, and healthy
	traffic            time.Duration // between two requests, which fail while the active origin is not up; 0: none
}

// usual has the defaults and two healthy origins.
func usual() settings {
	return settings{probing: probing, pointing: pointing, primary: always(up), secondary: always(up)}
}

// An origin is a fake one with its checker and its seat.
type origin struct {
	fakeOrigin
	checker *health.Checker
	role    failover.Role
}

// A happening is one change of what a checker believes or of where the pointer is.
type happening struct {
	at time.Duration

	role failover.Role // a verdict, on the origin in this role; RoleNone: a flip
	down bool

	from, to failover.State // a flip
}

// A world is a group of two origins with their checkers, in a bubble.
type world struct {
	settings
	group   *failover.Group
	origins map[failover.Role]*origin
	began   time.Time

	judging sync.Mutex // held while a verdict is handed on: two may come in one instant

	mu  sync.Mutex
	all []happening
}

// inWorld runs a world and play beside it.
func inWorld(t *testing.T, s settings, play func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = w.group.Run(ctx) })
		for _, o := range w.origins {
			if o.checker != nil {
				running.Go(func() { _ = o.checker.Run(ctx) })
			}
		}
		if s.traffic > 0 {
			running.Go(func() { w.load(ctx) })
		}
		play(w)
		cancel()
		running.Wait()
		for _, o := range w.origins {
			if open, _ := o.connections(); open != 0 {
				t.Errorf("%d connections of probes of the %s are open at the end", open, o.role)
			}
		}
	})
}

func newWorld(t *testing.T, s settings) *world {
	t.Helper()
	w := &world{settings: s, began: time.Now(), origins: make(map[failover.Role]*origin)}
	w.group = failover.NewGroup(failover.GroupConfig{
		Name: "shop", PointerConfig: s.pointing,
		OnFlip: func(from, to failover.State) { w.note(happening{from: from, to: to}) },
	})
	for role, does := range map[failover.Role]schedule{failover.RolePrimary: s.primary, failover.RoleSecondary: s.secondary} {
		o := &origin{role: role, fakeOrigin: fakeOrigin{began: w.began, does: does}}
		w.origins[role] = o
		if does == nil {
			o.does = always(up)
			continue
		}
		cfg := s.probing
		cfg.Origin, cfg.URL, cfg.Dial = role.String(), &url.URL{Scheme: "http", Host: "origin.test"}, o.dial
		checker, err := health.NewChecker(cfg, func(e health.Event) { w.told(role, e) })
		if err != nil {
			t.Fatal(err)
		}
		o.checker = checker
	}
	return w
}

// told hands verdicts to the group as cmd/fairlead does.
func (w *world) told(role failover.Role, e health.Event) {
	if e.Kind != health.VerdictChanged {
		return
	}
	down := e.To == health.Down
	w.judging.Lock()
	defer w.judging.Unlock()
	w.note(happening{role: role, down: down})
	w.group.Verdict(role, !down)
}

// load sends requests to where the pointer is. One that fails asks for fast probes.
func (w *world) load(ctx context.Context) {
	ticker := time.NewTicker(w.traffic)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		o := w.origins[w.group.Pointer().Target]
		if o != nil && o.checker != nil && !o.now().good() {
			o.checker.Hurry()
		}
	}
}

// since is the time since the world began.
func (w *world) since() time.Duration { return time.Since(w.began) }

// until lets time pass until at, and everything settle.
func (w *world) until(at time.Duration) {
	time.Sleep(at - w.since())
	synctest.Wait()
}

// target is where the pointer is.
func (w *world) target() failover.Role { return w.group.Pointer().Target }

func (w *world) note(h happening) {
	h.at = w.since()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, h)
}

// history returns what has happened so far.
func (w *world) history() []happening {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clip(w.all)
}

// flips returns the moves of the pointer so far.
func (w *world) flips() []happening {
	var flips []happening
	for _, h := range w.history() {
		if h.role == failover.RoleNone {
			flips = append(flips, h)
		}
	}
	return flips
}

// wantFlips wants the pointer to have gone where these words say, in order and
// not elsewhere, each a target and a reason, such as "secondary primary_down".
func (w *world) wantFlips(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, f := range w.flips() {
		got = append(got, f.to.Target.String()+" "+f.to.Reason.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("flips %q, want %q", got, want)
	}
}
