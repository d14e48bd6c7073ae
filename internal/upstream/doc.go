// Package upstream keeps connections to origins: it dials them, pools them and
// moves an exchange's first bytes over them with as few system calls as there
// can be.
//
// An [Origin] is one server; a [Pool] holds its idle connections for one
// route, so that routes never compete for them.
//
//	origin := upstream.New(upstream.Config{Name: "eu", Network: "tcp", Address: "127.0.0.1:9101"})
//	pool := origin.NewPool(64)
//	defer pool.Close()
//
//	conn := pool.Idle(false)
//	if conn == nil {
//		if conn, err = pool.Dial(ctx); err != nil {
//			return err // a *DialError
//		}
//	}
//	n, err := conn.Exchange(request, buf)
//	if err != nil {
//		conn.Close()
//		return err // a *WriteError, or what the read met
//	}
//	… // buf[:n] begins with the response's head; read the rest
//	pool.Put(conn)
//
// The package knows no HTTP: what a response is, when it ends and whether the
// connection may carry another request is for the caller to say, with Put or
// Close. It retries nothing: a connection that died is replaced by the caller,
// who alone knows whether the request may be sent again. It keeps no verdict
// about an origin, only which of its addresses failed in the last seconds. No
// goroutine outlives the call that started it.
//
// A host may have several addresses, and they may change: [Pool.Dial] says how
// one is chosen, [Origin.SetAddresses] what becomes of connections to those
// that are gone.
//
// A pool's idle connections are closed by [Pool.Prune], which somebody must
// call now and then.
package upstream
