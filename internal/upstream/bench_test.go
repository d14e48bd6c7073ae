package upstream

import (
	"bytes"
	"testing"
)

// BenchmarkExchange measures a keep-alive exchange of a small request and a
// 1 KiB answer with an origin in the same process, whose share is the same in
// both variants.
func BenchmarkExchange(b *testing.B) {
	req, buf := bytes.Repeat([]byte("x"), 200), make([]byte, 4096)
	variants := []struct {
		name string
		do   func(*Conn) error
	}{
		{"Exchange", func(c *Conn) error {
			_, err := c.Exchange(req, buf)
			return err
		}},
		{"WriteThenRead", func(c *Conn) error {
			_, err := c.writeThenRead(req, 0, buf, nil)
			return err
		}},
	}
	for _, network := range networks {
		for _, v := range variants {
			b.Run(network+"/"+v.name, func(b *testing.B) {
				s := serve(b, network, answer)
				c := dial(b, newPool(b, s.origin(b, nil), 1))
				defer c.Close()
				b.ReportAllocs()
				for b.Loop() {
					if err := v.do(c); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkIdlePut measures taking a connection from the pool and giving it
// back, without and with a look at its socket.
func BenchmarkIdlePut(b *testing.B) {
	for _, check := range []bool{false, true} {
		name := "unchecked"
		if check {
			name = "checked"
		}
		b.Run(name, func(b *testing.B) {
			s := serve(b, "tcp", hold)
			p := newPool(b, s.origin(b, nil), 8)
			p.Put(dial(b, p))
			b.ReportAllocs()
			for b.Loop() {
				p.Put(p.Idle(check))
			}
		})
	}
}
