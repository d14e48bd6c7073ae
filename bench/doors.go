package main

import (
	"fmt"
	"strings"
	"time"
)

// door is one way in which clients come to a proxy that speaks TLS.
type door struct {
	Name        string // as it stands in the table
	HTTP2       bool
	Connections int
	Streams     int     // requests at a time on a connection
	Fresh       bool    // each connection carries one request: what is measured is the handshake
	Goal        float64 // of Fairlead's CPU a request to nginx's; 0 means none
}

// doors in the order in which they are measured. A proxy may make handshakes wait in a queue that is not endless, so
// no more connections are made at once than any of them lets wait.
var doors = []door{
	{Name: "HTTP/1.1, 64 connections", Connections: 64, Streams: 1, Goal: 0.9},
	{Name: "HTTP/2, 64 connections, 10 streams", HTTP2: true, Connections: 64, Streams: 10, Goal: 0.75},
	{Name: "HTTP/2, 64 connections, 1 stream", HTTP2: true, Connections: 64, Streams: 1, Goal: 1.1},
	{Name: "HTTP/1.1, new connections", Connections: 200, Streams: 1, Fresh: true},
}

// firstRate is how many requests a second are expected of a proxy that was not measured yet: less than any of them takes.
const firstRate = 5000

// protocol is what the client and the proxy have to agree on (RFC 7301).
func (d door) protocol() string {
	if d.HTTP2 {
		return "h2"
	}
	return "http/1.1"
}

// size of every body. A handshake is measured with as little else as there can be.
func (d door) size() int64 {
	if d.Fresh {
		return 0
	}
	return plainSize
}

// requests is how many are sent in one run of about that length at a rate a second: as many on each connection, a number
// of which h2load reports every tenth, and ten times as many as are under way at once, since the window can't tell how
// far those have come.
func (d door) requests(rate float64, length time.Duration) int {
	if d.Fresh {
		return d.Connections
	}
	each := 10 * d.Connections * d.Streams
	return max(int(rate*length.Seconds())/each, 1) * each
}

// length of one measurement: handshakes are all alike and need less time.
func (d door) length(o options) time.Duration {
	if d.Fresh {
		return o.Duration / 2
	}
	return o.Duration
}

// doorResult is what was measured at one door.
type doorResult struct {
	door
	Proxies []proxyResult
}

// doorsReport makes the table of the doors; version is that of h2load.
func doorsReport(results []doorResult, version string) report {
	t := table{Header: []string{"client", "proxy", "CPU a request", "to nginx", "requests/s", "core"}}
	r := report{Section: "tls", Notes: []string{"The load is h2load " + version + "; " + tlsVersion + ", " + tlsCipher + ", " + tlsGroup + ", a certificate with an ECDSA key on P-256."}}
	var limited []string
	cells := 0
	for _, d := range results {
		name, nginx := d.Name, proxyNamed(d.Proxies, base)
		for _, p := range d.Proxies {
			t.add(p.Key == "fairlead", name, p.Label, micros(median(p.CPU)), ratios(p.CPU, nginx.CPU).spread(),
				thousands(median(p.Throughput)), percent(median(p.Core)))
			name = ""
			limited = append(limited, p.limited(d.Name)...)
			if !d.Fresh {
				cells++
			}
		}
		r.Notes = append(r.Notes, d.notes()...)
	}
	r.Tables = []table{t}
	r.Notes = append(r.Notes, limitNotes(limited, cells)...)
	return r
}

// notes say whether the door's goal was met, and how many handshakes a core is good for.
func (d doorResult) notes() []string {
	if d.Fresh {
		var each []string
		for _, p := range d.Proxies {
			each = append(each, fmt.Sprintf("%s %s", p.Label, thousands(1e6/median(p.CPU))))
		}
		return []string{"Full TLS 1.3 handshakes in a second of CPU, with one request on each connection: " + strings.Join(each, ", ") + "."}
	}
	cpu := ratios(proxyNamed(d.Proxies, "fairlead").CPU, proxyNamed(d.Proxies, base).CPU)
	if !cpu.known() || d.Goal == 0 {
		return nil
	}
	return []string{budget("CPU a request over TLS, "+d.Name+", to nginx", cpu.Median, d.Goal, "%.2f")}
}
