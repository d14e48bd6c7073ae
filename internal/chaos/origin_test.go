package chaos

import (
	"crypto/sha256"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestDownRefusesAndResetsAndUpComesBackAtTheSameAddress(t *testing.T) {
	for _, open := range []func(TB, string) *Origin{NewOrigin, NewUnixOrigin} {
		CheckLeaks(t)
		o := open(t, "eu")
		t.Run(o.Network(), func(t *testing.T) {
			address := o.Addr()
			idle := Dial(t, o.Network(), address)
			if p, err := idle.Do(get("/")); err != nil || p.Status != 200 {
				t.Fatalf("got %d, %v", p.Status, err)
			}
			o.Down()
			if n := o.OpenConns(); n != 0 {
				t.Errorf("%d connections open while down", n)
			}
			if _, err := idle.ReadAll(); o.Network() == "tcp" && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("open connection ended with %v, want a reset", err)
			}
			if _, err := net.Dial(o.Network(), address); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("connect while down: %v, want refused", err)
			}
			o.Down()
			if err := o.Up(); err != nil || o.Addr() != address {
				t.Fatalf("up at %s with %v", o.Addr(), err)
			}
			if p, err := Dial(t, o.Network(), address).Do(get("/")); err != nil || p.Status != 200 {
				t.Errorf("after Up: %d, %v", p.Status, err)
			}
		})
		o.Close()
		if err := o.Up(); err != nil || o.listener != nil {
			t.Error("a closed origin came up")
		}
	}
}

func TestUpReportsThatTheAddressIsTaken(t *testing.T) {
	fake := &fakeTB{}
	o := NewOrigin(fake, "eu")
	defer fake.end()
	o.Down()
	thief, err := net.Listen("tcp", o.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	if err := o.Up(); err == nil || len(fake.errors) != 1 {
		t.Errorf("got %v and the reports %q", err, fake.errors)
	}
}

func TestARequestInTheSocketWhenTheOriginGoesDownIsRecordedOnce(t *testing.T) {
	o := NewOrigin(t, "eu")
	for i := range 50 {
		r := Dial(t, "tcp", o.Addr())
		if _, err := r.Do(get("/")); err != nil {
			t.Fatal(err)
		}
		if err := r.Send("POST / HTTP/1.1\r\nHost: a\r\nChaos-Id: last\r\nContent-Length: 0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		o.Down()
		if n := len(o.Arrivals("last")); n != i+1 {
			t.Fatalf("%d arrivals, want %d", n, i+1)
		}
		if err := o.Up(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDownInTheMiddleOfARequestRecordsNothingElse(t *testing.T) {
	o := NewOrigin(t, "eu")
	gives := []string{
		"POST / HTTP/1.1\r\nHost: a\r\nChaos-Id: x\r\nCont",
		"POST / HTTP/1.1\r\nHost: a\r\nChaos-Id: x\r\nContent-Length: 9\r\n\r\nhal",
		"POST / HTTP/1.1\r\nHost: a\r\nChaos-Id: x\r\nContent-Length: 4\r\n\r\nfull",
	}
	ready := make(chan struct{})
	o.Set(OK(1).When(ready))
	for _, give := range gives {
		r := Dial(t, "tcp", o.Addr())
		_ = r.Send(give)
		Await(t, waitLong, "connection", func() bool { return o.OpenConns() == 1 })
		o.Down()
		for _, a := range o.AllArrivals() {
			if a.ID != "x" || a.Fault != "" {
				t.Errorf("%q recorded as %+v", give, a)
			}
		}
		if len(o.AllArrivals()) > 1 {
			t.Errorf("%q recorded %d times", give, len(o.AllArrivals()))
		}
		o.Forget()
		if err := o.Up(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResetConnsGoesOnListening(t *testing.T) {
	o := NewOrigin(t, "eu")
	if o.URL() != "http://"+o.Addr() {
		t.Errorf("URL %s", o.URL())
	}
	r := Dial(t, "tcp", o.Addr())
	_, _ = r.Do(get("/"))
	o.ResetConns()
	if !r.Closed() {
		t.Error("not reset")
	}
	fresh := Dial(t, "tcp", o.Addr())
	if p, err := fresh.Do(get("/")); p.Status != 200 {
		t.Errorf("then %d, %v", p.Status, err)
	}
	fresh.Reset()
	Await(t, waitLong, "end of the connection", func() bool { return o.OpenConns() == 0 })
}

func TestEveryRequestIsInTheLedger(t *testing.T) {
	o := NewOrigin(t, "eu")
	c := newClient(t, o)
	c.Do(t.Context(), Request{ID: "one", Path: "/a?b=c"})
	c.Do(t.Context(), Request{ID: "two", Method: "POST", BodySize: 100_000, Chunked: true})
	Dial(t, "tcp", o.Addr()).Do("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")

	one, two, probe := o.Arrivals("one"), o.Arrivals("two"), o.Arrivals("")
	if len(one) != 1 || len(two) != 1 || len(probe) != 1 || o.Arrived() != 2 {
		t.Fatalf("arrived: %v, %v, %v", one, two, probe)
	}
	a := one[0]
	if a.Method != "GET" || a.Target != "/a?b=c" || a.Path() != "/a" || a.Origin != "eu" || a.Conn != 1 || a.OnConn != 1 ||
		!a.HeadWhole || !strings.HasSuffix(a.Raw, "\r\n\r\n") || a.Get("host") != "chaos.test" || a.Time.IsZero() {
		t.Errorf("recorded as %+v", a)
	}
	b := two[0]
	if b.Conn != 1 || b.OnConn != 2 || !b.BodyWhole || b.BodyHash != sha256.Sum256(Body(sender, "two", 100_000)) {
		t.Errorf("upload recorded as %+v", b)
	}
	if probe[0].Conn != 2 {
		t.Errorf("the probe came on connection %d, want 2", probe[0].Conn)
	}
	o.Forget()
	if len(o.AllArrivals()) != 0 {
		t.Error("not forgotten")
	}
}

func TestARequestThatBreaksOffIsInTheLedgerToo(t *testing.T) {
	o := NewOrigin(t, "eu")
	tests := []struct {
		give string
		want Arrival
	}{
		{"POST /x HTTP/1.1\r\nChaos-Id: head\r\nHo", Arrival{ID: "head"}},
		{"POST /x HTTP/1.1\r\nHost: a\r\nChaos-Id: body\r\nContent-Length: 9\r\n\r\nab", Arrival{ID: "body", HeadWhole: true, BodyLen: 2}},
		{"POST /x HTTP/1.1\r\nHost: a\r\nChaos-Id: lf\n", Arrival{ID: "lf", Fault: "bare LF"}},
		{"POST /x HTTP/1.1\r\nChaos-Id: host\r\n\r\n", Arrival{ID: "host", HeadWhole: true, Fault: "not one Host"}},
	}
	for _, tt := range tests {
		r := Dial(t, "tcp", o.Addr())
		_ = r.Send(tt.give)
		r.CloseWrite()
		_, _ = r.ReadAll()
		id := tt.want.ID
		if id == "lf" {
			id = "" // the line did not end as a line should
		}
		got := o.Arrivals(id)
		if len(got) != 1 || got[0].HeadWhole != tt.want.HeadWhole || got[0].BodyWhole || got[0].BodyLen != tt.want.BodyLen ||
			got[0].Fault != tt.want.Fault {
			t.Errorf("%q recorded as %+v", tt.give, got)
		}
	}
}

func TestALedgerThatIsFullCountsWhatItLost(t *testing.T) {
	o := NewOrigin(t, "eu")
	o.journal.bytes = maxArrivalBytes
	newClient(t, o).Do(t.Context(), Request{})
	if o.Lost() != 1 || len(o.AllArrivals()) != 0 {
		t.Errorf("lost %d, kept %d", o.Lost(), len(o.AllArrivals()))
	}
}

func TestAPeerThatLeavesAWaitingRequestIsNoticed(t *testing.T) {
	for _, b := range []Behaviour{Hang(), StallMidBody(), Delay(time.Hour), OK(1).When(nil)} {
		t.Run(b.Name(), func(t *testing.T) {
			o := NewOrigin(t, "eu")
			o.Set(b)
			r := Dial(t, "tcp", o.Addr())
			_ = r.Send(get("/"))
			Await(t, 5*time.Second, "arrival", func() bool { return o.Arrived() == 1 })
			if o.OpenConns() != 1 {
				t.Errorf("%d open connections, want 1", o.OpenConns())
			}
			r.Close()
			Await(t, 5*time.Second, "end of the connection", func() bool { return o.OpenConns() == 0 })
		})
	}
}

func TestCloseFreesWhoeverWaits(t *testing.T) {
	CheckLeaks(t)
	for _, b := range []Behaviour{Hang(), StallMidBody(), Unread(), Delay(time.Hour), CloseOnAccept(), OK(64 << 20)} {
		t.Run(b.Name(), func(t *testing.T) {
			o := NewOrigin(t, "eu")
			o.Set(b)
			r := Dial(t, "tcp", o.Addr())
			_ = r.Send(get("/"))
			Await(t, 5*time.Second, "arrival", func() bool { return o.Arrived() == 1 })
			o.Close()
		})
	}
}

func TestBytesOutCountsWhatTheSocketTook(t *testing.T) {
	o := NewOrigin(t, "eu")
	r := Dial(t, "tcp", o.Addr())
	_ = r.Send(strings.Replace(get("/"), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
	all, err := r.ReadAll()
	if err != nil || o.BytesOut() != int64(len(all)) {
		t.Errorf("counted %d, read %d, %v", o.BytesOut(), len(all), err)
	}
}
