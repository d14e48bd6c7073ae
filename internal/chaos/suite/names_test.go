package suite

import (
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/chaos/dnsfault"
)

// staleModes are what a nameserver does that nobody can believe: the last good
// answer goes on.
var staleModes = []struct {
	mode dnsfault.Mode
	full bool
}{
	{mode: dnsfault.ServFail()}, {mode: dnsfault.Timeout()}, {mode: dnsfault.Garbage()}, {mode: dnsfault.WrongID()},
	{mode: dnsfault.CNAMELoop()}, {mode: dnsfault.TruncatedNoTCP()},
	{mode: dnsfault.Refused(), full: true}, {mode: dnsfault.WrongQuestion(), full: true}, {mode: dnsfault.Lame(), full: true},
	{mode: dnsfault.CNAMEEndless(), full: true},
}

// goodModes are odd, and hold the address.
var goodModes = []dnsfault.Mode{dnsfault.Truncated(), dnsfault.Slow(100 * time.Millisecond), dnsfault.CNAMEChain(3)}

// deniedModes say that there is no address, which is believed.
var deniedModes = []dnsfault.Mode{dnsfault.NXDomain(), dnsfault.Empty()}

// once is an answer with which the connection ends, so that every request needs
// another one, and for it an address.
var once = chaos.UntilClose(500)

var nameScenarios = func() (all []Scenario) {
	for _, m := range staleModes {
		all = append(all, staleNames(m.mode, m.full))
	}
	for _, m := range goodModes {
		all = append(all, goodNames(m))
	}
	for _, m := range deniedModes {
		all = append(all, deniedNames(m))
	}
	return append(all, movedNames...)
}()

func staleNames(m dnsfault.Mode, full bool) Scenario {
	return Scenario{
		Name: "dns_" + m.Name, Full: full, Proves: []string{"dns"},
		Text:  "The nameserver fails in mid-flight: " + m.Text + ". The last good addresses are used past their TTL, so nobody notices, and it is said once.",
		Setup: Setup{Names: &Names{}},
		Steps: Now(Behave("eu", once), Served("eu", 20), Resolves("eu", m), Logged("lookups fail", 2*time.Second), Served("eu", 40),
			Resolves("eu", dnsfault.OK()), Logged("lookups work again", 4*time.Second), Served("eu", 10)),
		Want: []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), Arrivals("us", 0, 0), AttemptsPerRequest(1),
			Said("lookups fail", 1), SaidAtMost("lookups fail", 1), Quickly("requests", 0.95, 200*time.Millisecond, everyone)},
	}
}

func goodNames(m dnsfault.Mode) Scenario {
	return Scenario{
		Name: "dns_" + m.Name, Proves: []string{"dns"},
		Text:  "The nameserver is odd from the start: " + m.Text + ". The origin is found all the same.",
		Setup: Setup{Names: &Names{First: map[string]dnsfault.Mode{"eu": m}, Resolver: "timeout = \"2s\"\n"}},
		Load:  []chaos.Load{{Rate: 80, Mix: Shopping(1).Mix}},
		Steps: Now(Behave("eu", once), Served("eu", 60)),
		Want:  []Expectation{CoveredServed(), AllServed(), NoFlip(), NoFailure("us"), NeverSaid("lookups fail")},
	}
}

func deniedNames(m dnsfault.Mode) Scenario {
	return Scenario{
		Name: "dns_" + m.Name, Proves: []string{"dns", "failover", "park", "classes", "pointer"},
		Text:  "The name of the primary is denied in mid-flight: " + m.Text + ". That is believed: covered requests go to the secondary, writes wait for the pointer, and it moves.",
		Setup: Setup{Names: &Names{}},
		Steps: Now(Behave("eu", once), Served("eu", 20), Resolves("eu", m), PointerAt("us", 2*time.Second), Served("us", 30)),
		Want:  []Expectation{AllServed(), Flips(1, 1), FailedOver(1), Classes("eu", "dns", "breaker_open"), Quickly("covered requests", 0.95, 200*time.Millisecond, Covered)},
	}
}

// movedNames are answers that change, and that lie.
var movedNames = []Scenario{
	{
		Name: "dns_ttl_zero", Proves: []string{"dns"},
		Text:  "The nameserver's answers hold for no time at all: that is one question each min_ttl, not one a request.",
		Setup: Setup{Names: &Names{First: map[string]dnsfault.Mode{"eu": dnsfault.TTLZero()}, Resolver: "min_ttl = \"300ms\"\nmax_ttl = \"300ms\"\n"}},
		Load:  []chaos.Load{Shopping(150)},
		// Two questions, for A and AAAA, each 300 ms or a little earlier.
		Steps: Now(Behave("eu", once), Served("eu", 10), AsksWithin("eu", 12, 1200*time.Millisecond), AsksAgain("eu", 2)),
		Want:  []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), Requests(150)},
	},
	{
		Name: "dns_nobody_there", Proves: []string{"dns"},
		Text:  "The only nameserver is gone in mid-flight, and its port refuses: the last good addresses are used.",
		Setup: Setup{Names: &Names{}},
		Steps: Now(Behave("eu", once), Served("eu", 20), NoNameserver(), Logged("lookups fail", 2*time.Second), Served("eu", 60)),
		Want:  []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), AttemptsPerRequest(1), Arrivals("us", 0, 0)},
	},
	{
		Name: "dns_stale_max", Proves: []string{"dns", "failover", "classes"},
		Text:  "The nameserver fails for longer than stale_max: the old address is dropped, covered requests fail over with the class dns, and the pointer leaves.",
		Setup: Setup{Names: &Names{Resolver: "stale_max = \"400ms\"\n"}},
		Steps: Now(Behave("eu", once), Served("eu", 20), Resolves("eu", dnsfault.ServFail()), Logged("stale answer dropped after stale_max", 3*time.Second), PointerAt("us", 2*time.Second), Served("us", 20),
			Resolves("eu", dnsfault.OK()), PointerAt("eu", 8*time.Second), Served("eu", 10)),
		Want: []Expectation{AllServed(), Flips(2, 2), FailedOver(1), Classes("eu", "dns", "breaker_open")},
	},
	{
		Name: "dns_not_at_start", Proves: []string{"dns", "failover", "classes", "pointer"},
		Text:  "The name of the primary can't be looked up when the proxy starts: it starts, counts the primary as failed with the class dns, and takes it when the name is there.",
		Setup: Setup{Group: soonBack, Names: &Names{First: map[string]dnsfault.Mode{"eu": dnsfault.ServFail()}}},
		Steps: Now(Served("us", 40), PointerAt("us", 2*time.Second), Resolves("eu", dnsfault.OK()), PointerAt("eu", 8*time.Second), Served("eu", 20)),
		Want:  []Expectation{AllServed(), Flips(1, 2)},
	},
	{
		Name: "dns_silent_at_start", Proves: []string{"dns", "both_fail"},
		Text: "No nameserver answers when the proxy starts: requests are answered with an error within connect_timeout, and served as soon as the names are there.",
		Setup: Setup{Health: "none", Route: steady, Group: "unsafe = \"never\"\n",
			Names: &Names{First: map[string]dnsfault.Mode{"eu": dnsfault.Timeout(), "us": dnsfault.Timeout()}}},
		Load: []chaos.Load{Reading(60)},
		Steps: Now(AwaitResults("refused requests", 20, func(r *chaos.Result) bool { return r.Kind == chaos.Refused }),
			Resolves("eu", dnsfault.OK()), Resolves("us", dnsfault.OK()), Served("eu", 30)),
		Want: []Expectation{NotServedOnly(502, 504), NoFlip(), Classes("eu", "dns", "connect_timeout"), Quickly("requests", 0.95, 2*connectTimeout+300*time.Millisecond, everyone)},
	},
	{
		Name: "dns_moves", Needs: []Need{Linux}, Proves: []string{"dns"},
		Text:  "The primary moves to another address while it serves: new connections go there at once, idle ones to the old address are closed, and nobody notices when the old server is switched off.",
		Setup: Setup{Names: &Names{}},
		Steps: Now(AlsoAt("eu", "127.0.0.2"), Served("eu", 30), Moved("eu", "127.0.0.2"), Reaches("127.0.0.2", 20), Deserted("eu"), Unplug("eu"), Reaches("127.0.0.2", 40)),
		Want:  []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), AttemptsPerRequest(1), Said("addresses changed", 1)},
	},
	{
		Name: "dns_one_of_two_is_dead", Needs: []Need{Linux}, Proves: []string{"dns", "attempts"},
		Text:  "The name of the primary has two addresses, at one of which nobody listens: each connect that it refuses goes on to the other, which is no failure.",
		Setup: Setup{Names: &Names{}},
		Steps: Now(Behave("eu", once), Moved("eu", "127.0.0.3", "127.0.0.1"), Logged("addresses changed", 2*time.Second), Served("eu", 80)),
		Want:  []Expectation{AllServed(), NoFlip(), NoFailover(), NoFailure("eu"), Arrivals("us", 0, 0), AttemptsPerRequest(1), Quickly("requests", 0.95, 200*time.Millisecond, everyone)},
	},
	{
		Name: "dns_lies", Needs: []Need{Linux}, Proves: []string{"dns", "failover", "classes", "pointer", "failback", "park"},
		Text:  "The nameserver lies: at the address that it gives for the primary nobody listens. That is a primary which refuses connections, until the answer is right again.",
		Setup: Setup{Group: soonBack, Names: &Names{}},
		Steps: Now(Behave("eu", once), Served("eu", 20), Moved("eu", "127.0.0.4"), PointerAt("us", 2*time.Second), Served("us", 20), Moved("eu", "127.0.0.1"), PointerAt("eu", 5*time.Second), Served("eu", 10)),
		Want:  []Expectation{AllServed(), Flips(2, 2), FailedOver(1), Classes("eu", "connect_refused", "breaker_open")},
	},
	{
		Name: "dns_nxdomain_for_a_while", Full: true, Proves: []string{"dns", "failback"},
		Text:  "The name of the primary is denied, and there again soon: after the thirty seconds for which that is believed the primary is taken again.",
		Setup: Setup{Group: soonBack, Names: &Names{}},
		Load:  []chaos.Load{Shopping(40)},
		Steps: Now(Served("eu", 20), Resolves("eu", dnsfault.NXDomain()), PointerAt("us", 2*time.Second), Resolves("eu", dnsfault.OK()), Pass(10*time.Second), PointerAt("eu", 30*time.Second), Served("eu", 10)),
		Want:  []Expectation{AllServed(), Flips(2, 2)},
	},
}
