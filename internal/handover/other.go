//go:build !unix

package handover

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// Inherit finds nothing: sockets are not passed to programs here.
func Inherit() (*Sockets, error) { return &Sockets{inCharge: true}, nil }

// Start returns an error that wraps errors.ErrUnsupported: sockets can't be
// handed over here.
func (s *Sockets) Start(context.Context, Config) (*Child, error) {
	return nil, fmt.Errorf("hand over: %w on %s: stop the program and start the new one", errors.ErrUnsupported, runtime.GOOS)
}
