package demo

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOrdersCountEachThatArrivesTwiceOnce(t *testing.T) {
	o := NewOrders()
	for _, id := range []string{"a", "b", "a", "a", "c"} {
		o.Add(id)
	}
	if got := o.Twice(); got != 1 {
		t.Errorf("%d arrived twice, want 1", got)
	}
	if !o.Arrived("c") || o.Arrived("d") {
		t.Errorf("arrived: c %v, d %v; want true and false", o.Arrived("c"), o.Arrived("d"))
	}
}

func TestOrdersForgetTheOldest(t *testing.T) {
	o := NewOrders()
	for n := range 3 * remembered {
		o.Add(strconv.Itoa(n))
	}
	if len(o.arrivals) != remembered {
		t.Errorf("%d orders are remembered, want %d", len(o.arrivals), remembered)
	}
	if last := strconv.Itoa(3*remembered - 1); !o.Arrived(last) || o.Arrived("0") {
		t.Error("the newest is forgotten, or the oldest isn't")
	}
}

// dial connects to an origin.
func dial(t *testing.T, o *Origin) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", o.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newOrigin(t *testing.T, name string, orders *Orders) *Origin {
	t.Helper()
	o, err := NewOrigin(name, 0, orders)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// ask sends a request on a connection of its own and returns the origin's name
// and the body.
func ask(t *testing.T, o *Origin, method, path, accept string) (name, body string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+o.Address()+path, strings.NewReader("pizza"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set(FieldOrder, "7")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.Header.Get(FieldOrigin), string(b), err
}

func TestABrokenOriginResetsAndRefusesUntilItIsMended(t *testing.T) {
	o := newOrigin(t, "eu", NewOrders())
	address := o.Address()
	c := dial(t, o)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	o.Break()
	if _, err := io.Copy(io.Discard, c); err == nil {
		t.Error("the connection ended in an orderly way, want a reset")
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("a broken origin accepted a connection")
	}
	if err := o.Mend(); err != nil {
		t.Fatal(err)
	}
	if name, _, err := ask(t, o, "GET", "/", ""); name != "eu" || err != nil || o.Address() != address {
		t.Errorf("the mended origin at %s answered as %q, %v; want eu at %s", o.Address(), name, err, address)
	}
}

func TestAnOriginAnswersAsItsVisitorLikes(t *testing.T) {
	orders := NewOrders()
	o := newOrigin(t, "eu", orders)
	tests := []struct {
		give, path, accept, want string
	}{
		{give: "GET", path: "/a", accept: "*/*", want: "eu answers: page number 1 from here, path /a\n"},
		{give: "GET", path: "/%3Cb%3E", accept: "text/html", want: `<h1 style="font-size:6em;margin:0">eu</h1>`},
		{give: "GET", path: "/healthz", want: "ok\n"},
		{give: "POST", path: "/order", want: "eu took the order, 5 bytes\n"},
	}
	for _, tt := range tests {
		if _, body, err := ask(t, o, tt.give, tt.path, tt.accept); err != nil || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s got %q, %v; want %q", tt.give, tt.path, body, err, tt.want)
		}
	}
	if !orders.Arrived("7") {
		t.Error("the order is not in the book")
	}
}

func TestAnOriginFindsAnotherPortIfItsOwnIsTaken(t *testing.T) {
	first, err := NewOrigin("eu", 20101, NewOrders())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := NewOrigin("us", 20101, NewOrders())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if first.Address() == second.Address() {
		t.Errorf("both are at %s", first.Address())
	}
	if a, err := FreeAddress(20101); err != nil || a == first.Address() || a == second.Address() {
		t.Errorf("free address %s, %v", a, err)
	}
}

// loadFor runs a load against a handler until the handler has seen n requests.
func loadFor(t *testing.T, n int, orders *Orders, handler http.HandlerFunc) Tally {
	t.Helper()
	seen := make(chan struct{}, 10*n)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler(w, r)
		select {
		case seen <- struct{}{}:
		default:
		}
	}))
	defer server.Close()
	l := NewLoad(server.URL, orders)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	for range n {
		<-seen
	}
	stop()
	<-done
	second, total := l.Take(), l.Total()
	if second.Gets != total.Gets || second.Posts != total.Posts {
		t.Errorf("the first second has %+v, the total %+v; want the same", second, total)
	}
	if again := l.Take(); again.Gets != 0 {
		t.Errorf("taken twice: %+v", again)
	}
	return total
}

func TestALoadCountsGoodAnswersByOrigin(t *testing.T) {
	orders := NewOrders()
	got := loadFor(t, 23, orders, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(FieldOrigin, "eu")
		if id := r.Header.Get(FieldOrder); id != "" {
			orders.Add(id)
		}
	})
	if got.Gets < 20 || got.Posts < 2 || got.Failed() != 0 || got.Lost != 0 || got.Answers["eu"] != got.Gets+got.Posts {
		t.Errorf("got %+v, want all answered by eu", got)
	}
}

func TestALoadBelievesNothing(t *testing.T) {
	lost := loadFor(t, 12, NewOrders(), func(http.ResponseWriter, *http.Request) {})
	if lost.Lost == 0 || lost.Lost != lost.Posts {
		t.Errorf("got %+v, want every POST lost: it was answered but never arrived", lost)
	}
	failed := loadFor(t, 12, NewOrders(), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	if failed.Failed() != failed.Gets+failed.Posts || failed.Lost != 0 || !strings.HasSuffix(failed.Failure(), ": status 502") {
		t.Errorf("got %+v, want every request failed with 502", failed)
	}
	short := loadFor(t, 12, NewOrders(), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "short")
	})
	if short.Failed() != short.Gets+short.Posts || !strings.Contains(short.Failure(), io.ErrUnexpectedEOF.Error()) {
		t.Errorf("got %+v, want every request failed by its short body", short)
	}
}

func TestAPictureIsReadAtAGlance(t *testing.T) {
	p := Picture{Primary: "eu", Secondary: "us", Full: 50}
	tests := []struct {
		name string
		give Row
		want string
	}{
		{
			name: "calm", give: Row{At: time.Second, Tally: Tally{Answers: map[string]int{"eu": 50}, SlowestGet: 2 * time.Millisecond}},
			want: "  1.0s  ####################  50                         -       -       -     2 ms       0",
		},
		{
			name: "flip", give: Row{At: 5 * time.Second, Tally: Tally{Answers: map[string]int{"eu": 1, "us": 25}}, FailedOver: 9, Waited: 3},
			want: "  5.0s  #                      1  ==========            25       9       3     0 ms       0",
		},
		{
			name: "trouble", give: Row{At: 12 * time.Second, Tally: Tally{GetsFailed: 2, PostsFailed: 1, GetFailure: "GET: status 502"}},
			want: " 12.0s                         -                         -       -       -     0 ms       3  GET: status 502",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := p.Row(tt.give); got != tt.want {
				t.Errorf("got\n%q, want\n%q", got, tt.want)
			}
		})
	}
	if got, want := p.Mark(4200*time.Millisecond, "FLIP"), "  4.2s  >>> FLIP"; got != want {
		t.Errorf("mark is %q, want %q", got, want)
	}
	for l := range strings.SplitSeq(p.Heading(), "\n") {
		if len(l) > len(tests[0].want) || strings.Contains(l, "\x1b") {
			t.Errorf("heading %q is wider than the rows, or has colours", l)
		}
	}
	p.Colour = true
	if got := p.Row(tests[0].give); !strings.Contains(got, "\x1b[32m████████████████████\x1b[0m  50") {
		t.Errorf("got %q, want a green bar", got)
	}
}

func TestMendSaysWhoseAddressIsTaken(t *testing.T) {
	o := newOrigin(t, "eu", NewOrders())
	o.Break()
	thief, err := net.Listen("tcp", o.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	if err := o.Mend(); err == nil || !strings.HasPrefix(err.Error(), "mend origin eu: ") {
		t.Errorf("mend returned %v, want an error that names the origin", err)
	}
	if _, ok := errors.AsType[*net.OpError](o.Mend()); !ok {
		t.Error("the system's own error is lost")
	}
}
