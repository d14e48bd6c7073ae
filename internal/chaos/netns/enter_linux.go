package netns

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// enter moves the calling thread, which must be locked, into a namespace. The function that it returns moves it back.
func enter(name string) (leave func() error, err error) {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	away, err := os.Open("/run/netns/" + name)
	if err == nil {
		err = unix.Setns(int(away.Fd()), unix.CLONE_NEWNET)
		_ = away.Close()
	}
	if err != nil {
		_ = home.Close()
		return nil, err
	}
	return func() error {
		return errors.Join(unix.Setns(int(home.Fd()), unix.CLONE_NEWNET), home.Close())
	}, nil
}
