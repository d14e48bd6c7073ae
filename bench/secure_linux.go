package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// secure measures every contender at every one of the doors. The first round finds out how much each of them can take, and warms
// it up; it doesn't count.
func (s *session) secure(ctx context.Context, found []contender, g generator, doors []door, o options) (report, error) {
	fmt.Fprintf(s.progress, "TLS: %d contenders, %d doors, %d rounds: about %v\n", len(found), len(doors), o.Rounds, o.secureEstimate(len(found)).Round(time.Second))
	certificate, err := writeCertificate(s.folder)
	if err != nil {
		return report{}, err
	}
	found = slices.Clone(found)
	for i := range found {
		found[i].Setup.Certificate = certificate
	}
	proxies, stop, err := s.startAll(ctx, found)
	defer stop()
	if err != nil {
		return report{}, err
	}
	results := make([]doorResult, len(doors))
	rates := make([][]float64, len(doors)) // what each proxy took last, in requests a second
	names := make([]string, len(doors))
	for i, d := range doors {
		results[i] = doorResult{d, resultsOf(proxies)}
		rates[i] = slices.Repeat([]float64{firstRate}, len(proxies))
		names[i] = d.Name
	}
	measure := func(i, n int, length time.Duration) (*window, error) {
		w, err := s.atDoor(ctx, g, proxies[n], doors[i], rates[i][n], length)
		if err == nil {
			rates[i][n] = w.rate()
		}
		return w, err
	}
	err = s.takeTurns(1, "TLS, warm-up", names, proxies, func(i, n int) error {
		_, err := measure(i, n, o.secureWarmup())
		return err
	})
	if err != nil {
		return report{}, err
	}
	err = s.takeTurns(o.Rounds, "TLS", names, proxies, func(i, n int) error {
		w, err := measure(i, n, doors[i].length(o))
		if err == nil {
			results[i].add(n, w)
		}
		return err
	})
	if err != nil {
		return report{}, err
	}
	return doorsReport(results, g.version), nil
}

// add records one measurement of the nth proxy. With new connections only CPU time means something: starting h2load
// takes part of the rest.
func (d *doorResult) add(n int, w *window) {
	p := &d.Proxies[n]
	if d.Fresh {
		p.CPU = append(p.CPU, w.cpuEach())
		return
	}
	p.add(w)
}

// atDoor measures a proxy once, for about the length given if it is as fast as it was.
func (s *session) atDoor(ctx context.Context, g generator, p *proxy, d door, rate float64, length time.Duration) (*window, error) {
	if d.Fresh {
		return s.handshakes(ctx, g, p, d, length)
	}
	requests := d.requests(rate, length)
	for range 3 {
		w, err := s.keptAlive(ctx, g, p, d, requests)
		if !errors.Is(err, errNothingInWindow) {
			return w, err
		}
		requests *= 4 // it was over before anybody looked
	}
	return s.keptAlive(ctx, g, p, d, requests)
}

// keptAlive runs h2load once.
func (s *session) keptAlive(ctx context.Context, g generator, p *proxy, d door, requests int) (*window, error) {
	var from, to reading
	err := g.run(ctx, s, p, d, requests, func(percent int) (err error) {
		switch percent {
		case windowFrom:
			from, err = s.read(p)
		case windowTo:
			to, err = s.read(p)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return from.window(to)
}

// handshakes has new connections made, one h2load after the other, until the time is over.
func (s *session) handshakes(ctx context.Context, g generator, p *proxy, d door, length time.Duration) (*window, error) {
	from, err := s.read(p)
	if err != nil {
		return nil, err
	}
	to := from
	for to.at-from.at < int64(length) {
		if err := g.run(ctx, s, p, d, d.Connections, func(int) error { return nil }); err != nil {
			return nil, err
		}
		if to, err = s.read(p); err != nil {
			return nil, err
		}
	}
	return from.window(to)
}

// reading is what a proxy has done up to a moment.
type reading struct {
	at        int64
	responses int // of the origin
	cpu       time.Duration
}

// read takes all figures at once. A report of h2load's progress comes late on a core that is shared with the load, so it
// only says when to look, not what there is to see. The origin makes one call to write a small response: the kernel
// keeps the count. Fairlead's health checks are in it too, one response a second.
func (s *session) read(p *proxy) (reading, error) {
	responses, err := writesOf(s.origin.cmd.Process.Pid)
	if err != nil {
		return reading{}, err
	}
	cpu, err := p.cpu()
	return reading{monotonic(), responses, cpu}, err
}

// window is what lies between two readings.
func (r reading) window(to reading) (*window, error) {
	w := &window{Requests: to.responses - r.responses, Wall: time.Duration(to.at - r.at), CPU: to.cpu - r.cpu}
	if r.at == 0 || w.Requests <= 0 || w.CPU <= 0 {
		return nil, errNothingInWindow
	}
	return w, nil
}

// askSecurely sends one request over TLS and HTTP/1.1, and insists on the certificate that was made for the run.
func (p *proxy) askSecurely(ctx context.Context, path string, size int64) error {
	text, err := os.ReadFile(p.Setup.Certificate)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: hostName, MinVersion: tls.VersionTLS13}}
	c, err := dialer.DialContext(ctx, "tcp", p.addr.String())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write(requestFor(path)); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	head := make([]byte, 4096)
	for n := 0; n < len(head); {
		more, err := c.Read(head[n:])
		n += more
		if end, bad := checkHead(head[:n], size); end > 0 || bad != nil {
			return bad
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
	}
	return fmt.Errorf("response head over %d bytes", len(head))
}
