package suite

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promise is something that Fairlead's users may rely on.
type promise struct{ key, text string }

// promises are all that scenarios prove, in the order of docs/chaos.md.
var promises = []promise{
	{"unplugged", "Unplugging the primary under load costs no covered request anything but milliseconds, and a write that could not be sent a second's wait."},
	{"failover", "A covered request that fails at one origin is answered by the other one, in the same request."},
	{"coverage", "Only GET, HEAD and OPTIONS without a body fail over, and only before the commit."},
	{"classes", "A failure has the name of its class: `dns`, `connect_refused`, `connect_timeout`, `tls`, `write`, `header_timeout`, `reset`, `malformed`, `status:NNN`, `breaker_open`."},
	{"attempts", "At most one send to each origin for a request."},
	{"both_fail", "Where both origins fail, the client gets the secondary's response, else the primary's, else 504 or 502."},
	{"commit", "Nothing is retried after the first byte of the response; an origin that breaks off makes an unmistakable abort."},
	{"responses", "A client gets one origin's whole response, an error or an abort, and response *n* belongs to request *n*."},
	{"interim", "1xx responses are relayed or bounded, and a switch of protocols that nobody asked for is none."},
	{"once", "An uncovered request is sent at most once in total, ever."},
	{"park", "A write that could not be sent waits for the pointer, for the origin, or for `park_timeout` and then gets 503 with Retry-After; it never reaches the secondary before the pointer."},
	{"unsafe_modes", "`unsafe = \"unsent\"` sends such a write to the secondary at once, `never` answers 502."},
	{"breaker", "A breaker lets covered requests skip a primary that keeps failing, and refuses only where no candidate is left."},
	{"pointer", "The pointer leaves a primary that refuses connections in less than 1.5 s with traffic, and in `fall` times `interval` and a time-out without; no request dispatched after a flip goes to the old target."},
	{"failback", "The pointer comes back after `rise`, `failback_after` of unbroken health and `min_hold`, which doubles for a primary that flaps."},
	{"both_down", "While both origins are down, `both_down` decides: `fail_open`, `stay` or `fail_fast`."},
	{"health", "Verdicts need consecutive results; a probe that lies moves what it may move and no more; a pause of our own is not the origin's fault."},
	{"bulkhead", "A route has `max_concurrent` requests in flight and `max_queue` waiting, first in, first out, and no more; who is over that gets 503 with Retry-After at once, no origin is asked, and nothing fails over for it."},
	{"isolation", "A route that is stuck or flooded does not slow another one, on the same origins."},
	{"no_collapse", "A stall that is over leaves nothing behind: goodput is back within two probe intervals, and there are never two attempts for each request."},
	{"clients_leave", "A client that leaves, at whatever point, is nobody's failure and gives back what it held."},
	{"hostile", "Clients that are slow, deaf or many hurt nobody but themselves."},
	{"refused", "A malformed request is refused and reaches no origin."},
	{"tunnels", "Upgrades and streams that are under way finish where they are, whatever the pointer does."},
	{"dns", "While any usable answer is known no request waits for DNS; an outage of DNS, lies and empty answers cost what they must and no more."},
	{"tls", "An origin whose certificate is wrong, expired or does not come is not believed."},
	{"reload", "A reload under load loses no request; a broken file changes nothing."},
	{"upgrade", "A new process takes over under load without a refused connection."},
	{"drain", "A drain finishes what is in flight and loses nothing that crosses with it."},
	{"state", "The pointer and its hold survive SIGKILL; a state file that is corrupt, cut or somebody else's is told of and does no harm."},
	{"exhaustion", "Running out of descriptors, memory or disk costs what can't be had, never what is already promised."},
	{"clock", "A wall clock that jumps moves no pointer."},
	{"doors", "TLS and HTTP/2 are other doors to the same exchange: the same failover, and an abort that can't be taken for an end."},
	{"identity", "What an origin learns of a client is what Fairlead saw, not what a stranger wrote; each attempt is built from the client's head; a request that comes back is a loop."},
	{"routing", "Paths and queries arrive byte for byte, and what no route matches reaches nobody."},
	{"nameserver", "The pointer is answered over DNS within 100 ms of a flip, and another proxy can follow it."},
	{"operator", "Changes by hand under load cost no request; the admin listener answers whatever happens to the routes."},
	{"backpressure", "No body is buffered: who reads slowly holds back who writes."},
	{"proxy_protocol", "A PROXY header is believed from trusted peers and from nobody else."},
	{"certificates", "New certificates are taken up under load; a broken pair keeps the old one."},
	{"account", "accepted = served + failed over + shed + failed + left."},
	{"leaks", "At rest there are no permits in use, and goroutines and descriptors are back where they were."},
}

// everyScenario are the promises that are asked of every scenario, by
// invariants.go, and not only of those that are about them.
var everyScenario = []string{"once", "attempts", "responses", "account", "leaks"}

const document = "../../../docs/chaos.md"

// TestTheDocumentMapsEachPromise holds docs/chaos.md against the matrix, and
// rewrites its tables if FAIRLEAD_UPDATE is set.
func TestTheDocumentMapsEachPromise(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	want := between(string(text), "promises", promiseTable(t))
	want = between(want, "scenarios", scenarioTable())
	want = between(want, "mutants", mutantTable(t))
	if want == string(text) {
		return
	}
	if os.Getenv("FAIRLEAD_UPDATE") == "" {
		t.Fatalf("docs/chaos.md is not what the matrix says: FAIRLEAD_UPDATE=1 go test ./internal/chaos/suite -run %s", t.Name())
	}
	if err := os.WriteFile(document, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

// between replaces what stands between two comments.
func between(text, name, table string) string {
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, ok1 := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return text + "\nno place for the " + name + "\n"
	}
	return before + begin + "\n" + table + "\n" + end + after
}

func promiseTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| promise | | scenarios |\n|---|---|---|\n")
	known := make(map[string]bool)
	for _, p := range promises {
		known[p.key] = true
		var by []string
		for _, sc := range matrix() {
			if slices.Contains(sc.Proves, p.key) {
				by = append(by, "`"+sc.Name+"`")
			}
		}
		slices.Sort(by)
		if slices.Contains(everyScenario, p.key) {
			by = []string{"every scenario, and the soak"}
		}
		if len(by) == 0 {
			t.Errorf("no scenario proves %s", p.key)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p.key, p.text, strings.Join(by, ", "))
	}
	for _, sc := range matrix() {
		for _, key := range sc.Proves {
			if !known[key] {
				t.Errorf("scenario %s proves %s, which is no promise", sc.Name, key)
			}
		}
	}
	return b.String()
}

func scenarioTable() string {
	all := matrix()
	slices.SortFunc(all, func(a, b Scenario) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	b.WriteString("| scenario | what happens, and what must become of it | runs |\n|---|---|---|\n")
	for _, sc := range all {
		runs := "always"
		if sc.Full {
			runs = "`make chaos`"
		}
		for _, need := range sc.Needs {
			runs += ", where there is " + need.Text
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", sc.Name, sc.Text, runs)
	}
	return b.String()
}

func mutantTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| mutant | the rule that it breaks | the scenario that finds it | and what that says |\n|---|---|---|---|\n")
	for _, m := range mutants(t) {
		fmt.Fprintf(&b, "| [`%s`](../internal/chaos/testdata/mutants/%s.patch) | %s | `%s` | \"%s\" |\n", m.Name, m.Name, m.Breaks, m.Scenario, m.Finds)
	}
	return b.String()
}

// TestEachGuaranteeOfTheReadmeIsMapped holds the table of guarantees in README.md
// against the one in docs/chaos.md.
func TestEachGuaranteeOfTheReadmeIsMapped(t *testing.T) {
	readme, err1 := os.ReadFile("../../../README.md")
	chaos, err2 := os.ReadFile(document)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	_, table, _ := strings.Cut(string(readme), "## Guarantees")
	table, _, _ = strings.Cut(table, "\n## ")
	_, mapped, _ := strings.Cut(string(chaos), "## The guarantees of the README")
	mapped, _, _ = strings.Cut(mapped, "\n## ")
	key := regexp.MustCompile("`([a-z_]+)`")
	rows := 0
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		if len(cells) < 2 || !strings.HasPrefix(row, "| ") || strings.HasPrefix(row, "| guarantee") {
			continue
		}
		rows++
		guarantee := strings.TrimPrefix(cells[0], "| ")
		_, by, ok := strings.Cut(mapped, "| "+guarantee+" | ")
		by, _, _ = strings.Cut(by, "\n")
		if !ok {
			t.Errorf("docs/chaos.md does not say which promise this is: %s", guarantee)
			continue
		}
		for _, m := range key.FindAllStringSubmatch(by, -1) {
			if !slices.ContainsFunc(promises, func(p promise) bool { return p.key == m[1] }) {
				t.Errorf("%s: there is no promise %s", guarantee, m[1])
			}
		}
	}
	if rows < 20 {
		t.Errorf("found %d guarantees in README.md", rows)
	}
}
