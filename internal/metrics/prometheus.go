package metrics

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

const (
	// maxScrapes is how many scrapes may be under way: those of a pair of
	// Prometheis, and somebody who looks by hand.
	maxScrapes = 3
	// scrapeTimeout ends a scrape whose reader is too slow. It is what
	// Prometheus waits for one at most, unless it is told otherwise.
	scrapeTimeout = 10 * time.Second
)

// Metrics answers scrapes. Make it with [New]. It has nothing to close.
type Metrics struct {
	source  func() Snapshot
	runtime prometheus.Gatherer
	turns   chan struct{} // one for each scrape that is under way
	timeout time.Duration // scrapeTimeout, but in tests

	done, broken, refused, incomplete atomic.Uint64
}

// New returns a Metrics that shows what source says, which each scrape calls
// once, and up to three at the same time.
func New(source func() Snapshot) *Metrics {
	m := &Metrics{source: source, turns: make(chan struct{}, maxScrapes), timeout: scrapeTimeout}
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		scrapes{m},
	)
	m.runtime = r
	return m
}

// Handler answers GET and HEAD with all metrics, in the text format. It answers
// 503 while three scrapes are under way, and breaks off one that is not taken
// within 10 s. Who may ask is its caller's business.
//
// It does not compress: who scrapes is near, and the processor has requests to
// serve.
func (m *Metrics) Handler() http.Handler { return http.HandlerFunc(m.scrape) }

func (m *Metrics) scrape(w http.ResponseWriter, r *http.Request) {
	select {
	case m.turns <- struct{}{}:
		defer func() { <-m.turns }()
	default:
		m.refused.Add(1)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "three scrapes are under way; ask again when one has ended, and less often", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	if r.Method == http.MethodHead {
		return
	}
	// Where there is no deadline to set, as with a recorder, nobody is slow.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(m.timeout))
	if err := m.write(w); err != nil {
		m.broken.Add(1)
		return
	}
	m.done.Add(1)
}

// write writes all metrics. The error is w's.
func (m *Metrics) write(w io.Writer) error {
	s := m.source()
	p := &page{w: w, buf: make([]byte, 0, pageBuffer+4096)}
	p.write(&s)
	p.flush()
	if p.err != nil {
		return p.err
	}
	// A collector that fails leaves its metrics out, and no others.
	all, err := m.runtime.Gather()
	if err != nil {
		m.incomplete.Add(1)
	}
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range all {
		if err := encoder.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

var scrapesDesc = prometheus.NewDesc("fairlead_scrapes_total",
	"Scrapes of these metrics; broken ones were not taken in time, incomplete ones lack metrics of the runtime.", []string{"result"}, nil)

// scrapes is the collector of a Metrics' own counters.
type scrapes struct{ m *Metrics }

// Describe implements prometheus.Collector.
func (scrapes) Describe(ch chan<- *prometheus.Desc) { ch <- scrapesDesc }

// Collect implements prometheus.Collector.
func (c scrapes) Collect(ch chan<- prometheus.Metric) {
	add := func(n *atomic.Uint64, result string) {
		ch <- prometheus.MustNewConstMetric(scrapesDesc, prometheus.CounterValue, float64(n.Load()), result)
	}
	add(&c.m.done, "done")
	add(&c.m.broken, "broken")
	add(&c.m.refused, "refused")
	add(&c.m.incomplete, "incomplete")
}
