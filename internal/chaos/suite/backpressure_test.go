package suite

import "github.com/fairlead/fairlead/internal/chaos"

// plainly comes by HTTP/1.1 without TLS.
func plainly(l chaos.Load) chaos.Load { return l }

// backpressureScenarios hold transfers still, beside a small load that is not to
// notice.
var backpressureScenarios = func() (all []Scenario) {
	for _, d := range append([]door{{"http1", "in HTTP/1.1", plainly}}, doors...) {
		all = append(all, Scenario{
			Name: "held_transfers_over_" + d.name, Proves: []string{"backpressure", "isolation"}, Full: d.name == "h2c" || d.name == "tls",
			Text:  "A client takes nothing of 64 MB, and then an origin nothing of an upload of 64 MB, " + d.text + ": who sends is held back after what the kernel's buffers hold, the proxy's memory is what it was, both transfers are whole in the end, and nobody else notices.",
			Setup: Setup{Doors: true, Server: "body_idle_timeout = \"30s\"\n", Origin: "response_header_timeout = \"20s\"\n", Route: "timeout = \"30s\"\n"},
			Load:  []chaos.Load{Reading(30)},
			Steps: Now(Served("eu", 10), HeldDownload(d.by), HeldUpload(d.by), Served("eu", 5)),
			Want:  []Expectation{AllServed(), NoFailover(), NoFailure("eu"), Arrivals("us", 0, 0), AttemptsPerRequest(1)},
		})
	}
	return all
}()
