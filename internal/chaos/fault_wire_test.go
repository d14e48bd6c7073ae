package chaos

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dialFor connects and shakes hands if the origin speaks TLS, and says what happened otherwise.
func dialFor(o *Origin) (*Raw, string) {
	nc, err := net.DialTimeout(o.Network(), o.Addr(), waitShort)
	switch {
	case isTimeout(err):
		return nil, "connect unanswered"
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, "refused"
	case err != nil:
		return nil, "reset" // faster than the dialler
	}
	if o.Certificates() != nil {
		secured := tls.Client(nc, &tls.Config{RootCAs: o.Certificates().Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
		_ = nc.SetDeadline(time.Now().Add(waitShort))
		if err := secured.Handshake(); err != nil {
			_ = nc.Close()
			return nil, handshakeEnd(err)
		}
		_ = nc.SetDeadline(time.Time{})
		nc = secured
	}
	return newRaw(nc, waitShort), ""
}

func handshakeEnd(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "another name"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "expired"
	}
	if isTimeout(err) {
		return "handshake unanswered"
	}
	return err.Error()
}

// ask sends one GET and says in a few words what came back.
func ask(r *Raw, path string) string {
	start := time.Now()
	if err := r.Send(get(path)); err != nil {
		return "reset"
	}
	p, err := r.ReadResponse("GET")
	place := " before the head"
	if p.Raw != "" {
		place = " in the head"
	}
	if strings.HasSuffix(p.Raw, "\r\n\r\n") {
		place = " after the head"
	}
	switch {
	case isMalformed(err):
		return "malformed"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset" + place
	case isTimeout(err):
		return "silence" + place
	case err != nil:
		return "closed" + place
	case p.Status == 200 && p.Body != string(Body("eu", "raw", 1024)):
		return "a wrong body"
	}
	answer := strconv.Itoa(p.Status)
	if time.Since(start) >= slowness {
		answer += ", late"
	}
	if len(p.Interim) > 9 {
		answer += ", many before"
	}
	if r.br.Buffered() > 0 {
		answer += ", more behind"
	}
	if len(p.Raw) > 1<<20 {
		answer += ", giant"
	}
	return answer
}

func askAnew(o *Origin, path string) string {
	r, failed := dialFor(o)
	if r == nil {
		return failed
	}
	defer r.Close()
	return ask(r, path)
}

// onTheWire is what a fresh connection's only request gets from each fault that strikes every one.
var onTheWire = map[string][]string{
	"connect_refused":   {"refused"},
	"blackhole":         {"connect unanswered"},
	"accept_close":      {"closed before the head"},
	"accept_reset":      {"reset", "reset before the head"},
	"tls_stall":         {"handshake unanswered"},
	"tls_wrong_name":    {"another name"},
	"tls_expired":       {"expired"},
	"reset_before_head": {"reset before the head"},
	"reset_in_head":     {"reset in the head"},
	"garbage":           {"malformed"},
	"http_09":           {"malformed"},
	"half_status_line":  {"closed in the head"},
	"nul_in_head":       {"malformed"},
	"giant_head":        {"200, giant"},
	"interim_storm":     {"200, many before"},
	"unasked_101":       {"101, more behind"},
	"hang":              {"silence before the head"},
	"stall":             {"silence before the head"},
	"status_500":        {"500"},
	"status_502":        {"502"},
	"status_503":        {"503"},
	"status_504":        {"504"},
	"reset_after_head":  {"reset after the head"},
	"reset_mid_body":    {"reset after the head"},
	"truncated":         {"closed after the head"},
	"truncated_chunked": {"closed after the head"},
	"broken_chunk":      {"malformed"},
	"stalled_body":      {"silence after the head"},
	"overlong_body":     {"200, more behind"},
	"slow_head":         {"200, late"},
	"slow":              {"200, late"},
	"requests_only":     {"503"},
	"probe_only":        {"503"},
}

func TestEachFaultDoesWhatItSaysAndEnds(t *testing.T) {
	for _, f := range Faults() {
		if f.Some {
			continue // see below
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			o := openFor(t, f)
			if got := askAnew(o, "/"); got != "200" {
				t.Fatalf("before: %s", got)
			}
			begin(t, f, o)
			for path, meets := range map[string]bool{"/": f.Requests, probe: f.Probes} {
				want := []string{"200"}
				if meets {
					want = onTheWire[f.Name]
				}
				if got := askAnew(o, path); !slices.Contains(want, got) {
					t.Errorf("%s: %q, want one of %q", path, got, want)
				}
			}
			if err := f.End(o); err != nil {
				t.Fatal(err)
			}
			r, failed := dialFor(o)
			if r == nil {
				t.Fatalf("after the end: %s", failed)
			}
			defer r.Close()
			for range 2 {
				if got := ask(r, "/"); got != "200" {
					t.Errorf("after the end: %s", got)
				}
			}
		})
	}
}

func TestFaultsThatStrikeSomeRequests(t *testing.T) {
	for _, f := range Faults() {
		if !f.Some {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			o := openFor(t, f)
			begin(t, f, o)
			switch f.Name {
			case "status_burst":
				got := answers(t, o, 40)
				if want := strings.Repeat(strings.Repeat("200 ", 18)+"503 503 ", 2); got != want {
					t.Errorf("got %s", got)
				}
			case "bimodal":
				got := answers(t, o, 20)
				if want := strings.Repeat(strings.Repeat("200 ", 9)+"200, late ", 2); got != want {
					t.Errorf("got %s", got)
				}
			case "keepalive_close":
				if got := answers(t, o, 2); got != "200 closed before the head " {
					t.Errorf("got %s", got)
				}
			case "flapping":
				for range 2 {
					Await(t, waitLong, "refusal", func() bool { return askAnew(o, "/") == "refused" })
					Await(t, waitLong, "answer", func() bool { return askAnew(o, "/") == "200" })
				}
			default:
				t.Error("nothing tests this fault")
			}
			if err := f.End(o); err != nil {
				t.Fatal(err)
			}
			if got := answers(t, o, 3); got != "200 200 200 " {
				t.Errorf("after the end: %s", got)
			}
		})
	}
}

// answers asks n times on one connection.
func answers(t *testing.T, o *Origin, n int) string {
	t.Helper()
	r := Dial(t, o.Network(), o.Addr())
	var all strings.Builder
	for range n {
		all.WriteString(ask(r, "/") + " ")
	}
	return all.String()
}

// A client that is not ours must see the class that the table gives.
func TestNetHTTPSeesTheClassOfEachFault(t *testing.T) {
	for _, f := range Faults() {
		switch f.Name {
		case "interim_storm", "unasked_101": // which net/http takes
			continue
		}
		if f.Some || !f.Requests || f.Class == "" && !f.Aborts {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			o := openFor(t, f)
			begin(t, f, o)
			got := classOf(t, o)
			switch f.Name {
			case "http_09", "half_status_line", "reset_in_head":
				if got == "malformed" { // whoever waits for the whole head finds the end instead; net/http judges line by line
					got = "reset"
				}
			}
			if want := f.Class; want == "" && got != "abort" || want != "" && got != want && !slices.Contains(f.Also, got) {
				t.Errorf("net/http sees %q, want %q or one of %q", got, want, f.Also)
			}
		})
	}
}

func classOf(t *testing.T, o *Origin) string {
	t.Helper()
	transport := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: waitShort}).DialContext,
		TLSHandshakeTimeout:    waitShort,
		ResponseHeaderTimeout:  waitShort,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if certs := o.Certificates(); certs != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: certs.Pool(), MinVersion: tls.VersionTLS12}
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 2 * waitShort}
	res, err := client.Get(o.URL())
	if err == nil {
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return "abort"
		}
		return "status:" + strconv.Itoa(res.StatusCode)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		if op.Timeout() {
			return "connect_timeout"
		}
		return "connect_refused"
	}
	_, notVerified := errors.AsType[*tls.CertificateVerificationError](err)
	switch text := err.Error(); {
	case notVerified:
		return "tls"
	case strings.Contains(text, "handshake timeout"):
		return "connect_timeout"
	case isTimeout(err):
		return "header_timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		strings.Contains(text, "server closed idle connection"): // before the request was on it
		return "reset"
	case strings.Contains(text, "malformed"), strings.Contains(text, "exceeded"), strings.Contains(text, "invalid"):
		return "malformed"
	}
	return err.Error()
}

func TestABlackHoleAcceptsNobodyAndCountsNobody(t *testing.T) {
	t.Parallel()
	hole, _ := FaultByName("blackhole")
	o := openFor(t, hole)
	if got := askAnew(o, "/"); got != "200" {
		t.Fatal(got)
	}
	for range 3 {
		begin(t, hole, o)
		if got := askAnew(o, "/"); got != "connect unanswered" {
			t.Errorf("got %s", got)
		}
		o.Down() // in the middle of it
		if got := askAnew(o, "/"); got != "refused" {
			t.Errorf("down: %s", got)
		}
		if err := hole.End(o); err != nil || askAnew(o, "/") != "200" {
			t.Errorf("after the end: %v", err)
		}
		begin(t, hole, o)
		before := o.Accepted()
		if err := hole.End(o); err != nil {
			t.Fatal(err)
		}
		if got := askAnew(o, "/"); got != "200" || o.Accepted() != before+1 {
			t.Errorf("after the end: %s, %d connections", got, o.Accepted()-before)
		}
	}
}
