// Package systemd tells the service manager how this process is: starting is
// done, a reload has begun, it is about to end, another process is the main one
// now. See sd_notify(3).
//
//	err := systemd.Notify(systemd.Ready, systemd.MainPID(os.Getpid()), systemd.Status("serving"))
//
// It speaks the protocol itself, which is one datagram. The usual library waits
// without a limit where the manager doesn't read; here a second is the limit,
// since a proxy must not hang because something else does.
//
// Without $NOTIFY_SOCKET nothing happens, and so on every system without systemd.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// State is one thing to tell: "NAME=value".
type State string

// What needs no value.
const (
	Ready    State = "READY=1"    // started, or done with reloading
	Stopping State = "STOPPING=1" // about to end. Never said after a hand-over: it would stop the successor.
)

// Reloading says that the configuration is being read again. Ready ends it. The
// time in it is that of the call, so ask for it when the reload begins.
func Reloading() State {
	const reloading = "RELOADING=1"
	if now := monotonic(); now > 0 {
		return State(reloading + "\nMONOTONIC_USEC=" + strconv.FormatInt(now.Microseconds(), 10))
	}
	return reloading
}

// MainPID says which process is the service's main one. After a hand-over the
// new process says it of itself, which takes NotifyAccess=all.
func MainPID(pid int) State { return State("MAINPID=" + strconv.Itoa(pid)) }

// Status is a line for people, which systemctl status shows. It stays one line.
func Status(text string) State {
	oneLine := func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}
	return State("STATUS=" + strings.Map(oneLine, text))
}

const variable = "NOTIFY_SOCKET"

// patience is how long a manager that doesn't read is waited for.
const patience = time.Second

// Notify tells the service manager, in one message. It does nothing where there
// is no manager, and never blocks for more than a second. Any goroutine may
// call it.
func Notify(states ...State) error {
	address := os.Getenv(variable)
	if address == "" || len(states) == 0 {
		return nil
	}
	if err := send(address, states); err != nil {
		return fmt.Errorf("notify systemd at %s=%q: %w", variable, address, err)
	}
	return nil
}

func send(address string, states []State) error {
	if address[0] != '/' && address[0] != '@' {
		return errors.New("neither a path nor an abstract socket")
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		return err
	}
	defer c.Close()
	var b strings.Builder
	for _, s := range states {
		b.WriteString(string(s))
		b.WriteByte('\n')
	}
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	_, err = c.Write([]byte(b.String()))
	return err
}
