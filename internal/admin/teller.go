package admin

import (
	"sync"
	"time"
)

// teller hands changes to OnChange, and those who were turned away not more
// often than once a second for each reason, with their number: they may come as
// fast as they like, and a log must not.
type teller struct {
	onChange func(Change)

	mu    sync.Mutex
	aways map[string]*away // by Action, of which there are three; guarded by mu
}

type away struct {
	told  time.Time
	count int
}

func (t *teller) change(c Change) {
	c.Count = 1
	if t.onChange != nil {
		t.onChange(c)
	}
}

func (t *teller) turnedAway(c Change) {
	if t.onChange == nil {
		return
	}
	if c.Count = t.due(c.Action, c.Time); c.Count > 0 {
		t.onChange(c)
	}
}

// due counts one more, and gives their number if they are to be told now, else 0.
func (t *teller) due(action string, now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.aways == nil {
		t.aways = make(map[string]*away)
	}
	a := t.aways[action]
	if a == nil {
		a = &away{}
		t.aways[action] = a
	}
	a.count++
	if now.Sub(a.told) < time.Second {
		return 0
	}
	count := a.count
	a.told, a.count = now, 0
	return count
}
