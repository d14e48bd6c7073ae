package suite

import (
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/fairlead/fairlead/internal/testrun"
)

// abreast is how many scenarios are played at the same time. They wait more than
// they work.
const abreast = 10

// fullVariable, set to "full" in the environment, asks for every scenario, not
// only for those that are quick.
const fullVariable = "FAIRLEAD_CHAOS"

func TestMain(m *testing.M) {
	testrun.Abreast(abreast)
	code := m.Run()
	if err := results.write(os.Getenv(reportVariable)); err != nil {
		println(err.Error())
		code = 1
	}
	Clean()
	os.Exit(code)
}

// matrix is all scenarios.
func matrix() []Scenario {
	return slices.Concat(
		connectScenarios,
		pointerScenarios,
		wireScenarios(),
		flappingScenarios,
		verdictScenarios,
		bothDownScenarios,
		overloadScenarios,
		doorScenarios,
		malformedScenarios,
		routingScenarios,
		identityScenarios,
		nameserverScenarios,
		operatorScenarios,
		backpressureScenarios,
		proxyProtocolScenarios,
		certificateScenarios,
		leavingScenarios,
		slowClientScenarios,
		inflightScenarios,
		restartScenarios,
		exhaustionScenarios,
	)
}

// machine is held by scenarios that need it for themselves, and shared by the others.
var machine sync.RWMutex

// TestScenarios plays the matrix. Each scenario is a test of its own.
func TestScenarios(t *testing.T) {
	if raceDetector {
		t.Skip("with the race detector clients and origins are too slow for what scenarios say of time; the soak is played, with a program that has the detector, too")
	}
	full := os.Getenv(fullVariable) == "full"
	for _, sc := range matrix() {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			if sc.Full && !full {
				t.Skipf("it is long: set %s=full", fullVariable)
			}
			for _, need := range sc.Needs {
				if !need.Has() {
					results.skip(&sc, need.Text)
					t.Skipf("it needs %s", need.Text)
				}
			}
			judge(t, &sc)
		})
	}
}

// repeats is how often a scenario is played once more, alone, where a busy machine
// made its claims worthless.
const repeats = 2

func judge(t *testing.T, sc *Scenario) {
	o := playBeside(sc)
	for n := range repeats {
		// What is no invariant is believed when it fails twice, the second time alone.
		if o.Err() == nil || o.Broken != nil || n > 0 && !o.Excused() {
			break
		}
		t.Logf("once more, since the machine took %v from it, %v at once: %v", o.Lost, o.Deaf, o.Err())
		o = playAlone(sc)
	}
	results.add(o)
	t.Logf("%v, %v, %d flips", o.Ledger, o.Took, len(o.journal.flips()))
	if err := o.Err(); err != nil {
		t.Errorf("%s (the machine took %v, %v at once)\n%v", sc.Text, o.Lost, o.Deaf, err)
	}
	if o.Broken != nil {
		t.Error("broken invariant: no slowness of the machine explains it")
	}
}

func playBeside(sc *Scenario) *Outcome {
	if sc.Alone {
		return playAlone(sc)
	}
	machine.RLock()
	defer machine.RUnlock()
	return Play(sc)
}

func playAlone(sc *Scenario) *Outcome {
	machine.Lock()
	defer machine.Unlock()
	return Play(sc)
}

// Names are those of tests, pictures and docs/chaos.md.
func TestNamesAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, sc := range matrix() {
		if seen[sc.Name] || sc.Name == "" || sc.Text == "" || len(sc.Proves) == 0 || len(sc.Want) == 0 {
			t.Errorf("scenario %q has the name of another, or lacks a text, a promise or an expectation", sc.Name)
		}
		seen[sc.Name] = true
	}
}
