package nameserver

import (
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// The answer after Update is the new one; without Update it stays. The serial
// grows with each flip and change of addresses, and with nothing else.
func TestUpdateShowsInTheNextAnswerAndTheSerialGrows(t *testing.T) {
	world := newWorld()
	s := world.server(t)
	serial := func(now time.Time) uint32 {
		m := ask(t, s, question("failover.example.", dnswire.TypeSOA), now)
		return m.Answer[0].SOA.Serial
	}
	first := func() string {
		m := ask(t, s, question("shop.failover.example.", dnswire.TypeA), start)
		return m.Answer[0].Addr.String()
	}
	if got := serial(start); got != uint32(start.Unix()) {
		t.Errorf("the first serial is %d, want the time, %d", got, start.Unix())
	}
	world.set(func() { world.pointer.Target, world.pointer.Generation = "us", 8 })
	if got := first(); got != "192.0.2.1" {
		t.Errorf("without Update the answer became %s", got)
	}
	steps := []struct {
		name   string
		change func()
		now    time.Time
		want   uint32
	}{
		{"a flip in the same second", func() {}, start, uint32(start.Unix()) + 1},
		{"nothing", func() {}, start, uint32(start.Unix()) + 1},
		{"another order of addresses", func() { world.addrs["eu"] = addrsOf("192.0.2.2", "2001:db8::1", "192.0.2.1") }, start, uint32(start.Unix()) + 1},
		{"another address", func() { world.addrs["eu"] = addrsOf("192.0.2.3") }, start, uint32(start.Unix()) + 2},
		{"a flip and back, later", func() { world.pointer.Generation += 2 }, start.Add(time.Hour), uint32(start.Unix()) + 3600},
	}
	for _, step := range steps {
		world.set(step.change)
		s.Update()
		if got := serial(step.now); got != step.want {
			t.Errorf("%s: serial %d, want %d", step.name, got, step.want)
		}
	}
	if got := first(); got != "192.0.2.9" {
		t.Errorf("after the flip the answer is %s", got)
	}
}

func TestSerialsGrowPastTheirEnd(t *testing.T) {
	tests := []struct {
		serial uint32
		now    int64
		want   uint32
	}{
		{1795000000, 1795000009, 1795000009},
		{1795000000, 1795000000, 1795000001},
		{1795000009, 1795000000, 1795000010},
		{1<<32 - 1, 1<<32 - 1, 0},
		{1<<32 - 1, 1<<32 + 5, 5},
	}
	for _, tt := range tests {
		if got := nextSerial(tt.serial, time.Unix(tt.now, 0)); got != tt.want {
			t.Errorf("nextSerial(%d, %d) = %d, want %d", tt.serial, tt.now, got, tt.want)
		}
	}
}

// The first serial is the time also when that has its highest bit set, as from
// 2038 on.
func TestTheFirstSerialIsTheTime(t *testing.T) {
	for _, year := range []int{2026, 2040, 2105} {
		now := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		m := ask(t, newWorld().server(t), question("failover.example.", dnswire.TypeSOA), now)
		if got := m.Answer[0].SOA.Serial; got != uint32(now.Unix()) {
			t.Errorf("in %d it is %d, want %d", year, got, uint32(now.Unix()))
		}
	}
}
