package testrun

import (
	"flag"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	Abreast(37)
	os.Exit(m.Run())
}

func TestTheFlagIsSetUnlessSomebodyHas(t *testing.T) {
	if got := flag.Lookup("test.parallel").Value.String(); got != "37" {
		t.Skipf("-parallel %s was given", got)
	}
	Abreast(5)
	if got := flag.Lookup("test.parallel").Value.String(); got != "37" {
		t.Errorf("what was set is now %s", got)
	}
}
