package chaos

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeTB is a test that may fail without failing ours.
type fakeTB struct {
	errors   []string
	cleanups []func()
}

func (f *fakeTB) Helper()           {}
func (f *fakeTB) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTB) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}
func (f *fakeTB) Fatalf(format string, args ...any) { f.Errorf(format, args...) }

func (f *fakeTB) end() {
	for _, cleanup := range slices.Backward(f.cleanups) {
		cleanup()
	}
}

func newClient(t *testing.T, o *Origin) *Client {
	c := &Client{Network: o.Network(), Address: o.Addr(), Timeout: 5 * time.Second}
	t.Cleanup(c.Close)
	return c
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\nChaos-Id: raw\r\n\r\n" }

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

func TestPathsMayBehaveOtherwiseThanTheRest(t *testing.T) {
	o := NewOrigin(t, "eu")
	o.Set(Status(503))
	o.SetPath("/healthz", OK(10))
	o.SetPath("/shop/", Status(404))
	o.SetPath("/shop/cart/", Status(409))
	r := Dial(t, "tcp", o.Addr())
	tests := []struct {
		give string
		want int
	}{{"/", 503}, {"/healthz", 200}, {"/healthz?x", 200}, {"/healthz/", 503}, {"/shop", 503}, {"/shop/x", 404}, {"/shop/cart/x", 409}}
	for _, tt := range tests {
		if p, err := r.Do(get(tt.give)); p.Status != tt.want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", tt.give, p.Status, err, tt.want)
		}
	}
	o.ClearPath("/healthz")
	o.Set(OK(5))
	if p, _ := r.Do(get("/healthz")); p.Status != 200 || len(p.Body) != 5 {
		t.Errorf("after ClearPath: %d with %d bytes", p.Status, len(p.Body))
	}
}

func TestABehaviourIsChosenWhenTheHeadArrives(t *testing.T) {
	o := NewOrigin(t, "eu")
	ready := make(chan struct{})
	o.Set(Status(500).When(ready))
	r := Dial(t, "tcp", o.Addr())
	_ = r.Send(get("/"))
	Await(t, 5*time.Second, "arrival", func() bool { return o.Arrived() == 1 })
	o.Set(OK(1))
	if p, _ := Dial(t, "tcp", o.Addr()).Do(get("/")); p.Status != 200 {
		t.Errorf("the next request got %d, want the new behaviour's 200", p.Status)
	}
	close(ready)
	if p, _ := r.ReadResponse("GET"); p.Status != 500 {
		t.Errorf("the waiting request got %d, want 500", p.Status)
	}
	if p, err := r.Do(get("/")); p.Status != 200 || err != nil {
		t.Errorf("after waiting, the connection gave %d, %v", p.Status, err)
	}
}

func TestInTurnGivesEachRequestTheNextBehaviour(t *testing.T) {
	o := NewOrigin(t, "eu")
	o.Set(InTurn(Status(500), Status(404), OK(1)))
	r := Dial(t, "tcp", o.Addr())
	for _, want := range []int{500, 404, 200, 500} {
		if p, _ := r.Do(get("/")); p.Status != want {
			t.Errorf("got %d, want %d", p.Status, want)
		}
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

func TestSoundBehavioursAreServedWhole(t *testing.T) {
	for _, b := range append(Sound(), SilentClose(), EarlyClose(200), ByteByByte(10, time.Microsecond), CloseOnReuse(), InTurn(OK(3))) {
		t.Run(b.Name(), func(t *testing.T) {
			CheckLeaks(t)
			o := NewOrigin(t, "eu")
			o.Set(b)
			ledger := &Ledger{}
			for _, q := range []Request{{}, {Method: "HEAD"}, {Method: "POST", BodySize: 3000}, {Method: "PUT", BodySize: 1 << 20, Chunked: true}, {WantSize: 70_000}, {WantSize: -1}} {
				c := newClient(t, o)
				ledger.Add(c.Do(t.Context(), q))
				c.Close()
			}
			if ledger.Count(Served) != ledger.Len() {
				t.Errorf("not served: %v", ledger.Unserved())
			}
			if err := Check(ledger, o); err != nil {
				t.Error(err)
			}
			o.Close()
		})
	}
}

func TestBrokenBehavioursAreNeverServed(t *testing.T) {
	broken := append(HeadFaults(), BodyFaults()...)
	broken = append(broken, Hang(), Unread(), StallMidBody(), DuplicateLength(), ExtraResponse(), GiantHead(5<<20), Bytes("HTTP/1.1 200 OK\r\n\r\n"))
	for _, b := range broken {
		t.Run(b.Name(), func(t *testing.T) {
			o := NewOrigin(t, "eu")
			o.Set(b)
			c := newClient(t, o)
			c.Timeout = 200 * time.Millisecond
			for _, q := range []Request{{}, {Method: "POST", BodySize: 3000}} {
				r := c.Do(t.Context(), q)
				tolerated := b.Name() == "GiantHead" && len(r.Head.Raw) > 1<<20 // big, but the kit takes 4 MiB
				if (r.Kind == Served || r.Kind == Refused) && !tolerated {
					t.Errorf("served: %v", r)
				}
			}
		})
	}
}

func TestFaultsOnTheWire(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		give  Behaviour
		want  string // contained in what is read until the end
		reset bool
	}{
		{CloseOnAccept(), "", false},
		{CloseBeforeHead(), "", false},
		{ResetBeforeHead(), "", true},
		{ResetInHead(), "HTTP/1.1 2", true},
		{ResetAfterHead(), head, true},
		{ResetMidBody(), string(Body("eu", "raw", 1024)[:512]), true},
		{Truncate(), string(Body("eu", "raw", 1024)[:512]), false},
		{TruncateChunked(), "\r\n\r\n200\r\neu raw", false},
		{BadChunk(), "\r\nzz\r\n", false},
		{HTTP09(), "<html>", false},
		{HalfStatusLine(), "HTTP/1.1 20", false},
		{NULInHead(), "a\x00b\r\n\r\n", false},
		{FoldedHead(), "a\r\n b\r\n\r\n", false},
		{ContradictingLength(), "Content-Length: 1024\r\nContent-Length: 512\r\n\r\n", false},
		{DuplicateLength(), "Content-Length: 1024\r\nContent-Length: 1024\r\n\r\n", false},
		{LengthAndChunked(), "Content-Length: 1024\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{Unasked101(), "101 Switching", false},
		{SilentClose(), string(Body("eu", "raw", 1024)), false},
		{UntilClose(100), "\r\n\r\n" + string(Body("eu", "raw", 100)), false},
		{Chunked(5), "\r\n\r\n1\r\ne\r\n4\r\nu ra\r\n0\r\nChaos-Trailer: raw\r\nChaos-End: yes\r\n\r\n", false},
		{Bytes("anything"), "anything", false},
	}
	for _, tt := range tests {
		t.Run(tt.give.Name(), func(t *testing.T) {
			o := NewOrigin(t, "eu")
			o.Set(tt.give)
			r := Dial(t, "tcp", o.Addr())
			_ = r.Send(strings.Replace(get("/"), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
			if tt.give.Name() == "CloseOnAccept" {
				r.CloseWrite()
			}
			got, err := r.ReadAll()
			if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("got %q, want %q in it", got, tt.want)
			}
			if errors.Is(err, syscall.ECONNRESET) != tt.reset {
				t.Errorf("ended with %v, want a reset: %v", err, tt.reset)
			}
			Await(t, 5*time.Second, "arrival", func() bool { a := o.Arrivals("raw"); return len(a) == 1 && a[0].BodyWhole })
			if a := o.Arrivals("raw")[0]; a.Behaviour != tt.give.Name() || !a.HeadWhole {
				t.Errorf("recorded as %+v", a)
			}
		})
	}
}

func TestResetOnAcceptResetsNewAndOpenConnections(t *testing.T) {
	o := NewOrigin(t, "eu")
	old := Dial(t, "tcp", o.Addr())
	if _, err := old.Do(get("/")); err != nil {
		t.Fatal(err)
	}
	o.Set(ResetOnAccept())
	_ = old.Send(get("/"))
	if !old.Closed() {
		t.Error("the open connection was not closed")
	}
	fresh, err := net.Dial("tcp", o.Addr())
	if err == nil { // else the reset was faster than the dialler
		_, err = fresh.Read(make([]byte, 1))
		_ = fresh.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the new connection ended with %v, want a reset", err)
	}
}

func TestOnReuseOnlyTheFirstRequestIsAnsweredAndAllAreRecorded(t *testing.T) {
	for _, b := range []Behaviour{CloseOnReuse(), ResetOnReuse()} {
		o := NewOrigin(t, "eu")
		o.Set(b)
		r := Dial(t, "tcp", o.Addr())
		if p, err := r.Do(get("/")); p.Status != 200 || err != nil {
			t.Fatalf("%s: first: %d, %v", b.Name(), p.Status, err)
		}
		if _, err := r.Do(get("/")); err == nil {
			t.Errorf("%s: the second was answered", b.Name())
		}
		if len(o.Arrivals("raw")) != 2 {
			t.Errorf("%s: %d recorded, want 2", b.Name(), len(o.Arrivals("raw")))
		}
	}
}

func TestInterimAndTrailersAreRead(t *testing.T) {
	o := NewOrigin(t, "eu")
	r := Dial(t, "tcp", o.Addr())
	o.Set(Interim(3))
	p, err := r.Do(get("/"))
	if err != nil || len(p.Interim) != 3 || p.Interim[2].Get("Link") == "" || p.Body != string(Body("eu", "raw", 1024)) {
		t.Errorf("got %+v, %v", p, err)
	}
	o.Set(Chunked(1000))
	p, err = r.Do(get("/"))
	if err != nil || !p.Chunked || len(p.Trailers) != 2 || p.Trailers[0] != (Field{"Chaos-Trailer", "raw"}) || p.Body != string(Body("eu", "raw", 1000)) {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestExpectIsContinuedAndEarlyAnswersNeedNoUpload(t *testing.T) {
	o := NewOrigin(t, "eu")
	r := Dial(t, "tcp", o.Addr())
	const post = "POST / HTTP/1.1\r\nHost: a\r\nChaos-Id: raw\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
	_ = r.Send(post)
	if got, err := r.Read(25); got != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("got %q, %v", got, err)
	}
	if p, err := r.Do("abc"); p.Status != 200 || err != nil {
		t.Fatalf("got %d, %v", p.Status, err)
	}
	o.Set(Early(413))
	if p, err := r.Do(post); p.Status != 413 || len(p.Interim) != 0 || err != nil {
		t.Errorf("early: got %d, %v", p.Status, err)
	}
	_ = r.Send("abc")
	o.Set(EarlyClose(413))
	r = Dial(t, "tcp", o.Addr())
	if p, err := r.Do(post); p.Status != 413 || err != nil || !r.Closed() {
		t.Errorf("early close: got %d, %v", p.Status, err)
	}
}

func TestUpgradeEchoes(t *testing.T) {
	o := NewUnixOrigin(t, "eu")
	o.Set(Upgrade())
	r := Dial(t, "unix", o.Addr())
	p, err := r.Do("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chaos\r\n\r\nearly")
	if err != nil || p.Status != 101 || p.Get("Upgrade") != "chaos" {
		t.Fatalf("got %+v, %v", p, err)
	}
	_ = r.Send(" and late")
	if got, err := r.Read(14); got != "early and late" {
		t.Errorf("echoed %q, %v", got, err)
	}
	r.CloseWrite()
	if rest, err := r.ReadAll(); rest != "" || err != nil {
		t.Errorf("then %q, %v", rest, err)
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

func TestRawReportsHowAResponseEnded(t *testing.T) {
	o := NewOrigin(t, "eu")
	tests := []struct {
		give Behaviour
		want error
	}{
		{CloseBeforeHead(), io.EOF},
		{HalfStatusLine(), io.ErrUnexpectedEOF},
		{Truncate(), io.ErrUnexpectedEOF},
		{ResetMidBody(), syscall.ECONNRESET},
		{ContradictingLength(), malformed("Content-Length repeated")},
	}
	for _, tt := range tests {
		o.Set(tt.give)
		if _, err := Dial(t, "tcp", o.Addr()).Do(get("/")); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.give.Name(), err, tt.want)
		}
	}
	o.Set(Hang())
	r := Dial(t, "tcp", o.Addr())
	r.Timeout = 20 * time.Millisecond
	if r.Closed() {
		t.Error("an open connection is called closed")
	}
	if err := r.SendSlowly("GET", time.Microsecond); err != nil {
		t.Error(err)
	}
	fake := &fakeTB{}
	o.Close()
	func() {
		defer func() { _ = recover() }() // a real test would have ended in Fatalf
		Dial(fake, "tcp", o.Addr())
	}()
	if len(fake.errors) != 1 {
		t.Errorf("dialling nobody was reported as %q", fake.errors)
	}
}
