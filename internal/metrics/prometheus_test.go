package metrics

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// patience bounds every wait for something that has to happen.
const patience = 30 * time.Second

func TestAScrapeHasOurMetricsAndThoseOfTheProcess(t *testing.T) {
	s := everything(1)
	w := httptest.NewRecorder()
	New(func() Snapshot { return s }).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", http.NoBody))
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("%d, Content-Type %q", w.Code, w.Header().Get("Content-Type"))
	}
	shown := parsed(t, w.Body.String())
	for _, name := range []string{"fairlead_requests_total", "go_goroutines", "go_memstats_heap_alloc_bytes", "fairlead_scrapes_total"} {
		if shown[name] == nil {
			t.Errorf("%s is not shown", name)
		}
	}
}

func TestEachScrapeAsksTheSourceAnew(t *testing.T) {
	var s Snapshot
	h := New(func() Snapshot { s.Refused++; return s }).Handler()
	for _, want := range []string{"fairlead_refused_requests_total 1\n", "fairlead_refused_requests_total 2\n"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", http.NoBody))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page has no line %q", want)
		}
	}
}

func TestAHeadRequestAsksTheSourceNothing(t *testing.T) {
	w := httptest.NewRecorder()
	New(func() Snapshot { t.Error("the source was asked"); return Snapshot{} }).Handler().ServeHTTP(w, httptest.NewRequest("HEAD", "/metrics", http.NoBody))
	if w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}

func TestMoreThanThreeScrapesAtATimeAreRefused(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	m := New(func() Snapshot {
		asked <- struct{}{}
		<-answer
		return Snapshot{}
	})
	scrape := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", http.NoBody))
		return w
	}
	ended := make(chan int, maxScrapes)
	for range maxScrapes {
		go func() { ended <- scrape().Code }()
		<-asked
	}
	if w := scrape(); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("the fourth scrape: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	close(answer)
	for range maxScrapes {
		if code := <-ended; code != 200 {
			t.Errorf("a scrape that was under way: %d", code)
		}
	}
	go func() { <-asked }()
	w := scrape()
	if w.Code != 200 {
		t.Errorf("a scrape after all have ended: %d", w.Code)
	}
	for _, want := range []string{`fairlead_scrapes_total{result="done"} 3`, `fairlead_scrapes_total{result="refused"} 1`} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("the page has no line %q", want)
		}
	}
}

func TestASourceThatPanicsGivesItsTurnBack(t *testing.T) {
	m := New(func() Snapshot { panic("on purpose") })
	for range maxScrapes + 1 {
		func() {
			defer func() { recover() }()
			m.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", http.NoBody))
		}()
	}
	if n := len(m.turns); n != 0 {
		t.Errorf("%d turns are still taken", n)
	}
}

// askRaw asks for the page on a connection of its own, of which it reads nothing. Served is closed when
// the page is over.
func askRaw(t *testing.T, m *Metrics) (c net.Conn, served <-chan struct{}) {
	t.Helper()
	over := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(over)
		m.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c, over
}

// TestAScrapeStreamsAndEndsWithItsReader sees the page's beginning while its end can't have been
// written: it is larger than what the sockets between take.
func TestAScrapeStreamsAndEndsWithItsReader(t *testing.T) {
	s := everything(5000)
	m := New(func() Snapshot { return s })
	c, served := askRaw(t, m)
	c.SetDeadline(time.Now().Add(patience))
	head := make([]byte, 4096)
	if _, err := io.ReadFull(c, head); err != nil || !bytes.Contains(head, []byte("# HELP fairlead_build_info")) {
		t.Fatalf("the first bytes are %q, %v", head, err)
	}
	select {
	case <-served:
		t.Fatal("the page was over before it was read")
	default:
	}
	c.Close()
	select {
	case <-served:
	case <-time.After(patience):
		t.Fatal("the scrape goes on without its reader")
	}
	if m.broken.Load() != 1 || m.done.Load() != 0 || len(m.turns) != 0 {
		t.Errorf("broken %d, done %d, turns taken %d", m.broken.Load(), m.done.Load(), len(m.turns))
	}
}

func TestAReaderThatTakesNothingIsBrokenOff(t *testing.T) {
	s := everything(5000)
	m := New(func() Snapshot { return s })
	m.timeout = 50 * time.Millisecond
	_, served := askRaw(t, m)
	select {
	case <-served:
	case <-time.After(patience):
		t.Fatal("the scrape waits for its reader without an end")
	}
	if m.broken.Load() != 1 || len(m.turns) != 0 {
		t.Errorf("broken %d, turns taken %d", m.broken.Load(), len(m.turns))
	}
}

type badCollector struct{}

var badDesc = prometheus.NewDesc("bad", "Bad.", nil, nil)

func (badCollector) Describe(ch chan<- *prometheus.Desc) { ch <- badDesc }
func (badCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(badDesc, io.ErrUnexpectedEOF)
}

func TestACollectorThatFailsCostsNoOtherMetric(t *testing.T) {
	m := New(func() Snapshot { return Snapshot{} })
	m.runtime.(*prometheus.Registry).MustRegister(badCollector{})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", http.NoBody))
	if page := w.Body.String(); w.Code != 200 || !strings.Contains(page, "go_goroutines ") || !strings.Contains(page, "fairlead_build_info") {
		t.Errorf("%d, and metrics are missing", w.Code)
	}
	if m.incomplete.Load() != 1 {
		t.Error("it was not counted")
	}
}

// BenchmarkScrape writes a page with 10,000 routes: as we do, and as
// client_golang's registry would with the same samples as constant metrics.
func BenchmarkScrape(b *testing.B) {
	s := everything(10000)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		m := New(func() Snapshot { return s })
		var n counting
		for b.Loop() {
			n = 0
			if err := m.write(&n); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n)/1e6, "MB/page")
	})
	b.Run("registry", func(b *testing.B) {
		r := prometheus.NewRegistry()
		r.MustRegister(strict(parsed(b, text(b, &s))))
		b.ReportAllocs()
		var n counting
		for b.Loop() {
			n = 0
			all, err := r.Gather()
			if err != nil {
				b.Fatal(err)
			}
			encoder := expfmt.NewEncoder(&n, expfmt.NewFormat(expfmt.TypeTextPlain))
			for _, f := range all {
				if err := encoder.Encode(f); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(n)/1e6, "MB/page")
	})
}

type counting int

func (n *counting) Write(b []byte) (int, error) {
	*n += counting(len(b))
	return len(b), nil
}
