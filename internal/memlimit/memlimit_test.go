package memlimit

import (
	"errors"
	"math"
	"os"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

func TestTheOperatorWinsAndThenTheContainer(t *testing.T) {
	broken := errors.New("broken")
	has := func(bytes uint64, err error) func() (uint64, error) {
		return func() (uint64, error) { return bytes, err }
	}
	tests := []struct {
		name        string
		environment string
		container   func() (uint64, error)
		want        Limit
		told        int64 // 0: nothing
		err         error
	}{
		{"a container", "", has(1000<<20, nil), Limit{FromContainer, 700 << 20}, 700 << 20, nil},
		{"a small container", "", has(20<<20, nil), Limit{FromContainer, least}, least, nil},
		{"the largest number", "", has(math.MaxUint64, nil), Limit{FromContainer, 1 << 62 / 100 * share}, 1 << 62 / 100 * share, nil},
		{"a container without a limit", "", has(0, memlimit.ErrNoLimit), Limit{}, 0, nil},
		{"no container", "", has(0, memlimit.ErrNoCgroup), Limit{}, 0, nil},
		{"a system without containers", "", has(0, memlimit.ErrCgroupsNotSupported), Limit{}, 0, nil},
		{"a container that can't be read", "", has(0, broken), Limit{}, 0, broken},
		{"the operator in a container", "100MiB", has(1000<<20, nil), Limit{FromEnvironment, 100 << 20}, 0, nil},
		{"the operator who wants none", "off", has(1000<<20, nil), Limit{FromEnvironment, 100 << 20}, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			told := int64(0)
			got, err := set(tt.environment, tt.container, func(bytes int64) int64 {
				if bytes < 0 {
					return 100 << 20 // what the runtime has made of the environment
				}
				told = bytes
				return 0
			})
			if got != tt.want || told != tt.told || !errors.Is(err, tt.err) {
				t.Errorf("got %+v, told %d, error %v", got, told, err)
			}
		})
	}
}

// Wherever the test runs, the files of the system are read without an error.
func TestThisSystemCanBeRead(t *testing.T) {
	if os.Getenv("GOMEMLIMIT") != "" {
		t.Skip("GOMEMLIMIT is set")
	}
	told := int64(0)
	l, err := set("", memlimit.FromCgroup, func(bytes int64) int64 { told = bytes; return 0 })
	if err != nil {
		t.Skipf("this container's limit can't be read: %v", err)
	}
	if (l.From == FromContainer) != (told >= least) || l.Bytes != told {
		t.Errorf("got %+v, told %d", l, told)
	}
}
