package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// sizeResult is what was measured with bodies of one size.
type sizeResult struct {
	Size        int64
	Connections int
	Rate        float64 // requests a second of the open loop
	Proxies     []proxyResult
}

// proxyResult holds one value for each round. Times are microseconds.
type proxyResult struct {
	Key, Label string
	CPU        []float64 // a request, closed loop
	Throughput []float64 // requests a second, closed loop
	Core       []float64 // share of its core that the proxy used, closed loop
	P50, P99   []float64 // open loop
}

// base is the proxy that the others are set against.
const base = "nginx"

// proxyNamed returns the result with the key, or an empty one.
func proxyNamed(proxies []proxyResult, key string) *proxyResult {
	for i := range proxies {
		if proxies[i].Key == key {
			return &proxies[i]
		}
	}
	return new(proxyResult)
}

// limited says so if something else than the proxy was the limit of its throughput; cell is what was measured.
func (p *proxyResult) limited(cell string) []string {
	if core := median(p.Core); core < 0.9 {
		return []string{fmt.Sprintf("%s at %s (%s)", p.Label, cell, percent(core))}
	}
	return nil
}

// slowest is the lowest throughput of all.
func (s *sizeResult) slowest() float64 {
	low := math.Inf(1)
	for _, p := range s.Proxies {
		low = min(low, median(p.Throughput))
	}
	return low
}

// compareReport makes the comparison's tables.
func compareReport(sizes []sizeResult) report {
	t := table{Header: []string{"body", "proxy", "CPU a request", "to nginx", "requests/s", "core", "p50", "p99", "p99 to nginx"}}
	for _, s := range sizes {
		name := sizeName(s.Size)
		nginx := proxyNamed(s.Proxies, base)
		for _, p := range s.Proxies {
			cpu, p99 := ratios(p.CPU, nginx.CPU), ratios(p.P99, nginx.P99)
			t.add(p.Key == "fairlead", name, p.Label, micros(median(p.CPU)), cpu.spread(), thousands(median(p.Throughput)),
				percent(median(p.Core)), micros(median(p.P50)), micros(median(p.P99)), p99.short())
			name = ""
		}
	}
	return report{Section: "compare", Sizes: sizes, Tables: []table{t}, Notes: append(loadNotes(sizes), budgetNotes(sizes)...)}
}

// loadNotes say how the proxies were loaded, and warn of figures that something else than the proxy decided.
func loadNotes(sizes []sizeResult) []string {
	var loads, limited []string
	cells := 0
	for _, s := range sizes {
		loads = append(loads, fmt.Sprintf("%s: %d connections, %s requests/s", sizeName(s.Size), s.Connections, thousands(s.Rate)))
		cells += len(s.Proxies)
		for _, p := range s.Proxies {
			limited = append(limited, p.limited(sizeName(s.Size))...)
		}
	}
	return append([]string{"Rates of the open loop: " + strings.Join(loads, "; ") + "."}, limitNotes(limited, cells)...)
}

// limitNotes warn of the limited among that many cells.
func limitNotes(limited []string, cells int) []string {
	if len(limited) > 1 && len(limited) == cells {
		limited = []string{"all of them"}
	}
	if len(limited) == 0 {
		return nil
	}
	return []string{"Not the proxy was the limit of requests/s, but the load, the origin or another program on the machine, for " + strings.Join(limited, ", ") + "."}
}

// budgetNotes set Fairlead against its budget, as far as both it and nginx were measured.
func budgetNotes(sizes []sizeResult) []string {
	var notes []string
	for _, s := range sizes {
		own, nginx := proxyNamed(s.Proxies, "fairlead"), proxyNamed(s.Proxies, base)
		cpu, p99 := ratios(own.CPU, nginx.CPU), ratios(own.P99, nginx.P99)
		switch {
		case !cpu.known():
		case s.Size == 1<<10:
			notes = append(notes, budget("CPU a request, 1 KiB, to nginx", cpu.Median, 1, "%.2f"), budget("p99, 1 KiB, to nginx", p99.Median, 1.5, "%.2f"))
		case s.Size == 64<<10:
			notes = append(notes, budget("CPU a request, 64 KiB, to nginx", cpu.Median, 0.75, "%.2f"))
		}
	}
	return notes
}

// budget says whether a figure keeps its limit.
func budget(what string, got, limit float64, format string) string {
	verdict := "met"
	if !(got <= limit) {
		verdict = "missed"
	}
	return fmt.Sprintf("Budget, %s: at most "+format+", measured "+format+", %s.", what, limit, got, verdict)
}

// pairResult sets one variant of fairlead against another; CPU is microseconds a request, a value a round.
type pairResult struct {
	Labels [2]string
	CPU    [2][]float64
}

// table of both variants; the second is set against the first.
func (p pairResult) table() table {
	t := table{Header: []string{"fairlead", "CPU a request", "to the first"}}
	for i, label := range p.Labels {
		t.add(false, label, micros(median(p.CPU[i])), ratios(p.CPU[i], p.CPU[0]).spread())
	}
	return t
}

// difference is by how many microseconds a request the second variant costs more, the median over the rounds.
func (p pairResult) difference() float64 {
	var each []float64
	for i := range min(len(p.CPU[0]), len(p.CPU[1])) {
		each = append(each, p.CPU[1][i]-p.CPU[0][i])
	}
	return median(each)
}

// idleResult is the resident memory of one proxy without and with idle connections, in bytes.
type idleResult struct {
	Key, Label    string
	Before, After int64
}

// idleReport makes the table of idle connections.
func idleReport(connections int, results []idleResult) report {
	t := table{Header: []string{"proxy", "memory before", fmt.Sprintf("with %d idle", connections), "a connection"}}
	r := report{Section: "idle"}
	for _, i := range results {
		each := float64(i.After-i.Before) / float64(connections) / 1024
		t.add(i.Key == "fairlead", i.Label, mebibytes(i.Before), mebibytes(i.After), fmt.Sprintf("%.1f KiB", each))
		if i.Key == "fairlead" {
			r.Notes = append(r.Notes, budget("KiB for an idle connection", each, 8, "%.1f"))
		}
	}
	r.Tables = []table{t}
	return r
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// micros prints microseconds with three digits or more, and as milliseconds from 10,000 on.
func micros(us float64) string {
	switch {
	case math.IsNaN(us):
		return "–"
	case us < 100:
		return fmt.Sprintf("%.1f µs", us)
	case us < 10000:
		return fmt.Sprintf("%.0f µs", us)
	}
	return fmt.Sprintf("%.1f ms", us/1000)
}

func percent(share float64) string {
	if math.IsNaN(share) {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", share*100)
}

// thousands prints a whole number with commas.
func thousands(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short is the median alone.
func (r ratio) short() string {
	if !r.known() {
		return "–"
	}
	return fmt.Sprintf("%.2f", r.Median)
}

// spread is the median with the lowest and the highest round.
func (r ratio) spread() string {
	if !r.known() {
		return "–"
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", r.Median, r.Low, r.High)
}

// inMicros is a duration as the results hold it.
func inMicros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
