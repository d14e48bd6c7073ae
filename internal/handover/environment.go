package handover

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// variable tells a child that sockets are handed over to it: "1:5" is the
// version of the agreement and the number of sockets.
const (
	variable = "FAIRLEAD_HANDOVER"
	version  = 1
)

// Variables of systemd, see sd_listen_fds(3).
const (
	listenPID   = "LISTEN_PID"
	listenFDs   = "LISTEN_FDS"
	listenNames = "LISTEN_FDNAMES"
)

// variables are for this process alone: Inherit removes them all. LISTEN_PIDFDID
// is what newer systemds add to LISTEN_PID.
var variables = []string{variable, listenPID, listenFDs, listenNames, "LISTEN_PIDFDID"}

// Where the descriptors of a child begin.
const (
	firstDescriptor = 3 // of systemd's sockets; a parent has its two pipes before them
	inDescriptor    = firstDescriptor
	outDescriptor   = firstDescriptor + 1
	handedFrom      = firstDescriptor + 2
)

// given is what the environment says about inherited descriptors.
type given struct {
	parent bool
	handed int      // sockets from a parent
	names  []string // of each socket from systemd
}

// readEnvironment checks what get finds. Variables of systemd that are meant
// for another process count as absent, as sd_listen_fds(3) has it.
func readEnvironment(get func(string) string, pid int) (g given, err error) {
	if text := get(variable); text != "" {
		g.parent = true
		if g.handed, err = readVariable(text); err != nil {
			return given{}, err
		}
	}
	g.names, err = readListenFDs(get, pid)
	switch {
	case err != nil:
		return given{}, err
	case g.parent && len(g.names) > 0:
		return given{}, fmt.Errorf("%s and %s are both set for this process, and both mean descriptor %d", variable, listenFDs, firstDescriptor)
	}
	return g, nil
}

func readVariable(text string) (sockets int, err error) {
	v, n, _ := strings.Cut(text, ":")
	if v != strconv.Itoa(version) {
		return 0, fmt.Errorf("%s=%q: this program knows version %d of the hand-over only; restart it instead", variable, text, version)
	}
	if sockets, err = strconv.Atoi(n); err != nil || sockets < 0 || sockets > MaxSockets {
		return 0, fmt.Errorf("%s=%q: %q is not a number of sockets from 0 to %d", variable, text, n, MaxSockets)
	}
	return sockets, nil
}

func readListenFDs(get func(string) string, pid int) (names []string, err error) {
	whose, count := get(listenPID), get(listenFDs)
	if whose == "" || count == "" {
		return nil, nil
	}
	if n, err := strconv.Atoi(whose); err != nil || n <= 0 {
		return nil, fmt.Errorf("%s=%q is not a process id", listenPID, whose)
	} else if n != pid {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > MaxSockets {
		return nil, fmt.Errorf("%s=%q is not a number of sockets from 1 to %d", listenFDs, count, MaxSockets)
	}
	if get(listenNames) == "" {
		return slices.Repeat([]string{""}, n), nil
	}
	names = strings.Split(get(listenNames), ":")
	if len(names) != n {
		return nil, fmt.Errorf("%s=%q has %d names for %d sockets", listenNames, get(listenNames), len(names), n)
	}
	return names, nil
}

// childEnvironment is the environment of a child with so many sockets.
func childEnvironment(environ []string, sockets int) []string {
	own := func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return slices.Contains(variables, name)
	}
	return append(slices.DeleteFunc(slices.Clone(environ), own), fmt.Sprintf("%s=%d:%d", variable, version, sockets))
}

// errNoInherit says that Start was called on Sockets that Inherit didn't return.
var errNoInherit = errors.New("nothing is known about this process: call Inherit first, when it starts")
