package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// stat is what is needed of a line of /proc/PID/stat.
type stat struct {
	ID, Parent int
	CPU        time.Duration // user and system
}

// parseStat reads proc_pid_stat(5). The command's name in parentheses may itself hold blanks and parentheses.
func parseStat(line string) (stat, error) {
	bad := fmt.Errorf("bad stat line %q", line)
	id, rest, ok := strings.Cut(line, " (")
	end := strings.LastIndexByte(rest, ')')
	if !ok || end < 0 {
		return stat{}, bad
	}
	fields := strings.Fields(rest[end+1:]) // from field 3, the state
	if len(fields) < 13 {
		return stat{}, bad
	}
	var n [4]int
	for i, s := range []string{id, fields[1], fields[11], fields[12]} {
		v, err := strconv.Atoi(s)
		if err != nil {
			return stat{}, bad
		}
		n[i] = v
	}
	const tick = time.Second / 100 // USER_HZ, the same on every Linux
	return stat{ID: n[0], Parent: n[1], CPU: time.Duration(n[2]+n[3]) * tick}, nil
}

// parseWrites reads the number of write calls off the text of /proc/PID/io.
func parseWrites(text string) (int, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "syscw: "); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("no syscw in %q", text)
}

// modelOf reads the processor's name off /proc/cpuinfo.
func modelOf(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		key, value, _ := strings.Cut(line, ":")
		if k := strings.TrimSpace(key); k == "model name" || k == "Model" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// busyNote warns of a machine on which something else runs; loadavg is the text of /proc/loadavg. It returns nothing for
// a quiet one.
func busyNote(loadavg string) string {
	minute, _, _ := strings.Cut(loadavg, " ")
	if load, err := strconv.ParseFloat(minute, 64); err != nil || load < 0.5 {
		return ""
	}
	return "The machine was not idle before the run (load " + minute + "); latencies and requests/s suffer from that."
}

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// firstVersion is the first version number in what a program says of itself, or nothing.
func firstVersion(text string) string { return versionNumber.FindString(text) }

// cores says who runs where.
type cores struct {
	Proxy, Origin, Load []int
}

// shareCores gives the proxy the last core (the first ones tend to serve interrupts), and the origin and the load what
// is left: one each if there are three or more, else one for both. With a single core, all share it.
func shareCores(all []int) cores {
	last := all[len(all)-1:]
	rest := all[:len(all)-1]
	switch len(rest) {
	case 0:
		return cores{all, all, all}
	case 1:
		return cores{last, rest, rest}
	}
	return cores{last, rest[:1], rest[1:]}
}

func (c cores) String() string {
	if len(c.Proxy) == len(c.Load) && c.Proxy[0] == c.Load[0] {
		return "one core for the proxy, the origin and the load"
	}
	if c.Origin[0] == c.Load[0] {
		return fmt.Sprintf("the proxy on core %d, origin and load on core %d", c.Proxy[0], c.Load[0])
	}
	return fmt.Sprintf("the proxy on core %d, the origin on core %d, the load on %d more", c.Proxy[0], c.Origin[0], len(c.Load))
}
