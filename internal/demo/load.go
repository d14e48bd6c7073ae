package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// GetsPerSecond and PostsPerSecond are the load.
	GetsPerSecond  = 50
	PostsPerSecond = 5

	// mostUnderWay bounds the requests under way. Should so many hang, no more are sent.
	mostUnderWay = 500
	// answerWithin is how long an answer may take before its request has failed.
	answerWithin = 15 * time.Second
)

// Tally is what became of requests. A request counts when it has ended.
type Tally struct {
	Answers            map[string]int // good answers by the origin that made them
	Gets, GetsFailed   int            // ended, and how many of them badly
	Posts, PostsFailed int
	Lost               int           // POSTs that were answered well but arrived nowhere
	SlowestGet         time.Duration // of the good ones
	SlowestPost        time.Duration
	GetFailure         string // the last failure of a GET, in words
	PostFailure        string // and of a POST
}

// Failed returns how many requests ended badly.
func (t *Tally) Failed() int { return t.GetsFailed + t.PostsFailed }

// Failure returns the last failure, in words; a GET's before a POST's.
func (t *Tally) Failure() string { return cmp.Or(t.GetFailure, t.PostFailure) }

// add counts one request.
func (t *Tally) add(post bool, origin string, took time.Duration, err error) {
	ended, failed, failure, slowest := &t.Gets, &t.GetsFailed, &t.GetFailure, &t.SlowestGet
	if post {
		ended, failed, failure, slowest = &t.Posts, &t.PostsFailed, &t.PostFailure, &t.SlowestPost
	}
	*ended++
	if err != nil {
		*failed++
		*failure = err.Error()
		return
	}
	if t.Answers == nil {
		t.Answers = make(map[string]int)
	}
	t.Answers[origin]++
	*slowest = max(*slowest, took)
}

// Load sends GETs and POSTs at a steady rate, whatever becomes of them. Make it
// with NewLoad.
type Load struct {
	base   string
	orders *Orders
	client *http.Client

	mu     sync.Mutex // guards what follows
	second Tally      // since the last Take
	total  Tally
}

// NewLoad returns a load for the proxy at base, such as "http://127.0.0.1:8080",
// whose POSTs are looked for in orders.
func NewLoad(base string, orders *Orders) *Load {
	return &Load{base: base, orders: orders, client: &http.Client{
		Timeout: answerWithin,
		// A new connection for each request: net/http would send a request
		// again if a kept one broke, and so hide a failure of the proxy.
		Transport: &http.Transport{DisableKeepAlives: true},
	}}
}

// Run sends requests until ctx ends, and returns when all have been answered.
// It may be called once.
func (l *Load) Run(ctx context.Context) {
	var requests sync.WaitGroup
	defer requests.Wait()
	underWay := make(chan struct{}, mostUnderWay)
	ticker := time.NewTicker(time.Second / GetsPerSecond)
	defer ticker.Stop()
	send := func(post bool, n int) {
		select {
		case underWay <- struct{}{}:
			requests.Go(func() { l.send(post, n); <-underWay })
		default:
		}
	}
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		send(false, n)
		if n%(GetsPerSecond/PostsPerSecond) == 0 {
			send(true, n)
		}
	}
}

// Take returns what has ended since the last Take.
func (l *Load) Take() Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.second
	l.second = Tally{}
	return t
}

// Total returns what has ended since the start. Its map is nobody else's.
func (l *Load) Total() Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.total
	t.Answers = maps.Clone(t.Answers)
	return t
}

// send sends one request and counts what becomes of it.
func (l *Load) send(post bool, n int) {
	id := strconv.Itoa(n)
	start := time.Now()
	origin, err := l.exchange(post, id)
	took := time.Since(start)
	lost := post && err == nil && !l.orders.Arrived(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range []*Tally{&l.second, &l.total} {
		t.add(post, origin, took, err)
		if lost {
			t.Lost++
		}
	}
}

// exchange sends a request and returns the origin that answered. The end of the
// load doesn't end it.
func (l *Load) exchange(post bool, id string) (origin string, err error) {
	var req *http.Request
	if post {
		req, err = http.NewRequest(http.MethodPost, l.base+"/order", strings.NewReader("one pizza, number "+id+"\n"))
	} else {
		req, err = http.NewRequest(http.MethodGet, l.base+"/page/"+id, http.NoBody)
	}
	if err != nil {
		return "", err
	}
	if post {
		req.Header.Set(FieldOrder, id)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "", fmt.Errorf("%s: %w", req.Method, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: status %d", req.Method, resp.StatusCode)
	}
	return resp.Header.Get(FieldOrigin), nil
}
