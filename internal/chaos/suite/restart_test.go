package suite

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/statefile"
)

// few is a load on few connections, each of which is used all the time: none is
// idle when a process ends.
func few(l chaos.Load) []chaos.Load {
	l.Conns = 4
	return []chaos.Load{l}
}

// restartScenarios are processes that end, whatever the reason, and what the next
// one knows.
var restartScenarios = []Scenario{
	{
		Name: "kill_in_an_outage", Proves: []string{"state", "pointer", "failback"}, Needs: []Need{Unix},
		Text: "The process is killed in an outage, the second within a moment, under load: the next one begins where the pointer was, with its doubled " +
			"hold, asks the dead primary for nothing, and comes back to it in time.",
		Setup: Setup{Server: withState, Group: "failback_after = \"200ms\"\nmin_hold = \"800ms\"\n"},
		Steps: Now(Pass(200*ms), Unplug("eu"), PointerAt("us", time.Second), Plug("eu"), PointerAt("eu", 5*time.Second), Unplug("eu"), PointerAt("us", time.Second), Kept("us"), Kill(),
			Logged("pointer restored", 2*time.Second), Served("us", 40), MarkNow("plug"), Plug("eu"), PointerAt("eu", 10*time.Second), MarkNow("back"), Served("eu", 40)),
		Want: []Expectation{restoredAsItWas(1600 * ms), Stays(800*ms, 1600*ms), ServedIn(Since("started again", 50*ms), "requests on connections to the new process", fresh),
			ServedBy("us", Between("started again", "plug")), straightTo("us", Between("started again", "plug")), NotServedOnly(0, 502)},
	},
	{
		Name: "kill_without_a_state_file", Proves: []string{"state", "unplugged"}, Needs: []Need{Unix},
		Text:  "The process is killed in an outage and keeps no state: the next one begins at the primary and finds out anew, and covered requests are served all the same.",
		Steps: Now(Pass(200*ms), Unplug("eu"), PointerAt("us", time.Second), Kill(), MarkNow("anew"), Served("us", 60), Plug("eu"), PointerAt("eu", 10*time.Second), Served("eu", 20)),
		Want: []Expectation{ServedIn(Since("anew", 0), "covered requests", func(r *chaos.Result) bool { return r.Covered && fresh(r) }), NeverSaid("pointer restored"),
			Reasons("primary_down", "primary_down", "failback"), NotServedOnly(0, 502)},
	},
	damagedState("empty", "state can't be restored", func([]byte) []byte { return nil }),
	damagedState("cut", "state can't be restored", func(b []byte) []byte { return b[:len(b)/2] }),
	damagedState("corrupt", "state can't be restored", func(b []byte) []byte {
		b[len(b)/2] ^= 0x55
		return b
	}),
	{
		Name: "foreign_state_file", Proves: []string{"state"}, Needs: []Need{Unix},
		Text:  "In the state file's place is somebody's letter: it is left alone, the log says so, and nobody's request suffers.",
		Setup: Setup{Server: withState},
		Steps: Now(Pass(300*ms), KillAnd("the state is replaced by a letter", writeState(letter)), Logged("state can't be kept", 2*time.Second), Unplug("eu"), PointerAt("us", time.Second),
			Served("us", 30), Plug("eu"), PointerAt("eu", 10*time.Second), Do("the letter is still there", letterStays)),
		Want: []Expectation{ServedIn(Since("started again", 50*ms), "covered requests", func(r *chaos.Result) bool { return r.Covered && fresh(r) }), Said("state can't be kept", 1), NotServedOnly(0, 502)},
	},
	clockJump("forward", 2*time.Hour), clockJump("backward", -24*time.Hour),
	{
		Name: "drain_under_load", Proves: []string{"drain", "state"}, Needs: []Need{Unix},
		Text: "The process is asked to end under load, with slow requests in flight: it finishes all of them, takes nothing new, and ends with 0; who comes meanwhile " +
			"finds nobody, and is never cut off.",
		Setup: Setup{Origin: "response_header_timeout = \"2s\"\n"}, Load: append(few(Shopping(100)), chaos.Load{Rate: 10, Conns: 10, Mix: []chaos.Shot{{Path: "/slow/"}, {Method: "POST", Path: "/slow/", BodySize: 100}}}),
		Steps: Now(Behave("eu", chaos.Delay(700*ms), "/slow/"), Pass(1200*ms), Drain(), Pass(500*ms)),
		Want:  []Expectation{onlyNobodyThere(), Goodput(1, Window{To: Moment{"SIGTERM", -50 * ms}}), Goodput(1, Since("started again", 50*ms)), Steady(), Said("stopped", 2)},
	},
	{
		Name: "reload_under_load", Proves: []string{"reload"}, Needs: []Need{Unix},
		Text:  "The configuration is reloaded again and again under load, also a broken one: no request is lost, no pointer moves, and a broken file changes nothing.",
		Steps: Now(Pass(200*ms), Repeat(4, Reload(permits(50)), Reload(permits(300)), Misconfigure(syscall.SIGHUP, "not reloaded, the configuration at work stays")), Pass(200*ms)),
		Want:  []Expectation{AllServed(), Steady(), NoFailover(), Said("reloaded", 8), Said("not reloaded, the configuration at work stays", 4)},
	},
	{
		Name: "reload_in_an_outage", Proves: []string{"reload", "pointer"}, Needs: []Need{Unix},
		Text: "The configuration is reloaded while the pointer is at the secondary: it stays there, and a dead primary costs no request.",
		Steps: Now(Pass(200*ms), Unplug("eu"), PointerAt("us", time.Second), MarkNow("at us"), Repeat(3, Reload(permits(100)), Reload(permits(200))), Served("us", 50), MarkNow("plug"), Plug("eu"),
			PointerAt("eu", 10*time.Second), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), UncoveredLost(2), NotServedOnly(502), Reasons("primary_down", "failback"), straightTo("us", Between("at us", "plug")), ServedBy("us", Between("at us", "plug"))},
	},
	{
		Name: "upgrade_under_load", Proves: []string{"upgrade"}, Needs: []Need{Linux},
		Text:  "The process is replaced twice under load, and once in vain since its configuration is broken: no request is lost.",
		Load:  few(Shopping(120)),
		Steps: Now(Pass(200*ms), Upgrade(), Served("eu", 20), Misconfigure(sigusr2, "the new process has not taken over, this one goes on"), Served("eu", 20), Upgrade(), Served("eu", 20)),
		Want:  []Expectation{AllServed(), Steady(), NoFailover(), Said("took over from the process that started this one", 2), Said("stopped", 3)},
	},
	{
		Name: "upgrade_in_an_outage", Proves: []string{"upgrade", "pointer"}, Needs: []Need{Linux},
		Text: "The process is replaced while the pointer is at the secondary: the next one has it there, asks the dead primary for nothing, and comes back to it in time.",
		Load: few(Shopping(120)), Setup: Setup{Group: "failback_after = \"400ms\"\nmin_hold = \"2s\"\n"},
		Steps: Now(Pass(200*ms), Unplug("eu"), PointerAt("us", time.Second), MarkNow("at us"), Upgrade(), Served("us", 40), MarkNow("plug"), Plug("eu"), PointerAt("eu", 10*time.Second), Served("eu", 20)),
		Want: []Expectation{CoveredServed(), UncoveredLost(2), NotServedOnly(502), Reasons("primary_down", "failback"), Stays(2 * time.Second), straightTo("us", Between("at us", "plug")),
			ServedBy("us", Between("at us", "plug"))},
	},
}

// fresh is not a request on a connection to a process that has ended: its client
// can't have known.
func fresh(r *chaos.Result) bool { return r.Kind != chaos.Aborted || !r.Reused }

func permits(n int) func(*Setup) { return func(c *Setup) { c.Permits = n } }

const letter = "Dear Sir or Madam,\n"

func writeState(text string) func(*Stage) error {
	return func(s *Stage) error { return os.WriteFile(s.dir+stateFile, []byte(text), 0o600) }
}

func letterStays(s *Stage) error {
	text, err := os.ReadFile(s.dir + stateFile)
	if err == nil && string(text) != letter {
		err = fmt.Errorf("there is %q", text)
	}
	return err
}

// damagedState is a state file that a crash, or a disk, has damaged.
func damagedState(name, says string, damage func([]byte) []byte) Scenario {
	return Scenario{
		Name: name + "_state_file", Proves: []string{"state"}, Needs: []Need{Unix},
		Text:  "The process is killed in an outage and its state file is " + name + ": the next one says so, begins at the primary, finds out anew and writes a good file.",
		Setup: Setup{Server: withState},
		Steps: Now(Pass(200*ms), Unplug("eu"), PointerAt("us", time.Second), Kept("us"), KillAnd("its state is "+name, func(s *Stage) error {
			b, err := os.ReadFile(s.dir + stateFile)
			if err != nil {
				return err
			}
			return os.WriteFile(s.dir+stateFile, damage(b), 0o600)
		}), Logged(says, 2*time.Second), Served("us", 40), Kept("us"), Plug("eu"), PointerAt("eu", 10*time.Second), Kept("eu"), Served("eu", 20)),
		Want: []Expectation{ServedIn(Since("started again", 50*ms), "covered requests", func(r *chaos.Result) bool { return r.Covered && fresh(r) }),
			NeverSaid("pointer restored"), Reasons("primary_down", "primary_down", "failback"), NotServedOnly(0, 502)},
	}
}

// clockJump is a wall clock that was set between two processes, as the state file
// shows it: all its times are off. That of the machine can't be set for one
// process; jumps while it runs are tried in the tests of package failover.
func clockJump(name string, by time.Duration) Scenario {
	return Scenario{
		Name: "clock_jump_" + name, Proves: []string{"clock", "state", "failback"}, Needs: []Need{Unix},
		Text: "The process is killed in an outage and the clock is set " + name + " meanwhile: the pointer is restored, and comes back when the primary has " +
			"been well for failback_after, no sooner and not much later.",
		Setup: Setup{Server: withState},
		Steps: Now(Pass(200*ms), Unplug("eu"), PointerAt("us", time.Second), Kept("us"), KillAnd("the clock is set", rewrite(func(kept *statefile.Snapshot, g *statefile.Group) {
			for _, at := range []*time.Time{&kept.Saved, &g.Since, &g.PrimaryVerdict.Since, &g.SecondaryVerdict.Since} {
				*at = at.Add(by)
			}
		})), Logged("pointer restored", 2*time.Second), Served("us", 40), Plug("eu"), PointerAt("eu", 4*time.Second), MarkNow("back"), Served("eu", 40)),
		Want: []Expectation{ServedIn(Since("started again", 50*ms), "requests", fresh), NotServedOnly(0, 502), Reasons("primary_down", "failback"),
			Holds("the primary is well for failback_after before", func(o *Outcome) error {
				mended, err := o.moment(Moment{Mark: "eu mended"})
				flips := o.journal.flips()
				if got := flips[len(flips)-1].Time.Sub(mended); err == nil && got < 400*ms {
					err = fmt.Errorf("the pointer came back after %v", got)
				}
				return err
			})},
	}
}

// restoredAsItWas: the pointer was restored with the generation and the hold that
// it had, which is this one.
func restoredAsItWas(hold time.Duration) Expectation {
	return Holds("the pointer's hold and generation are restored", func(o *Outcome) error {
		flips, restored := o.journal.flips(), o.journal.find("pointer restored", nil)
		if len(restored) != 1 {
			return fmt.Errorf("it was restored %d times", len(restored))
		}
		was := slices.IndexFunc(flips, func(f Line) bool { return f.Generation == restored[0].Generation })
		if was < 0 || flips[was].To != restored[0].To {
			return fmt.Errorf("it was restored to %s, %d: %s", restored[0].To, restored[0].Generation, o.flipsText())
		}
		var kept struct{ Hold string }
		if err := json.Unmarshal([]byte(restored[0].Raw), &kept); err != nil || kept.Hold != hold.String() {
			return fmt.Errorf("its hold is %s, not %v (%v)", kept.Hold, hold, err)
		}
		return nil
	})
}

// straightTo: whatever began in the window was dispatched to this origin first.
func straightTo(origin string, w Window) Expectation {
	return Holds("requests go straight to "+origin, func(o *Outcome) error {
		all, err := o.in(w, enough, nil)
		for i := range all {
			if l := o.journal.record(all[i].Path); l != nil && len(l.Attempts) > 0 && (l.Attempts[0].Origin != origin || len(l.Attempts) > 1) {
				return o.none(all[i : i+1])
			}
		}
		return err
	})
}

// onlyNobodyThere: who was not served could not connect, or sent the request on a
// connection that was idle when the process began to end, without having looked
// whether it still stands: no origin has seen that, and no record tells of it.
func onlyNobodyThere() Expectation {
	return Holds("who is not served finds nobody there", func(o *Outcome) error {
		return o.none(o.Ledger.Select(func(r *chaos.Result) bool {
			idle := r.Kind == chaos.Aborted && r.Reused && r.Status == 0 && o.journal.record(r.Path) == nil
			for _, at := range o.Origins {
				idle = idle && len(at.Arrivals(r.ID)) == 0
			}
			return r.Kind != chaos.Served && r.Kind != chaos.Unsent && !idle
		}))
	})
}
