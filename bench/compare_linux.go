package main

import (
	"context"
	"fmt"
	"time"
)

// compare measures every contender at every size: first all rounds of the closed loop, then, at a rate that the slowest
// can bear, all rounds of the open loop.
func (s *session) compare(ctx context.Context, found []contender, o options) (report, error) {
	fmt.Fprintf(s.progress, "%d contenders, %d sizes, %d rounds: about %v\n", len(found), len(o.Sizes), o.Rounds, o.estimate(len(found)).Round(time.Second))
	proxies, stop, err := s.startAll(ctx, found)
	defer stop()
	if err != nil {
		return report{}, err
	}
	results := make([]sizeResult, len(o.Sizes))
	for i, size := range o.Sizes {
		results[i] = sizeResult{Size: size, Connections: connections(size)}
		for _, p := range proxies {
			results[i].Proxies = append(results[i].Proxies, proxyResult{Key: p.Key, Label: p.Label})
		}
	}
	err = s.eachCell(o.Rounds, "closed loop", results, func(size *sizeResult, n int) error {
		return proxies[n].explain(closedCell(ctx, proxies[n], size, &size.Proxies[n], o))
	})
	if err != nil {
		return report{}, err
	}
	for i := range results {
		results[i].Rate = o.Rate
		if o.Rate == 0 {
			results[i].Rate = results[i].slowest() / 2
		}
	}
	err = s.eachCell(o.Rounds, "open loop", results, func(size *sizeResult, n int) error {
		return proxies[n].explain(openCell(ctx, proxies[n], size, &size.Proxies[n], o))
	})
	if err != nil {
		return report{}, err
	}
	return compareReport(results), nil
}

// eachCell lets the contenders take turns, size by size and round by round.
func (s *session) eachCell(rounds int, pass string, results []sizeResult, do func(size *sizeResult, n int) error) error {
	for round := range rounds {
		fmt.Fprintf(s.progress, "%s, round %d of %d\n", pass, round+1, rounds)
		for i := range results {
			for n, p := range results[i].Proxies {
				if err := do(&results[i], n); err != nil {
					return fmt.Errorf("%s, %s, %s, round %d: %w", p.Key, sizeName(results[i].Size), pass, round+1, err)
				}
			}
		}
	}
	return nil
}

func closedCell(ctx context.Context, p *proxy, size *sizeResult, r *proxyResult, o options) error {
	w, err := p.closedLoop(ctx, size.Size, size.Connections, o)
	if err != nil {
		return err
	}
	r.CPU = append(r.CPU, inMicros(w.CPU)/float64(w.Requests))
	r.Throughput = append(r.Throughput, float64(w.Requests)/w.Wall.Seconds())
	r.Core = append(r.Core, w.CPU.Seconds()/w.Wall.Seconds())
	return nil
}

// closedLoop measures the proxy once.
func (p *proxy) closedLoop(ctx context.Context, size int64, conns int, o options) (*window, error) {
	l, err := newLoad(p.addr, conns, hotPaths(p.Setup.Routes, size), size)
	if err != nil {
		return nil, err
	}
	defer l.close()
	return l.closedLoop(ctx, o.warmup(), o.Duration, p.cpu)
}

func openCell(ctx context.Context, p *proxy, size *sizeResult, r *proxyResult, o options) error {
	l, err := newLoad(p.addr, size.Connections, hotPaths(p.Setup.Routes, size.Size), size.Size)
	if err != nil {
		return err
	}
	defer l.close()
	w, err := l.openLoop(ctx, o.warmup(), o.openDuration(), size.Rate)
	if err != nil {
		return err
	}
	r.P50 = append(r.P50, inMicros(w.Latency.quantile(0.50)))
	r.P99 = append(r.P99, inMicros(w.Latency.quantile(0.99)))
	return nil
}
