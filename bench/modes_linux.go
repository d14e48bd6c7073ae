package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Memory is read this long after the connections have become idle, so that what a runtime gives back soon is given back.
const settleTime = 3 * time.Second

// idle opens n connections to each contender in turn, with a request on each, and reads how its memory grew. Only one
// contender runs at a time.
func (s *session) idle(ctx context.Context, found []contender, n int) (report, error) {
	if limit := s.maxConnections - 200; n > limit {
		return report{}, fmt.Errorf("-idle: at most %d with this limit of open files", limit)
	}
	var results []idleResult
	for _, c := range found {
		fmt.Fprintf(s.progress, "%s: %d idle connections\n", c.Key, n)
		r, err := s.idleOf(ctx, c, n)
		if err != nil {
			return report{}, fmt.Errorf("%s: %w", c.Key, err)
		}
		results = append(results, r)
	}
	return idleReport(n, results), nil
}

func (s *session) idleOf(ctx context.Context, c contender, n int) (idleResult, error) {
	r := idleResult{Key: c.Key, Label: c.Label}
	p, err := s.start(ctx, c)
	if err != nil {
		return r, err
	}
	defer p.stop()
	// Load first, so that what a proxy needs once (pools, connections to the origin) isn't charged to idle connections.
	if _, err := p.closedLoop(ctx, plainSize, connections(plainSize), options{Duration: 500 * time.Millisecond}); err != nil {
		return r, err
	}
	l, err := newLoad(p.addr, 0, hotPaths(0, plainSize), plainSize)
	if err != nil {
		return r, err
	}
	defer l.close()
	if r.Before, err = settle(ctx, p); err != nil {
		return r, err
	}
	if err := l.oneEach(ctx, n); err != nil {
		return r, err
	}
	r.After, err = settle(ctx, p)
	return r, err
}

// settle waits, then reads the proxy's memory.
func settle(ctx context.Context, p *proxy) (int64, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(settleTime):
	}
	return memoryOf(p.pids)
}

// routes compares fairlead with 10 routes and with 10,000, ten of them in use.
func (s *session) routes(ctx context.Context, c contender, o options) (report, error) {
	few, many := c, c
	few.Label, few.Setup.Routes = "10 routes", 10
	many.Label, many.Setup.Routes = "10,000 routes", 10000
	pair, _, err := s.pair(ctx, [2]contender{few, many}, o)
	if err != nil {
		return report{}, err
	}
	growth := ratios(pair.CPU[1], pair.CPU[0]).Median
	return report{Section: "routes", Tables: []table{pair.table()}, Notes: []string{budget("10,000 routes to 10", growth, 1.2, "%.2f")}}, nil
}

// accessLog compares fairlead without an access log and with one that goes to a file, and counts the file's lines.
func (s *session) accessLog(ctx context.Context, c contender, o options) (report, error) {
	file := filepath.Join(s.folder, "access.log")
	off, on := c, c
	off.Label = "access log off"
	on.Label, on.Setup.AccessLog = "access log to a file", file
	pair, requests, err := s.pair(ctx, [2]contender{off, on}, o)
	if err != nil {
		return report{}, err
	}
	lines, err := countLines(file)
	if err != nil {
		return report{}, err
	}
	return report{Section: "accesslog", Tables: []table{pair.table()}, Notes: []string{
		budget("µs a logged request", pair.difference(), 1.5, "%.2f"),
		fmt.Sprintf("%s lines in the log; %s responses were counted, warm-up aside.", thousands(float64(lines)), thousands(float64(requests))),
	}}, nil
}

// pair measures two variants in turn at 1 KiB; it also returns how many requests the second one answered.
func (s *session) pair(ctx context.Context, variants [2]contender, o options) (pairResult, int, error) {
	var r pairResult
	proxies, stop, err := s.startAll(ctx, variants[:])
	defer stop()
	if err != nil {
		return r, 0, err
	}
	requests := 0
	for round := range o.Rounds {
		fmt.Fprintf(s.progress, "round %d of %d\n", round+1, o.Rounds)
		for i, p := range proxies {
			w, err := p.closedLoop(ctx, plainSize, connections(plainSize), o)
			if err != nil {
				return r, 0, fmt.Errorf("%s, round %d: %w", p.Label, round+1, p.explain(err))
			}
			r.Labels[i] = p.Label
			r.CPU[i] = append(r.CPU[i], w.cpuEach())
			if i == 1 {
				requests += w.Requests
			}
		}
	}
	return r, requests, nil
}

func countLines(file string) (int, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := 0
	buf := make([]byte, 256<<10)
	for {
		n, err := f.Read(buf)
		lines += bytes.Count(buf[:n], []byte{'\n'})
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
