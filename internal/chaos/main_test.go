package chaos

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fairlead/fairlead/internal/testrun"
)

// No goroutine outlives the tests.
func TestMain(m *testing.M) {
	testrun.Abreast(8)
	goleak.VerifyTestMain(m)
}
