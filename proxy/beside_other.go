//go:build !linux

package proxy

import (
	"fmt"
	"net"
)

// listenBeside says what to do instead: here a port that one of our own listeners
// has can't be bound before that is closed, and then a reload could fail halfway.
func listenBeside(address string, gone []*listener, why error) (net.Listener, error) {
	if len(overlapping(address, gone)) > 0 {
		return nil, fmt.Errorf("%w by a listener that this reload would remove: remove that one with one reload, and add this one with the next", why)
	}
	return nil, why
}
