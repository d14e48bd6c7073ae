package suite

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestSoak soaks for as long as FAIRLEAD_SOAK says, such as "1h"; without it for
// some seconds. FAIRLEAD_SOAK_SEED repeats a run.
func TestSoak(t *testing.T) {
	k := Soak{Seed: rand.Uint64(), Total: 3 * time.Second, Round: 3 * time.Second, Say: t.Logf}
	if text := os.Getenv("FAIRLEAD_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("FAIRLEAD_SOAK: %v", err)
		}
		k.Total, k.Round = d, min(d, 20*time.Second)
		k.Say = func(format string, args ...any) {
			fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
		}
	}
	if text := os.Getenv("FAIRLEAD_SOAK_SEED"); text != "" {
		var err error
		if k.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("FAIRLEAD_SOAK_SEED: %v", err)
		}
	}
	if raceDetector {
		var err error
		if k.Program, err = build("fairlead-race", "-race"); err != nil {
			t.Fatal(err)
		}
	}
	t.Parallel()
	machine.RLock()
	defer machine.RUnlock()
	k.Say("seed %d: FAIRLEAD_SOAK_SEED=%d repeats it", k.Seed, k.Seed)
	requests, err := k.Run()
	k.Say("%d requests", requests)
	if err != nil {
		t.Error(err)
	}
}
