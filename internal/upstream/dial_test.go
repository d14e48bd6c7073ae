package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

var sentinels = []error{ErrLimit, ErrResolve, ErrRefused, ErrTimeout, ErrTLS}

// wantDialError checks that err is a *DialError that is want and no other
// sentinel; a nil want means none at all.
func wantDialError(t *testing.T, err error, phase Phase, want error) {
	t.Helper()
	d, ok := errors.AsType[*DialError](err)
	if !ok {
		t.Fatalf("got %v, want a *DialError", err)
	}
	if d.Phase != phase || d.Origin != "eu" {
		t.Errorf("got phase %v of origin %q, want %v of eu", d.Phase, d.Origin, phase)
	}
	for _, s := range sentinels {
		if got := errors.Is(err, s); got != (s == want) {
			t.Errorf("%v: is %q: %v", err, s, got)
		}
	}
}

// deadAddress is one where nobody listens.
func deadAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func resolveTo(addrs ...string) func(*Config) {
	return func(c *Config) {
		_, port, _ := net.SplitHostPort(c.Address)
		c.Address = net.JoinHostPort("origin.test", port)
		c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
			var ips []netip.Addr
			for _, a := range addrs {
				ips = append(ips, netip.MustParseAddr(a))
			}
			return ips, nil
		}
	}
}

func TestDialReaches(t *testing.T) {
	onEachNetwork(t, func(t *testing.T, s *testServer, c *Conn) {
		want := s.address
		if s.network == "unix" {
			want = "unix:" + want
		}
		if got := c.Remote(); got != want {
			t.Errorf("Remote is %q, want %q", got, want)
		}
		if c.Reused() {
			t.Error("a fresh connection says that it was used")
		}
		if got := c.TCP() != nil; got != (s.network == "tcp") {
			t.Errorf("offers its socket for splicing: %v", got)
		}
	})
}

func TestDialVerifiesTheOriginsCertificate(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	s := serveTLS(t, a, func(*tls.Conn) {})
	tests := []struct {
		name   string
		change func(*Config)
		want   error
	}{
		{"known authority and name", trusting(a), nil},
		{"unknown authority", trusting(stranger), ErrTLS},
		{"other name", func(c *Config) {
			trusting(a)(c)
			c.TLS.ServerName = "other.test"
		}, ErrTLS},
		{"the address's host is the name", func(c *Config) {
			resolveTo("127.0.0.1")(c)
			c.TLS = &tls.Config{RootCAs: a.roots}
		}, nil},
		{"the address is not the name", func(c *Config) { c.TLS = &tls.Config{RootCAs: a.roots} }, ErrTLS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := newPool(t, s.origin(t, tt.change), 1).Dial(t.Context())
			if tt.want != nil {
				wantDialError(t, err, PhaseTLS, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		})
	}
}

func TestDialFailures(t *testing.T) {
	silent := serve(t, "tcp", hold)
	plain := serve(t, "tcp", func(c net.Conn) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); hold(c) })
	lookup := errors.New("lookup: no such host")
	tests := []struct {
		name  string
		cfg   Config
		phase Phase
		want  error
	}{
		{"nobody listens", Config{Address: deadAddress(t)}, PhaseConnectRefused, ErrRefused},
		{"no such socket", Config{Network: "unix", Address: filepath.Join(t.TempDir(), "none")}, PhaseConnectRefused, ErrRefused},
		{"no port", Config{Address: "127.0.0.1"}, PhaseResolve, ErrResolve},
		{"unknown name", Config{Address: "origin.test:80", Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return nil, lookup
		}}, PhaseResolve, ErrResolve},
		{"name without addresses", Config{Address: "origin.test:80", Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return nil, nil
		}}, PhaseResolve, ErrResolve},
		{"slow resolver", Config{Address: "origin.test:80", ConnectTimeout: time.Millisecond, Resolve: func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}, PhaseResolve, ErrResolve},
		{"accepts and is silent", Config{Address: silent.address, ConnectTimeout: 20 * time.Millisecond, TLS: &tls.Config{}}, PhaseConnectTimeout, ErrTimeout},
		{"speaks no TLS", Config{Address: plain.address, TLS: &tls.Config{}}, PhaseTLS, ErrTLS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Name = "eu"
			_, err := newPool(t, newOrigin(t, tt.cfg), 1).Dial(t.Context())
			wantDialError(t, err, tt.phase, tt.want)
		})
	}
}

func TestAnAbandonedDialIsNobodysFault(t *testing.T) {
	left := errors.New("the client left")
	silent := serve(t, "tcp", hold)
	tests := []struct {
		name string
		cfg  func(cancel func()) Config
	}{
		{"before", func(cancel func()) Config {
			cancel()
			return Config{Address: silent.address}
		}},
		{"while resolving", func(cancel func()) Config {
			return Config{Address: "origin.test:80", Resolve: func(ctx context.Context, _ string) ([]netip.Addr, error) {
				cancel()
				return nil, ctx.Err()
			}}
		}},
		{"in the handshake", func(cancel func()) Config {
			return Config{Address: silent.address, TLS: &tls.Config{
				// Asked for while the first message is being made.
				Rand: readerFunc(func([]byte) (int, error) { cancel(); return 0, left }),
			}}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cfg := tt.cfg(func() { cancel(left) })
			cfg.Name = "eu"
			_, err := newPool(t, newOrigin(t, cfg), 1).Dial(ctx)
			wantDialError(t, err, PhaseCanceled, nil)
			if !errors.Is(err, left) {
				t.Errorf("got %v, want the context's cause", err)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestTheFurthestFailureIsTold(t *testing.T) {
	plain := serve(t, "tcp", func(c net.Conn) { c.Write([]byte("no TLS")); hold(c) })
	o := plain.origin(t, func(c *Config) {
		resolveTo("::1", "127.0.0.1", "::1")(c)
		c.TLS = &tls.Config{}
	})
	_, err := newPool(t, o, 1).Dial(t.Context())
	wantDialError(t, err, PhaseTLS, ErrTLS)
	if d, _ := errors.AsType[*DialError](err); d != nil && d.Addr != plain.address {
		t.Errorf("tells of %s, want %s", d.Addr, plain.address)
	}
}

func TestASilentAddressLeavesTimeForTheNext(t *testing.T) {
	a := newAuthority(t)
	s := serveTLS(t, a, func(*tls.Conn) {})
	_, port, _ := net.SplitHostPort(s.address)
	l, err := net.Listen("tcp", "[::1]:"+port) // accepts in the kernel, says nothing
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	o := s.origin(t, func(c *Config) {
		resolveTo("::1", "127.0.0.1")(c)
		c.TLS = &tls.Config{RootCAs: a.roots}
		c.ConnectTimeout = time.Second
	})
	c := dial(t, newPool(t, o, 1))
	defer c.Close()
	if c.Remote() != s.address {
		t.Errorf("connected to %s, want %s", c.Remote(), s.address)
	}
}

func TestRunningOutOfDescriptorsIsOurOwnLimit(t *testing.T) {
	for _, err := range []error{syscall.EMFILE, syscall.ENFILE} {
		wrapped := &net.OpError{Op: "dial", Net: "tcp", Err: err}
		if got := phaseOfConnect(t.Context(), wrapped); got != PhaseLimit {
			t.Errorf("%v is phase %v, want %v", err, got, PhaseLimit)
		}
	}
}

func TestErrorsReadWell(t *testing.T) {
	cause := errors.New("cause")
	tests := []struct {
		give error
		want string
	}{
		{&DialError{Origin: "eu", Phase: PhaseCanceled, Err: cause}, "dial origin eu: cause"},
		{&DialError{Origin: "eu", Phase: PhaseLimit, Err: errWaited}, "dial origin eu: connection limit reached: no place became free within the connect timeout"},
		{&DialError{Origin: "eu", Phase: PhaseConnectRefused, Addr: "127.0.0.1:1", Err: cause}, "dial origin eu: 127.0.0.1:1: connection refused: cause"},
		{&WriteError{Sent: 3, Err: cause}, "write request: cause"},
	}
	for _, tt := range tests {
		if got := tt.give.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	var names bytes.Buffer
	for p := PhaseCanceled; p <= PhaseTLS+1; p++ {
		names.WriteString(p.String() + ",")
	}
	if want := "canceled,limit,resolve,connect refused,connect timeout,tls,Phase(6),"; names.String() != want {
		t.Errorf("phases are %s, want %s", names.String(), want)
	}
}
