package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// scrapeEvery is how often metrics are read while a proxy with so many routes is measured: more often than a monitoring
// does, but where there is half a million of them. Once a second, those would be what is measured.
func scrapeEvery(routes int) time.Duration {
	if routes < 1000 {
		return time.Second
	}
	return 15 * time.Second
}

// scraper reads the metrics of a proxy all the time, so that what they cost is in the figures. The nil scraper is that of a
// proxy without metrics.
type scraper struct {
	client *http.Client
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	failed error // the first; guarded by mu
}

// startScraper reads the metrics that are served on a unix socket, once at once. The error is that of the first time.
func startScraper(ctx context.Context, socket string, every time.Duration) (*scraper, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	s := &scraper{client: &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: 10 * time.Second}, ended: make(chan struct{})}
	if err := s.scrape(ctx); err != nil {
		return nil, err
	}
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go s.run(ctx, every)
	return s, nil
}

func (s *scraper) run(ctx context.Context, every time.Duration) {
	defer close(s.ended)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.scrape(ctx); err != nil && ctx.Err() == nil {
			s.mu.Lock()
			s.failed = err
			s.mu.Unlock()
			return
		}
	}
}

// scrape reads all metrics, compressed if the proxy likes, as a monitoring does.
func (s *scraper) scrape(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/metrics", http.NoBody)
	if err != nil {
		return fmt.Errorf("scrape: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("scrape: %w", err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n == 0) {
		err = fmt.Errorf("%s, %d bytes", resp.Status, n)
	}
	if err != nil {
		return fmt.Errorf("scrape: %w", err)
	}
	return nil
}

// err is why it has stopped by itself; nil if it has not.
func (s *scraper) err() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *scraper) stop() {
	if s == nil {
		return
	}
	s.cancel()
	<-s.ended
	s.client.CloseIdleConnections()
}
