package upstream_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/fairlead/fairlead/internal/upstream"
)

func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go func() { // an origin that takes one connection and repeats what it hears
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, c)
	}()

	origin := upstream.New(upstream.Config{Name: "eu", Address: l.Addr().String()})
	pool := origin.NewPool(8)
	buf := make([]byte, 4096)
	for range 2 {
		conn := pool.Idle(false)
		if conn == nil {
			if conn, err = pool.Dial(context.Background()); err != nil {
				fmt.Println(err)
				return
			}
		}
		n, err := conn.Exchange([]byte("ping"), buf)
		if err != nil {
			conn.Close()
			fmt.Println(err)
			return
		}
		fmt.Printf("%s, reused: %v\n", buf[:n], conn.Reused())
		pool.Put(conn)
	}
	pool.Close()
	fmt.Println("open at the end:", origin.Open())
	// Output:
	// ping, reused: false
	// ping, reused: true
	// open at the end: 0
}
