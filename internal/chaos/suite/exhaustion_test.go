package suite

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/fairlead/fairlead/internal/chaos"
)

// tmpfs is a file system of its own, which can be full without harm.
var tmpfs = Need{"root on Linux, and leave to mount a tmpfs", sync.OnceValue(func() bool {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return false
	}
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return false
	}
	defer func() { _ = os.Remove(dir) }()
	return mount(dir) == nil && unmount(dir) == nil
})}

func mount(dir string) error {
	return exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "chaos", dir).Run()
}
func unmount(dir string) error { return exec.Command("umount", dir).Run() }

// exhaustionScenarios are machines that have too little of something, or stand
// still for a while.
var exhaustionScenarios = []Scenario{
	frozen("frozen", 1500*ms, false), frozen("frozen_for_five_seconds", 5*time.Second, true),
	{
		Name: "few_file_descriptors", Proves: []string{"exhaustion", "health"}, Needs: []Need{Unix},
		Text: "The process may have 120 file descriptors, and 300 clients come and say nothing: whoever was served before is served on, no verdict " +
			"moves for want of a descriptor, and all is well when they have left.",
		Setup: Setup{Before: "ulimit -n 120"}, Load: few(Shopping(100)),
		Steps: Now(Pass(300*ms), Besiege(chaos.Attack{Hostile: chaos.Idle(), Conns: 300, Again: true, Rate: 2000}), Pass(1200*ms), Relieve(), Pass(300*ms), MarkNow("over"), Served("eu", 40)),
		Want: []Expectation{ServedIn(Window{}, "requests on connections that had carried one before", func(r *chaos.Result) bool { return r.Reused }), Goodput(0.98, Window{}), Steady(),
			NoFailover(), Goodput(1, Since("over", 0)), NeverSaid("breaker moved"), Requests(120)},
	},
	{
		Name: "little_memory", Proves: []string{"exhaustion", "hostile", "backpressure"}, Needs: []Need{Linux},
		Text:  "The process is to use 32 MiB, and 150 clients ask for 64 MB each and take none of it: it stays near its limit, and the others are served.",
		Setup: Setup{Env: []string{"GOMEMLIMIT=32MiB"}, Server: "body_idle_timeout = \"10s\"\n", Routes: route("slow", "/slow/", 200) + route("shop", "/", 100)},
		Load:  []chaos.Load{{Rate: 60, Mix: []chaos.Shot{{Path: "/product/", WantSize: 64 << 10, Weight: 3}, {Method: "POST", Path: "/order/", BodySize: 64 << 10}}}},
		Steps: Now(Behave("eu", chaos.Plenty(64<<20), "/slow/"), Pass(200*ms), Besiege(chaos.Attack{Hostile: chaos.DeafReader("/slow/", 64<<20), Conns: 150}),
			Do("they are all being served", func(s *Stage) error {
				return s.permits("150", func(used, _ int) bool { return used == 150 })
			}), Pass(1200*ms), MemoryAtMost(80<<20), Relieve()),
		Want: []Expectation{AllServed(), Steady(), NoFailover(), Quickly("requests of the others", 0.9, 150*ms, Anyone)},
	},
	{
		Name: "log_disk_full", Proves: []string{"exhaustion"}, Needs: []Need{Linux},
		Text: "The log's disk is full for a while: no request waits for it or is lost, the pointer moves, and what was to be logged is there when there is room again.",
		Steps: Now(Pass(200*ms), Reconfigure("the log goes to a full disk", func(c *Setup) { c.Log = "output = \"/dev/full\"\n" }), Pass(800*ms), Unplug("eu"),
			Do("the pointer moves nevertheless", pointerAt("us")), Served("us", 40), Plug("eu"), Do("the pointer comes back", pointerAt("eu")), MarkNow("space"),
			Reconfigure("the log goes where it was", func(c *Setup) { c.Log = "" }), Served("eu", 40)),
		Want: []Expectation{CoveredServed(), UncoveredLost(2), NotServedOnly(502), Quickly("requests", 0.9, 60*ms, Anyone), Reasons("primary_down", "failback"), allRecorded()},
	},
	{
		Name: "state_file_that_may_not_grow", Proves: []string{"exhaustion", "state"}, Needs: []Need{Unix},
		Text:  "The process may not write a single byte into a file: the log says so, and the pointer moves as ever.",
		Setup: Setup{Server: withState, Before: "ulimit -f 0"},
		Steps: Now(Logged("state can't be kept", 2*time.Second), Unplug("eu"), PointerAt("us", time.Second), Served("us", 40), Plug("eu"), PointerAt("eu", 10*time.Second), Served("eu", 20),
			Do("no temporary file is left", onlyTheConfiguration)),
		Want: []Expectation{CoveredServed(), UncoveredLost(2), NotServedOnly(502), Reasons("primary_down", "failback"), Said("state can't be kept", 1)},
	},
	{
		Name: "state_disk_full", Proves: []string{"exhaustion", "state"}, Needs: []Need{tmpfs}, Full: true,
		Text:  "The state file's disk is full while the pointer moves, and then has room again: what was there before stays whole meanwhile, and the state is saved within five seconds of it.",
		Setup: Setup{Server: "state = \"$DIR/disk/state\"\n", Prepare: smallDisk},
		Steps: Now(KeptIn(onDisk, "eu"), Do("the disk is full", fill), Unplug("eu"), PointerAt("us", time.Second), Logged("state can't be kept", 5*time.Second), StaysIn(onDisk, "eu"), Served("us", 20),
			Do("the disk has room", makeRoom), Logged("state is saved again", 10*time.Second), KeptIn(onDisk, "us"), Plug("eu"), PointerAt("eu", 10*time.Second), KeptIn(onDisk, "eu")),
		Want: []Expectation{CoveredServed(), UncoveredLost(2), NotServedOnly(502), Reasons("primary_down", "failback")},
	},
}

// allRecorded: each request has its access record.
func allRecorded() Expectation {
	return Holds("each request is in the log", func(o *Outcome) error {
		return o.none(o.Ledger.Select(func(r *chaos.Result) bool { return o.journal.record(r.Path) == nil }))
	})
}

// frozen is a process that stands still: whatever it missed is nobody's fault.
func frozen(name string, d time.Duration, full bool) Scenario {
	return Scenario{
		Name: name, Proves: []string{"health", "pointer"}, Needs: []Need{Unix}, Full: full,
		Text: fmt.Sprintf("The process stands still for %v, with requests in flight: no origin is taken for down, no pointer moves, and no breaker "+
			"opens; requests wait, and are served.", d),
		Setup: Setup{Permits: 1000}, Load: []chaos.Load{Shopping(60)}, // all that come meanwhile are there at once
		Steps: Now(Behave("eu", chaos.Delay(100*ms)), Pass(400*ms), Freeze(d), MarkNow("awake"), Pass(700*ms)),
		Want: []Expectation{Steady(), CoveredServed(), UncoveredLost(0), NeverSaid("breaker moved"), Said("pause of this process", 1), Goodput(1, Since("awake", 100*ms)),
			QuicklyIn(Since("awake", 300*ms), "requests", 0.9, 250*ms, nil)},
	}
}

// pointerAt waits for the pointer as the admin API tells it, where nobody reads
// the log.
func pointerAt(origin string) func(*Stage) error {
	return func(s *Stage) error {
		return s.await(10*time.Second, "the pointer at "+origin, func() bool {
			status, err := s.admin.status()
			return err == nil && status.Groups[0].Target == origin
		})
	}
}

// onDisk is the state file on the small disk, and filling what fills it.
const (
	onDisk  = "/disk/state"
	filling = "/disk/filling"
)

func smallDisk(s *Stage) error {
	dir := filepath.Join(s.dir, "disk")
	if err := errors.Join(os.Mkdir(dir, 0o700), mount(dir)); err != nil {
		return err
	}
	s.later(func() { _ = unmount(dir) })
	return nil
}

// fill writes until the disk takes nothing more.
func fill(s *Stage) error {
	if err := os.WriteFile(s.dir+filling, make([]byte, 1<<20), 0o600); err == nil {
		return errors.New("the disk took a megabyte")
	}
	return nil
}

func makeRoom(s *Stage) error { return os.Remove(s.dir + filling) }

// onlyTheConfiguration: neither a state file nor a part of one is there.
func onlyTheConfiguration(s *Stage) error {
	found, err := filepath.Glob(s.dir + stateFile + "*")
	if len(found) > 0 {
		err = fmt.Errorf("there is %v", found)
	}
	return err
}
