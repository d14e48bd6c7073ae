package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/demo"
	"github.com/fairlead/fairlead/proxy"
)

// demoConfig is the configuration of the demonstration. Its times are short, so
// that an outage takes seconds.
const demoConfig = `
[server]
listen = [%[1]q]
drain_timeout = "5s"

[log]
level = "error"
format = "console"
access = false

[origins.eu]
url = "http://%[2]s"
response_header_timeout = "3s"

[origins.eu.health]
interval = "%[4]v"
timeout = "%[4]v"
fast_interval = "%[5]v"

[origins.us]
url = "http://%[3]s"
response_header_timeout = "3s"

[origins.us.health]
interval = "%[4]v"
timeout = "%[4]v"
fast_interval = "%[5]v"

[groups.shop]
primary = "eu"
secondary = "us"
park_timeout = "5s"
failback_after = "%[6]v"
min_hold = "%[6]v"

[[routes]]
name = "order"
match = "POST /"
group = "shop"
timeout = "10s"
bulkhead = { max_concurrent = 50, max_queue = 100 }

[[routes]]
name = "page"
match = "/"
group = "shop"
timeout = "10s"
bulkhead = { max_concurrent = 50, max_queue = 100 }
breaker = { open_for = "1s" }
`

// pace is how fast the demonstration goes.
type pace struct {
	interval     time.Duration // between probes
	fastInterval time.Duration // between probes while real requests fail
	failback     time.Duration // failback_after and min_hold
	calm         time.Duration // before an outage, and after it
	away         time.Duration // from the flip until the primary is mended
	patience     time.Duration // for a flip that must come
	row          time.Duration // a line's time
}

// showPace is for people: one outage takes about 20 seconds.
var showPace = pace{
	interval:     time.Second,
	fastInterval: 250 * time.Millisecond,
	failback:     3 * time.Second,
	calm:         4 * time.Second,
	away:         6 * time.Second,
	patience:     15 * time.Second,
	row:          time.Second,
}

// demo is "fairlead demo": two origins, the proxy and a load in one process, and
// the script that breaks and mends one of the origins.
func (p *program) demo(ctx context.Context, once bool, pace pace) error {
	orders := demo.NewOrders()
	eu, err := demo.NewOrigin("eu", 9101, orders)
	if err != nil {
		return err
	}
	defer eu.Close()
	us, err := demo.NewOrigin("us", 9102, orders)
	if err != nil {
		return err
	}
	defer us.Close()
	cfg, err := parseDemo(eu.Address(), us.Address(), pace)
	if err != nil {
		return err
	}
	l, err := openLogs(cfg.Log, p.stdout, p.stderr)
	if err != nil {
		return err
	}
	defer l.close()
	s := newScript(pace, once, p.stdout, eu)
	service, err := newService(cfg, l, newKeeper("", l.events), watcher{flip: s.flip, health: s.health}, nil, nil)
	if err != nil {
		return err
	}
	defer service.close()
	addresses, _, err := service.listen()
	if err != nil {
		return explainListen(err)
	}
	s.load = demo.NewLoad("http://"+addresses[0].String(), orders)
	s.stats = service.proxy.Stats
	s.greet(addresses[0].String(), eu.Address(), us.Address())

	played, drained := playUnderLoad(ctx, s, service, p.force)
	result := s.summary(orders.Twice())
	return errors.Join(played, drained, result, s.err)
}

// parseDemo makes the configuration of the demonstration, with a free address
// for the proxy.
func parseDemo(eu, us string, pace pace) (*config.Config, error) {
	address, err := demo.FreeAddress(8080)
	if err != nil {
		return nil, err
	}
	text := fmt.Appendf(nil, demoConfig, address, eu, us, pace.interval, pace.fastInterval, pace.failback)
	return config.Parse("demo.toml", text, config.Options{Patterns: checkPatterns})
}

// playUnderLoad runs the proxy, the load and the script, which ends first. The
// proxy ends last, so that every request gets its answer.
func playUnderLoad(ctx context.Context, s *script, service *service, force <-chan struct{}) (played, drained error) {
	outlive := context.WithoutCancel(ctx)
	proxyCtx, stopProxy := context.WithCancel(outlive)
	loadCtx, stopLoad := context.WithCancel(outlive)
	var proxying, loading sync.WaitGroup
	proxying.Go(func() { drained = service.run(proxyCtx, force) })
	loading.Go(func() { s.load.Run(loadCtx) })
	played = s.play(ctx)
	stopLoad()
	loading.Wait()
	stopProxy()
	proxying.Wait()
	return played, drained
}

// colours reports whether w is a terminal that wants colours.
func colours(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	if runtime.GOOS == "windows" && os.Getenv("WT_SESSION") == "" {
		return false // an old console would print the codes
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// sums adds up what the rows and the summary need of all routes.
func sums(routes []proxy.RouteStats) (failedOver, parked int) {
	for _, r := range routes {
		failedOver += int(r.FailedOver)
		parked += int(r.Parked)
	}
	return failedOver, parked
}
