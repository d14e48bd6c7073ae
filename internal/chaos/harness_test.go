package chaos

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// fakeTB is a test that may fail without failing ours.
type fakeTB struct {
	errors   []string
	cleanups []func()
}

func (f *fakeTB) Helper()           {}
func (f *fakeTB) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTB) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}
func (f *fakeTB) Fatalf(format string, args ...any) { f.Errorf(format, args...) }

func (f *fakeTB) end() {
	for _, cleanup := range slices.Backward(f.cleanups) {
		cleanup()
	}
}

func newClient(t *testing.T, o *Origin) *Client {
	c := &Client{Network: o.Network(), Address: o.Addr(), Timeout: 5 * time.Second}
	t.Cleanup(c.Close)
	return c
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\nChaos-Id: raw\r\n\r\n" }

// openFor opens an origin that can have the fault, or skips where the system can't.
func openFor(t *testing.T, f Fault) *Origin {
	t.Helper()
	open := NewOrigin
	if f.TLS {
		open = NewTLSOrigin
	}
	o := open(t, "eu")
	if err := f.Possible(o); err != nil {
		t.Skip(err)
	}
	return o
}

func begin(t *testing.T, f Fault, o *Origin) {
	t.Helper()
	if err := f.Begin(o, probe); err != nil {
		t.Fatal(err)
	}
}
