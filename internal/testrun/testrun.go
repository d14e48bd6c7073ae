// Package testrun is what the tests of several packages share: how many run at once,
// and where a socket may be.
package testrun

import (
	"flag"
	"strconv"
)

// Abreast lets n parallel tests run at once, however few processors there are,
// unless -parallel says how many: for tests that mostly wait, for an outage to be
// noticed or for a time-out to pass. Call it first in TestMain.
func Abreast(n int) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(n)) // a number is a good value
	}
}
