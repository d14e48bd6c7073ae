package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// Soak is one process under random faults for a long time. The faults, their
// times and the reloads follow from the seed: the same seed gives the same story,
// as far as the machine lets two runs be the same.
//
// It goes in rounds. In a round faults come and go, at either origin or both;
// then all is mended, the pointer must come back to the primary, every request
// must be accounted for by the invariants, and the proxy must hold no more
// than before the first round. The memory of later rounds is held against that
// of the early ones.
type Soak struct {
	Seed  uint64
	Total time.Duration        // of all rounds together, about
	Round time.Duration        // of one round; 0: 20 s
	Say   func(string, ...any) // is told of each round; nil: nobody is
	// Program is the file to run. "": it is built, or the one of [BinaryVariable].
	Program string
}

// soakMix is every sort of request.
var soakMix = []chaos.Shot{
	{Weight: 10, Method: "GET", Path: "/product/"},
	{Weight: 2, Method: "GET", Path: "/large/", WantSize: 300_000},
	{Method: "HEAD", Path: "/product/"},
	{Method: "OPTIONS", Path: "/product/"},
	{Weight: 2, Method: "POST", Path: "/order/", BodySize: 700},
	{Method: "POST", Path: "/upload/", BodySize: 200_000},
	{Method: "PUT", Path: "/upload/", BodySize: 40_000, Chunked: true},
	{Method: "DELETE", Path: "/order/"},
}

// Run soaks and returns what did not hold, with the round in which it did not.
func (k Soak) Run() (requests int, err error) {
	if k.Round == 0 {
		k.Round = 20 * time.Second
	}
	sc := &Scenario{Name: "soak", program: k.Program, Setup: Setup{
		Permits: 60, Route: "bulkhead.max_queue = 20\nbulkhead.queue_timeout = \"300ms\"\n",
	}}
	s, err := openStage(sc)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return 0, err
	}
	var early int64
	for n, begun := 1, time.Now(); time.Since(begun) < k.Total; n++ {
		r := rand.New(rand.NewPCG(k.Seed, uint64(n)))
		sum, err := k.round(s, r)
		requests += sum.requests
		if err != nil {
			return requests, fmt.Errorf("seed %d, round %d: %w", k.Seed, n, err)
		}
		if k.Say != nil {
			k.Say("round %d: %v", n, sum)
		}
		if n == 3 {
			early = sum.resident
		}
		if early > 0 && sum.resident > 2*early+(64<<20) {
			return requests, fmt.Errorf("seed %d, round %d: the proxy has %d MiB of memory, in round 3 it had %d MiB", k.Seed, n, sum.resident>>20, early>>20)
		}
	}
	return requests, s.proxy.drain()
}

// roundSum is what came of a round.
type roundSum struct {
	requests, events, flips int
	ledger                  string
	resident                int64
}

func (r roundSum) String() string {
	return fmt.Sprintf("%d events, %d flips, %d MiB, %s", r.events, r.flips, r.resident>>20, r.ledger)
}

// round is faults, mending, and the account of it.
func (k Soak) round(s *Stage, r *rand.Rand) (sum roundSum, err error) {
	flips := len(s.journal.flips())
	run := chaos.Load{Address: s.listen, Rate: 60 + float64(r.IntN(120)), Conns: 128, Duration: k.Round + time.Minute, Timeout: patience, Mix: soakMix}.Start(context.Background())
	s.runs = []*chaos.Run{run}
	defer run.Stop()
	for end := time.Now().Add(k.Round); time.Now().Before(end); sum.events++ {
		time.Sleep(time.Duration(100+r.IntN(1200)) * time.Millisecond) // between one event and the next
		if err := s.random(r); err != nil {
			return sum, err
		}
	}
	for _, o := range s.order {
		if err := (chaos.Fault{}).End(o); err != nil {
			return sum, err
		}
	}
	back := s.bringBack()
	if back == nil {
		n := s.from("eu")
		back = s.await(patience, "requests served by eu", func() bool { return s.from("eu") >= n+20 })
	}
	run.Stop()
	sum.requests, sum.ledger, sum.flips = run.Ledger().Len(), run.Ledger().String(), len(s.journal.flips())-flips
	err = errors.Join(back, s.atRest(), s.judge(run.Ledger()))
	sum.resident = s.resident()
	for _, o := range s.order {
		o.Forget()
	}
	s.journal.forget()
	return sum, err
}

// bringBack waits for the pointer at the primary, now that all is mended. After so
// much flapping the hold may have grown to a quarter of an hour: an operator ends
// it.
func (s *Stage) bringBack() error {
	atPrimary := func() bool { return s.target() == "eu" }
	healthy := func() bool {
		v := s.journal.find("verdict", func(l *Line) bool { return l.Origin == "eu" })
		return len(v) == 0 || v[len(v)-1].To == "healthy"
	}
	if err := s.await(patience, "eu healthy, since all is mended", healthy); err != nil {
		return err
	}
	if s.await(3*time.Second, "", atPrimary) == nil {
		return nil
	}
	if err := s.admin.post("/v1/groups/shop/failback"); err != nil && !atPrimary() {
		return err
	}
	return s.await(patience, "the pointer at the primary after a failback by hand", atPrimary)
}

// judge holds the invariants against one round.
func (s *Stage) judge(ledger *chaos.Ledger) error {
	o := &Outcome{Scenario: s.scenario, Ledger: ledger, Origins: s.order, journal: s.journal, lost: s.lost}
	status, err := s.admin.status()
	if err != nil {
		return err
	}
	for _, r := range status.Routes {
		if t := r.Totals; t.Accepted != t.Served+t.FailedOver+t.Shed+t.Failed+t.Left {
			err = errors.Join(err, fmt.Errorf("%w: route %s: %+v", errAccount, r.Name, t))
		}
	}
	return errors.Join(err, s.invariants(o))
}

// random does one thing that can happen.
func (s *Stage) random(r *rand.Rand) error {
	o := s.order[r.IntN(len(s.order))]
	switch n := r.IntN(20); {
	case n < 9:
		all := chaos.Faults()
		f := all[r.IntN(len(all))]
		if err := f.Possible(o); err == nil {
			return f.Begin(o, healthPath)
		}
		return nil
	case n < 15:
		return (chaos.Fault{}).End(o)
	case n < 17:
		o.ResetConns()
		return nil
	case n < 18:
		permits := 30 + r.IntN(60)
		return Reload(func(c *Setup) { c.Permits = permits }).Do(s)
	default:
		if !Unix.Has() {
			return nil
		}
		return Freeze(time.Duration(50+r.IntN(700)) * time.Millisecond).Do(s)
	}
}
