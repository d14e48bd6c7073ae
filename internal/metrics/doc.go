// Package metrics shows Prometheus what Fairlead counts.
//
//	m := metrics.New(func() metrics.Snapshot { ... })
//	mux.Handle("GET /metrics", m.Handler())
//
// Nothing of it is in the data path. Whoever serves requests counts in fields of
// its own; each scrape asks for a [Snapshot] of them and writes it out. There is
// no registry of ours to look a label up in, and every label's values come from
// the configuration or from a closed list, so that the number of series is
// bounded by the file that the operator wrote.
//
// The answer is the text format of Prometheus, version 0.0.4, and it streams: a
// scrape holds the snapshot and one buffer. client_golang's own registry holds
// every sample of a page, and with 10,000 routes takes 400 MB and more than twenty times
// as long for it (BenchmarkScrape), which is too much in a process that has
// requests to serve. So it gives the metrics of the Go runtime and of the process,
// and the tests compare every line of ours with what its strictest registry
// writes.
package metrics
