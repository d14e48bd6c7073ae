// Package admin is the listener of the operators: the API under /v1/, the
// metrics, the two checks of health, and the dashboard's files.
//
//	journal := admin.NewJournal(time.Now())
//	s, err := admin.New(admin.Config{Listen: "127.0.0.1:9900", Backend: backend, Events: journal})
//	if err != nil { ... }
//	if _, err := s.Listen(); err != nil { ... }
//	err = s.Run(ctx)
//
// It decides nothing: what is asked of it, it asks of the Backend, and says it in
// the words of internal/adminapi. It stays out of the data path: nothing here is
// called by a request of a client.
//
// # A reload
//
// Prepare checks the next configuration and binds its address if that is another
// one. Commit then puts it to use and can't fail; abort gives back what was
// bound. A request that is under way, such as the very POST /v1/reload, is
// finished on the listener that it came by. Where the table is gone from the
// configuration, end the context of Run.
//
// # A hand-over
//
// Socket gives the listener, to be handed to another process, which takes it with
// ListenOn in place of Listen. Leave then ends this one and lets a unix socket's
// file be.
//
// # What keeps it safe
//
// There is no TLS here: it is for loopback, for a unix socket, or for a network
// that is private, and there only with a token. A token and a session cross that
// network in the clear. Who is asked for by a name that is not its own doesn't
// answer (DNS rebinding); requests that a page of another site makes are refused;
// changes are told to OnChange with who asked. A browser shows the cookie of a
// session to every port of the same host, so whoever serves another port there
// can see it.
//
// # What it refuses to do
//
// It keeps nothing on disk, knows no users and no roles, and logs nothing
// itself. It never waits for a slow reader.
package admin
