//go:build !unix

package chaos

import (
	"errors"
	"net"
)

// canSilence says why connects can't be left unanswered here.
var canSilence = errors.New("this system refuses a connect where others leave it unanswered")

func setBacklog(*net.TCPListener, int) error { return canSilence }
