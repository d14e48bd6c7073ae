package resolver

import (
	"context"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// FuzzResponse lets a server answer anything, with the right id: whatever it
// is, a lookup ends, with addresses of which each can be used or an error that
// can be told.
func FuzzResponse(f *testing.F) {
	q := query{Message: dnswire.Message{RecursionDesired: true, OPTs: 1}}
	q.Question = dnswire.Question{Name: "shop.example.", Type: dnswire.TypeA, Class: dnswire.ClassIN}
	q.Questions = []dnswire.Question{q.Question}
	for _, m := range []dnswire.Message{
		has(60, "192.0.2.1", "0.0.0.0")(q).msgs[0],
		q.records(alias("shop.example.", 60, "a.example."), alias("a.example.", 60, "shop.example.")).msgs[0],
		q.records(alias("shop.example.", 60, "a.example."), addr("a.example.", 1<<31, "192.0.2.1")).msgs[0],
		q.code(dnswire.RcodeServerFailure).msgs[0],
		q.code(dnswire.RcodeFormatError).msgs[0],
		q.records().msgs[0],
	} {
		b := packed(m)
		f.Add(b, b)
		f.Add(b[:len(b)-3], b)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		n := 0
		s := fixedSetup(Config{Servers: []string{ns1}, Timeout: time.Hour})
		r := &Resolver{setup: func() *setup { return s }}
		r.querier.exchange = func(_ context.Context, _, _ string, ask []byte, accept func([]byte) bool) error {
			if n++; n > 4*maxLinks*maxLinks {
				t.Fatal("questions without end")
			}
			for _, b := range [][]byte{first, second} {
				b = append([]byte{}, b...)
				if len(b) >= 2 {
					binary.BigEndian.PutUint16(b, binary.BigEndian.Uint16(ask))
				}
				if accept(b) {
					return nil
				}
			}
			return io.ErrUnexpectedEOF
		}
		out := r.follow(t.Context(), s, "shop.example.", dnswire.TypeA)
		if out.err != nil {
			if out.err.Kind == 0 || out.err.Err == nil || out.err.Kind.String() == "invalid" {
				t.Errorf("an error that says nothing: %+v", out.err)
			}
			return
		}
		if len(out.addrs) == 0 || len(out.addrs) > maxAddrs || out.ttl < 0 || out.ttl >= 1<<31*time.Second || out.name == "" {
			t.Errorf("%+v", out)
		}
		for _, a := range out.addrs {
			if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() {
				t.Errorf("address %s", a)
			}
		}
	})
}
