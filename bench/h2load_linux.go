package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// A run of h2load that takes longer than this hangs; of its own it would wait without end.
const h2loadLimit = 30 * time.Second

// generator is the program that makes the load over TLS.
type generator struct{ program, version string }

// findGenerator returns exec.ErrNotFound if h2load is not installed.
func findGenerator() (generator, error) {
	program, err := lookUp(h2loadName)
	if err != nil {
		return generator{}, fmt.Errorf("%w (Debian has it in the package nghttp2-client)", err)
	}
	return generator{program, versionOf(program, "--version")}, nil
}

// run starts h2load once, on the load's cores, and calls progress with each percentage that it reports, at that moment.
// It returns an error unless every request was answered well.
func (g generator) run(ctx context.Context, s *session, p *proxy, d door, requests int, progress func(percent int) error) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	args := h2loadArgs(d, p.addr.String(), hotPaths(0, d.size())[0], requests)
	child, err := startProcess(h2loadName, command{Args: append([]string{g.program}, args...)}, s.cores.Load, s.folder, w)
	w.Close()
	if err != nil {
		return err
	}
	defer child.stop()
	if err := r.SetReadDeadline(time.Now().Add(h2loadLimit)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })()
	var output strings.Builder
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		output.WriteString(lines.Text() + "\n")
		percent, ok := progressOf(lines.Text())
		if !ok {
			continue
		}
		if err := progress(percent); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w: %s%s", h2loadName, err, output.String(), child.complaint())
	}
	sum, err := parseSummary(output.String())
	if err != nil {
		return fmt.Errorf("%w: %s%s", err, output.String(), child.complaint())
	}
	return sum.check(d, requests)
}
