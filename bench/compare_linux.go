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
	names := make([]string, len(o.Sizes))
	for i, size := range o.Sizes {
		results[i] = sizeResult{Size: size, Connections: connections(size), Proxies: resultsOf(proxies)}
		names[i] = sizeName(size)
	}
	err = s.takeTurns(o.Rounds, "closed loop", names, proxies, func(i, n int) error {
		return closedCell(ctx, proxies[n], &results[i], &results[i].Proxies[n], o)
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
	err = s.takeTurns(o.Rounds, "open loop", names, proxies, func(i, n int) error {
		return openCell(ctx, proxies[n], &results[i], &results[i].Proxies[n], o)
	})
	if err != nil {
		return report{}, err
	}
	return compareReport(results), nil
}

// resultsOf is where the figures of the proxies will be.
func resultsOf(proxies []*proxy) []proxyResult {
	var results []proxyResult
	for _, p := range proxies {
		results = append(results, proxyResult{Key: p.Key, Label: p.Label})
	}
	return results
}

// takeTurns lets the proxies take turns, cell by cell and round by round: do measures the nth proxy in the ith cell.
func (s *session) takeTurns(rounds int, pass string, cells []string, proxies []*proxy, do func(i, n int) error) error {
	for round := range rounds {
		fmt.Fprintf(s.progress, "%s, round %d of %d\n", pass, round+1, rounds)
		for i, cell := range cells {
			for n, p := range proxies {
				if err := p.explain(do(i, n)); err != nil {
					return fmt.Errorf("%s, %s, %s, round %d: %w", p.Key, cell, pass, round+1, err)
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
	r.add(w)
	return nil
}

// add records one measurement in a closed loop.
func (p *proxyResult) add(w *window) {
	p.CPU = append(p.CPU, w.cpuEach())
	p.Throughput = append(p.Throughput, w.rate())
	p.Core = append(p.Core, w.CPU.Seconds()/w.Wall.Seconds())
}

// closedLoop measures the proxy once.
func (p *proxy) closedLoop(ctx context.Context, size int64, conns int, o options) (*window, error) {
	l, err := newLoad(p.addr, conns, hotPaths(p.Setup.Routes, size), size)
	if err != nil {
		return nil, err
	}
	defer l.close()
	w, err := l.closedLoop(ctx, o.warmup(), o.Duration, p.cpu)
	if err == nil {
		err = p.metrics.err()
	}
	return w, err
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
