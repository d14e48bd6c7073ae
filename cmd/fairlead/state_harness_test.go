package main

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
)

// twoOrigins is a configuration whose group has these two origins, eu and us
// with a check each, and raw without one.
func twoOrigins(t *testing.T, group string) *config.Config {
	t.Helper()
	cfg, err := load(write(t, `
[origins.eu]
url = "http://127.0.0.1:9101"
[origins.eu.health]
[origins.us]
url = "http://127.0.0.1:9102"
[origins.us.health]
[origins.raw]
url = "http://127.0.0.1:9103"
[groups.shop]
`+group+"\n"+routeTable("shop", "/", "shop", 10)))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const euThenUS = `primary = "eu"
secondary = "us"`

// follows is a further key for a group.
const follows = `
follow = "dns://127.0.0.1:53/shop.failover.example."`

// life is a keeper with the pointer that it keeps.
type life struct {
	*keeper
	shop *failover.Group
	logs *observer.ObservedLogs
	end  func() // ends run and waits for it
}

// live begins a life with a keeper, as a start of the program does, and lets it
// run until end or the end of the test.
func live(t *testing.T, cfg *config.Config, k *keeper, logs *observer.ObservedLogs) *life {
	t.Helper()
	k.load()
	shop := failover.NewGroup(failover.GroupConfig{
		Name: "shop",
		PointerConfig: failover.PointerConfig{
			HasSecondary: cfg.Groups[0].Secondary != "", FailbackAfter: 30 * time.Second, MinHold: time.Minute,
		},
		Initial:  k.initial(cfg, &cfg.Groups[0]),
		OnChange: k.changed,
	})
	k.setGroups(cfg, []*failover.Group{shop})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx) })
	running.Go(func() { _ = shop.Run(ctx) })
	end := func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(end)
	return &life{k, shop, logs, end}
}

// observed returns a keeper and what it logs.
func observed(path string) (*keeper, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return newKeeper(path, zap.New(core)), logs
}

// startLife begins a life with the file at path.
func startLife(t *testing.T, cfg *config.Config, path string) *life {
	t.Helper()
	k, logs := observed(path)
	return live(t, cfg, k, logs)
}

// messages returns what was logged so far, and forgets it.
func (l *life) messages() []string {
	var all []string
	for _, e := range l.logs.TakeAll() {
		all = append(all, e.Message)
	}
	return all
}

// settle lets d pass in a bubble, and what has begun come to its end.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wantSame holds a restored state against the one before, without the clock that
// only one process has.
func wantSame(t *testing.T, got, want failover.State) {
	t.Helper()
	strip := func(s failover.State) failover.State {
		for _, at := range []*time.Time{&s.Since, &s.Primary.Since, &s.Secondary.Since, &s.PinUntil} {
			*at = at.Round(0).UTC()
		}
		return s
	}
	if strip(got) != strip(want) {
		t.Errorf("restored\n%+v, want\n%+v", got, want)
	}
}
