package follower

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// leader is a nameserver's side of the story: what it answers now.
type leader struct {
	mu    sync.Mutex
	text  string
	ttl   time.Duration
	err   error
	asked int
}

func (l *leader) say(text string, ttl time.Duration) { l.set(text, ttl, nil) }
func (l *leader) fail()                              { l.set("", 0, errors.New("no answer")) }

func (l *leader) set(text string, ttl time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text, l.ttl, l.err = text, ttl, err
}

func (l *leader) Text(context.Context, string, string) ([]string, time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return []string{"v=spf1 -all", l.text}, l.ttl, l.err
}

func (l *leader) questions() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// trail is what a follower did.
type trail struct {
	mu     sync.Mutex
	led    []string
	events []Event
}

func (tr *trail) lead(origin string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.led = append(tr.led, origin)
}

func (tr *trail) event(e Event) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.events = append(tr.events, e)
}

func (tr *trail) told() (led []string, events []Event) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.led), slices.Clone(tr.events)
}

func (tr *trail) now() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.led) == 0 {
		return ""
	}
	return tr.led[len(tr.led)-1]
}

func (tr *trail) lastErr() error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.events) == 0 {
		return nil
	}
	return tr.events[len(tr.events)-1].Err
}

func start(t *testing.T, id string, text func(context.Context, string, string) ([]string, time.Duration, error)) (*Follower, *trail) {
	t.Helper()
	return startWith(t, Config{ID: id, Text: text})
}

// startWith is start with what cfg says.
func startWith(t *testing.T, cfg Config) (*Follower, *trail) {
	t.Helper()
	tr := &trail{}
	cfg.Server, cfg.Name, cfg.Origins = "192.0.2.1:53", "shop.failover.example.", []string{"eu", "us"}
	cfg.Lead, cfg.OnEvent = tr.lead, tr.event
	f := New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = f.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return f, tr
}

// pass lets time go by, and a little more, so that what happens at its end has
// happened.
func pass(d time.Duration) {
	time.Sleep(d + time.Millisecond)
	synctest.Wait()
}

func TestThePointerIsReadByItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &leader{text: "target=eu generation=7 since=x reason=start", ttl: 5 * time.Second}
		f, tr := start(t, "me", l.Text)
		pass(0)
		if tr.now() != "eu" || len(f.Via()) != 1 {
			t.Fatalf("led to %q by way of %v", tr.now(), f.Via())
		}
		l.say("target=us generation=8 via=b,c", 5*time.Second)
		pass(4 * time.Second)
		if tr.now() != "eu" || l.questions() != 1 {
			t.Fatalf("asked %d times before the TTL was over", l.questions())
		}
		pass(time.Second)
		if tr.now() != "us" || l.questions() != 2 {
			t.Fatalf("led to %q after %d questions", tr.now(), l.questions())
		}
		if got := strings.Join(f.Via(), ","); got != "me,b,c" {
			t.Errorf("via %s, want me,b,c", got)
		}
		pass(time.Minute)
		if led, events := tr.told(); len(led) != 2 || len(events) != 2 {
			t.Errorf("what stayed was told again: %v, %v", led, events)
		}
	})
}

// A TTL of 0 asks once a second, one of a year every five minutes.
func TestQuestionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick := &leader{text: "target=eu generation=1", ttl: 0}
		slow := &leader{text: "target=eu generation=1", ttl: 365 * 24 * time.Hour}
		start(t, "a", quick.Text)
		start(t, "b", slow.Text)
		pass(10 * time.Minute)
		if quick.questions() != 601 || slow.questions() != 3 {
			t.Errorf("asked %d and %d times in ten minutes, want 601 and 3", quick.questions(), slow.questions())
		}
	})
}

func TestAnAnswerHoldsForThreeTTLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &leader{text: "target=us generation=1", ttl: 10 * time.Second}
		f, tr := start(t, "me", l.Text)
		pass(0)
		l.fail()
		pass(29 * time.Second)
		if tr.now() != "us" {
			t.Fatalf("led to %q within three TTLs", tr.now())
		}
		pass(time.Second)
		if tr.now() != "" || !errors.Is(tr.lastErr(), ErrStale) {
			t.Fatalf("led to %q with error %v after three TTLs", tr.now(), tr.lastErr())
		}
		pass(time.Hour)
		if _, events := tr.told(); len(events) != 2 {
			t.Errorf("told %d times: %v", len(events), events)
		}
		l.say("target=us generation=1", 10*time.Second)
		pass(10 * time.Second)
		if tr.now() != "us" || tr.lastErr() != nil || len(f.Via()) != 1 {
			t.Errorf("led to %q when the answer was back", tr.now())
		}
	})
}

func TestWithoutAnyAnswerTheGroupIsOnItsOwnAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &leader{err: errors.New("no answer")}
		_, tr := start(t, "me", l.Text)
		pass(4 * time.Second)
		if led, _ := tr.told(); !slices.Equal(led, []string{""}) || !errors.Is(tr.lastErr(), ErrStale) {
			t.Errorf("led %q, error %v", led, tr.lastErr())
		}
	})
}

// Who led the group before may have led it for long: silence at the beginning
// takes it away no sooner than later, and an answer in time not at all.
func TestALeadFromBeforeHoldsForThreeTTLs(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{name: "silence"},
		{name: "an answer that is the same", text: "target=us generation=1", want: "us"},
		{name: "an answer that is another one", text: "target=eu generation=2", want: "eu"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &leader{err: errors.New("no answer")}
				_, tr := startWith(t, Config{ID: "me", Text: l.Text, TTL: 10 * time.Second})
				pass(29 * time.Second)
				if led, events := tr.told(); led != nil || events != nil {
					t.Fatalf("within three TTLs led to %q, told %v", led, events)
				}
				if n := l.questions(); n < 29 {
					t.Errorf("asked %d times in 29 s, though nothing was known", n)
				}
				if tt.text != "" {
					l.say(tt.text, 10*time.Second)
				}
				pass(time.Second)
				if led, _ := tr.told(); !slices.Equal(led, []string{tt.want}) {
					t.Errorf("after three TTLs led to %q, want once to %q", led, tt.want)
				}
			})
		})
	}
}

func TestWhatCanNotBeFollowedIsNot(t *testing.T) {
	tests := []struct {
		text string
		want error
	}{
		{"target=asia generation=2", ErrNoTarget},
		{"target=none generation=2", ErrNoTarget},
		{"target= generation=2", ErrNoTarget},
		{"generation=2", ErrMalformed},
		{"target=eu generation=-2", ErrMalformed},
		{"target=eu generation=2 via=b,me,c", ErrLoop},
		{"target=eu generation=2 via=" + strings.Repeat("x,", 15) + "x", ErrTooLong},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			l := &leader{text: "target=us generation=1", ttl: time.Second}
			_, tr := start(t, "me", l.Text)
			pass(0)
			l.say(tt.text, time.Second)
			pass(time.Second)
			if tr.now() != "" || !errors.Is(tr.lastErr(), tt.want) {
				t.Errorf("%s: led to %q, error %v, want %v", tt.text, tr.now(), tr.lastErr(), tt.want)
			}
		})
	}
}

func TestTwoPointersInOneAnswerAreNone(t *testing.T) {
	if _, err := readAnswer([]string{"target=eu", "target=us"}); !errors.Is(err, ErrMalformed) {
		t.Errorf("error %v", err)
	}
}

// member answers as a nameserver whose group follows would.
func member(f **Follower, tr **trail, ttl time.Duration) func(context.Context, string, string) ([]string, time.Duration, error) {
	return func(context.Context, string, string) ([]string, time.Duration, error) {
		target := (*tr).now()
		if target == "" {
			target = "eu" // its own verdicts say so
		}
		return []string{"target=" + target + " generation=1 via=" + strings.Join((*f).Via(), ",")}, ttl, nil
	}
}

// Rings of any length settle: one stays out, the others follow it, and nothing
// moves any more.
func TestARingOfFollowersIsBrokenInOnePlace(t *testing.T) {
	for size := 1; size <= 5; size++ {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				followers, trails := make([]*Follower, size), make([]*trail, size)
				asks := make([]func(context.Context, string, string) ([]string, time.Duration, error), size)
				for i := range size {
					asks[i] = member(&followers[i], &trails[i], time.Second)
				}
				for i := range size {
					trails[i] = &trail{}
					followers[i] = New(Config{
						ID: string("cdaeb"[i]), Origins: []string{"eu", "us"},
						Text: asks[(i+1)%size], Lead: trails[i].lead, OnEvent: trails[i].event,
					})
				}
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				defer func() { cancel(); wg.Wait() }()
				for _, f := range followers {
					wg.Go(func() { _ = f.Run(ctx) })
				}
				pass(5 * time.Minute)
				var before []int
				for _, tr := range trails {
					_, events := tr.told()
					before = append(before, len(events))
				}
				pass(time.Hour)
				var alone []string
				for i, tr := range trails {
					if _, events := tr.told(); len(events) != before[i] {
						t.Errorf("follower %d did not settle: %v", i, events)
					}
					if tr.now() == "" {
						alone = append(alone, followers[i].cfg.ID)
						if !errors.Is(tr.lastErr(), ErrLoop) {
							t.Errorf("follower %d stays out because of %v", i, tr.lastErr())
						}
					}
				}
				if len(alone) != 1 {
					t.Errorf("out of the ring: %v, want one", alone)
				}
			})
		})
	}
}

// When the ring is opened elsewhere, the one that stayed out follows again.
func TestWhoStayedOutComesBackWhenTheRingIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &leader{text: "target=us generation=1 via=b,a", ttl: time.Second}
		_, tr := start(t, "a", l.Text)
		pass(0)
		l.say("target=us generation=1 via=b", time.Second)
		pass(8 * time.Second)
		if tr.now() != "" {
			t.Fatal("back before news could have come around")
		}
		pass(2 * time.Second)
		if tr.now() != "us" {
			t.Errorf("led to %q, want us", tr.now())
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	f.Add("target=eu generation=7 since=2026-01-01T00:00:00Z reason=pin via=a,b")
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := readAnswer([]string{text}); err == nil && !strings.HasPrefix(text, "target=") {
			t.Errorf("%q is no pointer, yet %+v", text, a)
		}
	})
}
