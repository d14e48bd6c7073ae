package chaos

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is one way in which an origin fails, by the name that it has everywhere. It is made by [Faults], [FaultByName]
// and [Flapping] and never changes; the zero value is no fault and of no use.
type Fault struct {
	Name     string // "connect_refused"
	Text     string // what the origin does, in one sentence without a full stop
	Requests bool   // requests meet it; false for "probe_only" alone
	Probes   bool   // health probes meet it
	Some     bool   // only some of the requests meet it, or only at times; the others are answered well

	// Class is the failure class that an attempt gets which meets it: "connect_refused", "status:503" and so on. It is ""
	// if the fault comes after the response's head, or is no failure. A time-out's class supposes that the proxy's
	// time-out is over before the fault is.
	Class string
	// Also are classes that an attempt may get instead of Class, because it depends on whether the origin or the proxy is
	// faster, or on TLS.
	Also []string

	TLS    bool // only an origin that speaks TLS can have it
	Aborts bool // it may break a response after its head: a client sees an abort, never a short body that looks whole
	Slow   bool // nothing fails; it is only slow

	hello     hello
	behaviour func(release <-chan struct{}) Behaviour                    // of what meets it; nil: as usual
	begin     func(*Origin, <-chan struct{}) (end func() error, _ error) // nil: nothing but the behaviour
	possible  func(*Origin) error                                        // nil: always
}

// Faults returns every fault in the order in which they strike: from the connect to the body, then what is only slow and
// what comes and goes. The caller may change the slice.
func Faults() []Fault {
	return slices.Concat(connectFaults(), handshakeFaults(), headFaults(), statusFaults(), bodyFaults(), slowFaults(), partFaults())
}

// FaultByName returns the fault of that name; false if there is none.
func FaultByName(name string) (Fault, bool) {
	all := Faults()
	i := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name })
	if i < 0 {
		return Fault{}, false
	}
	return all[i], true
}

// Possible says why an origin can't fail in this way here, nil if it can: a fault of TLS needs an origin that speaks
// TLS, and some systems have no way to leave a connect unanswered.
func (f Fault) Possible(o *Origin) error {
	if f.TLS && o.certs == nil {
		return fmt.Errorf("fault %s: origin %s speaks no TLS", f.Name, o.name)
	}
	if f.possible != nil {
		if err := f.possible(o); err != nil {
			return fmt.Errorf("fault %s: origin %s: %w", f.Name, o.name, err)
		}
	}
	return nil
}

// Begin makes the origin fail in this way, in the place of any other fault, and returns when it does. Requests that are
// being answered end as they began, but for faults of the connection, which reset it. Probes are requests whose path is
// healthPath, without a query; "" means that there are none. What [Origin.Set] and [Origin.SetPath] say, before or
// after, holds where the fault does not, and again after its end.
//
// After an error, which is that of [Fault.Possible] or of the system, the origin has no fault. Begin and End may be
// called at any time and from any goroutine.
func (f Fault) Begin(o *Origin, healthPath string) error {
	if err := f.Possible(o); err != nil {
		return err
	}
	o.faulting.Lock()
	defer o.faulting.Unlock()
	if err := o.undoLocked(); err != nil {
		return err
	}
	release := make(chan struct{})
	over := &overlay{hello: f.hello}
	over.health, _, _ = strings.Cut(healthPath, "?")
	if f.behaviour != nil {
		b := f.behaviour(release)
		over.behaviour, over.requests, over.probes = &b, f.Requests, f.Probes
	}
	o.replan(func(p *plan) { p.fault = over })
	end := func() error { return nil }
	if f.begin != nil {
		var err error
		if end, err = f.begin(o, release); err != nil {
			o.replan(func(p *plan) { p.fault = nil })
			return fmt.Errorf("fault %s: origin %s: %w", f.Name, o.name, err)
		}
	}
	o.undo = func() error {
		close(release)
		return end()
	}
	return nil
}

// End makes the origin well again, whatever its fault is. An error means that it does not listen, because somebody took
// its address while it was down. Without a fault nothing happens.
func (f Fault) End(o *Origin) error { return o.mend() }

// mend ends the fault that the origin has, if it has one.
func (o *Origin) mend() error {
	o.faulting.Lock()
	defer o.faulting.Unlock()
	o.replan(func(p *plan) { p.fault = nil })
	return o.undoLocked()
}

// undoLocked ends what a fault does besides its behaviour. o.faulting is held.
func (o *Origin) undoLocked() error {
	undo := o.undo
	if o.undo = nil; undo == nil {
		return nil
	}
	return undo()
}

// always is a behaviour that needs no release.
func always(b Behaviour) func(<-chan struct{}) Behaviour {
	return func(<-chan struct{}) Behaviour { return b }
}

func connectFaults() []Fault {
	return []Fault{
		{Name: "connect_refused", Text: "nothing listens at its address, and open connections are reset",
			Requests: true, Probes: true, Class: "connect_refused", begin: unplugged},
		{Name: "blackhole", Text: "connects go unanswered until they time out, and open connections are reset",
			Requests: true, Probes: true, Class: "connect_timeout", begin: blackhole, possible: canBlackhole},
		{Name: "accept_close", Text: "it accepts connections and closes them at once",
			Requests: true, Probes: true, Class: "reset", Also: []string{"tls"}, behaviour: always(CloseOnAccept())},
		{Name: "accept_reset", Text: "it accepts connections and resets them at once",
			Requests: true, Probes: true, Class: "reset", Also: []string{"write", "connect_refused", "tls"},
			behaviour: always(ResetOnAccept())},
	}
}

func handshakeFaults() []Fault {
	return []Fault{
		{Name: "tls_stall", Text: "it accepts connections and never answers the TLS handshake, and open connections are reset",
			Requests: true, Probes: true, TLS: true, Class: "connect_timeout", hello: helloStalled, begin: anew},
		{Name: "tls_wrong_name", Text: "its certificate is for another name, and open connections are reset",
			Requests: true, Probes: true, TLS: true, Class: "tls", hello: helloWrongName, begin: anew},
		{Name: "tls_expired", Text: "its certificate expired an hour ago, and open connections are reset",
			Requests: true, Probes: true, TLS: true, Class: "tls", hello: helloExpired, begin: anew},
	}
}

// inHead is a fault before the end of a response's head.
func inHead(name, class string, b Behaviour, text string) Fault {
	return Fault{Name: name, Text: text, Requests: true, Probes: true, Class: class, behaviour: always(b)}
}

func headFaults() []Fault {
	onReuse := inHead("keepalive_close", "reset", CloseOnReuse(),
		"it closes a kept connection just as the next request arrives on it, without an answer")
	onReuse.Some = true
	http09 := inHead("http_09", "malformed", HTTP09(), "it answers as in HTTP/0.9, with a body and no head, and closes")
	http09.Also = []string{"reset"} // to those who wait for a whole line
	return []Fault{
		inHead("reset_before_head", "reset", ResetBeforeHead(), "it reads the request and resets the connection"),
		inHead("reset_in_head", "reset", ResetInHead(), "it resets the connection after half of the response's head"),
		onReuse,
		inHead("garbage", "malformed", Garbage(), "it answers with bytes that are no HTTP"),
		http09,
		inHead("half_status_line", "reset", HalfStatusLine(), "it closes the connection within the status line"),
		inHead("nul_in_head", "malformed", NULInHead(), "the response's head holds a NUL"),
		inHead("giant_head", "malformed", GiantHead(giantHead), "the response's head has a megabyte"),
		inHead("interim_storm", "malformed", Interim(storm), "it sends five hundred 1xx responses before the final one"),
		inHead("unasked_101", "malformed", Unasked101(), "it switches protocols though nobody asked"),
		inHead("hang", "header_timeout", Hang(), "it reads the request and never answers"),
		{Name: "stall", Text: "it accepts and reads everything, answers nothing, and answers all of it at once when it is well again",
			Requests: true, Probes: true, Class: "header_timeout",
			behaviour: func(release <-chan struct{}) Behaviour { return asUsual().When(release) }},
	}
}

const (
	giantHead = 1 << 20
	storm     = 500
)

func statusFaults() []Fault {
	var faults []Fault
	for _, code := range []string{"500", "502", "503", "504"} {
		n := int(code[2]-'0') + 500
		faults = append(faults, Fault{Name: "status_" + code, Text: "every answer is " + code + " " + reason(n),
			Requests: true, Probes: true, Class: "status:" + code, behaviour: always(Status(n))})
	}
	return append(faults, Fault{Name: "status_burst", Text: "two requests of every twenty, one after the other, get a 503",
		Requests: true, Some: true, Class: "status:503",
		behaviour: func(<-chan struct{}) Behaviour { return oneIn(20, Status(503), Status(503)) }})
}

// inBody is a fault after the head.
func inBody(name string, b Behaviour, text string) Fault {
	return Fault{Name: name, Text: text, Requests: true, Aborts: true, behaviour: always(b)}
}

func bodyFaults() []Fault {
	overlong := inBody("overlong_body", Overlong(100), "it sends a hundred bytes more than Content-Length says and keeps the connection")
	overlong.Aborts = false // the response is whole, and what follows it is nobody's
	return []Fault{
		inBody("reset_after_head", ResetAfterHead(), "it resets the connection between the head and the body"),
		inBody("reset_mid_body", ResetMidBody(), "it resets the connection after half of the body"),
		inBody("truncated", Truncate(), "it closes the connection after half of the body that Content-Length promises"),
		inBody("truncated_chunked", TruncateChunked(), "it closes the connection after half of a chunked body"),
		inBody("broken_chunk", BadChunk(), "the size of the second chunk is no number"),
		inBody("stalled_body", StallMidBody(), "it sends half of the body and then nothing more"),
		overlong,
	}
}

func slowFaults() []Fault {
	return []Fault{
		{Name: "slow_head", Text: "it sends the response's head one byte at a time, 4 ms apart", Requests: true, Probes: true, Slow: true,
			behaviour: always(ByteByByte(1024, 4*time.Millisecond))},
		{Name: "slow", Text: "every answer takes 300 ms", Requests: true, Probes: true, Slow: true,
			behaviour: always(asUsual().After(slowness))},
		{Name: "bimodal", Text: "every tenth answer takes 300 ms", Requests: true, Some: true, Slow: true,
			behaviour: func(<-chan struct{}) Behaviour { return oneIn(10, asUsual().After(slowness)) }},
	}
}

const slowness = 300 * time.Millisecond

func partFaults() []Fault {
	return []Fault{
		{Name: "requests_only", Text: "requests get a 503 while health probes are answered well", Requests: true, Class: "status:503",
			behaviour: always(Status(503))},
		{Name: "probe_only", Text: "health probes get a 503 while requests are answered well", Probes: true,
			behaviour: always(Status(503))},
		Flapping(500 * time.Millisecond),
	}
}

// Flapping is the fault of that name with a period of its own: for half of it connects are refused, and open connections
// are reset at its beginning; for the other half the origin is well.
func Flapping(period time.Duration) Fault {
	return Fault{Name: "flapping", Text: "it goes down and comes up again, with a period of " + period.String(),
		Requests: true, Probes: true, Some: true, Class: "connect_refused", Also: []string{"reset", "write"},
		begin: func(o *Origin, release <-chan struct{}) (func() error, error) {
			return flap(o, period/2, release), nil
		}}
}

// oneIn answers n requests in turn as usual but for the last ones, which get the behaviours given.
func oneIn(n int, last ...Behaviour) Behaviour {
	turns := slices.Repeat([]Behaviour{asUsual()}, n-len(last))
	return InTurn(append(turns, last...)...)
}

// unplugged takes the origin down until the end.
func unplugged(o *Origin, _ <-chan struct{}) (func() error, error) {
	o.Down()
	return o.Up, nil
}

// anew resets connections, so that every request needs another one, with a handshake.
func anew(o *Origin, _ <-chan struct{}) (func() error, error) {
	o.ResetConns()
	return func() error { return nil }, nil
}

// flap takes the origin down and up until release is closed. The function that it returns waits for that and leaves the
// origin up.
func flap(o *Origin, half time.Duration, release <-chan struct{}) func() error {
	o.Down()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(half)
		defer ticker.Stop()
		for up := false; ; {
			select {
			case <-release:
				return
			case <-ticker.C:
			}
			if up = !up; up {
				_ = o.open() // who took the address may give it back in the next round
			} else {
				o.Down()
			}
		}
	}()
	return func() error {
		<-ended
		return o.Up()
	}
}

// canBlackhole is what is known before it is tried.
func canBlackhole(o *Origin) error {
	if o.network != "tcp" {
		return errors.New("a unix socket answers every connect")
	}
	return canSilence
}
