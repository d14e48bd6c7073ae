package statefile

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asWriter, set in the environment, makes the test binary a process that saves
// into the file of that name.
const asWriter = "FAIRLEAD_TEST_STATE_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(asWriter); path != "" {
		writer(path)
	}
	goleak.VerifyTestMain(m)
}
