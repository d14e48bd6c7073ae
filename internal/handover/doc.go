// Package handover passes listening sockets from a running process to the one
// that replaces it, so that no connection is refused in between. It also takes
// the sockets that systemd opened for a process.
//
// The new process, early in main:
//
//	sockets, err := handover.Inherit()
//	l, err := sockets.Listener(":8080") // nil, nil: there is none, bind it
//	closed := sockets.CloseRest()       // what is no longer configured
//	if parent := sockets.Parent(); parent != nil {
//		err = parent.Ready() // nil: the parent drains now
//	}
//
// The old one, when it is asked to make room:
//
//	child, err := sockets.Start(ctx, handover.Config{Sockets: mine, State: state})
//	err = child.Wait() // nil: close the listeners and drain; else go on as before
//
// # How two processes agree
//
// The child inherits two pipes and the sockets. Through one pipe the parent
// sends the list of the sockets and its state, through the other the child
// says one byte when it is ready, and through the first the parent confirms
// with one byte, unless Config.Confirm finds that the state is no longer true. Until the confirmation is sent the parent is in charge and
// whatever goes wrong ends the child; from then on the child is. So a child
// that becomes ready in the moment in which the parent gives up has done
// nothing yet that the parent would miss.
//
// The two may be of different versions. FAIRLEAD_HANDOVER in the environment
// has the version of this agreement, and fields that one side doesn't know are
// skipped.
//
// # Unix sockets
//
// The path of a unix socket belongs to whoever is in charge. A child that fails
// leaves it, the parent leaves it once it has handed over, and a child in charge
// removes it when it closes the listener. The path of a socket from systemd is
// systemd's, over any number of hand-overs.
//
// # What it refuses to do
//
// It keeps no duplicate of a socket: what the owner closes is closed. It
// binds nothing, knows no signals and passes no connections. It has no way for
// Windows, where sockets can't be inherited this way: Inherit finds nothing
// there and Start says so.
package handover
