package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Largest body that the origin serves.
const maxSize = 16 << 20

// Bodies from this size on are measured with few connections: what counts there is bytes, not heads.
const largeBody = 1 << 20

// Body of the modes that measure something else than sizes.
const plainSize = 1 << 10

// contenderNames in the order in which they run and are printed.
var contenderNames = []string{"fairlead", "nginx", "haproxy", "caddy", "reverseproxy"}

// options is what the command line said.
type options struct {
	Only      []string // contenders by name; empty means all that are installed
	Sizes     []int64  // bytes of body
	Rounds    int
	Duration  time.Duration // of one closed-loop measurement; warm-up and open loop follow from it
	Rate      float64       // requests a second of the open loop; 0 means half of the slowest's throughput
	Quick     bool
	Idle      int  // idle connections to open; 0 means another mode
	Routes    bool // compare 10 routes with 10,000
	AccessLog bool // compare the access log on with off
	TLS       bool // only HTTP/1.1 and HTTP/2 over TLS; a whole run does that too
	WithTLS   bool // after the comparison, measure what TLS measures
	Docs      string
	Binary    string // a built fairlead; empty means: build ./cmd/fairlead
}

// errHelp is returned when the command line asked for help and got it.
var errHelp = flag.ErrHelp

// parseOptions reads the command line. What is wrong with it has been written to w when it returns an error.
func parseOptions(args []string, w io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(w)
	only := f.String("only", "", "contenders to run, by comma: "+strings.Join(contenderNames, ", ")+" (default all that are installed)")
	sizes := f.String("sizes", "0,1KiB,64KiB,1MiB", "sizes of the response body, by comma")
	f.IntVar(&o.Rounds, "rounds", 5, "rounds; in each, every contender is measured once at every size")
	f.DurationVar(&o.Duration, "duration", 1500*time.Millisecond, "length of one closed-loop measurement")
	f.Float64Var(&o.Rate, "rate", 0, "requests a second of the open loop (default half of what the slowest reaches, for each size)")
	f.BoolVar(&o.Quick, "quick", false, "three short rounds, under a minute, docs left alone")
	f.IntVar(&o.Idle, "idle", 0, "instead: memory of a keep-alive connection with this many of them idle")
	f.BoolVar(&o.Routes, "routes", false, "instead: fairlead with 10,000 routes beside 10")
	f.BoolVar(&o.AccessLog, "accesslog", false, "instead: fairlead with the access log to a file beside none")
	f.BoolVar(&o.TLS, "tls", false, "instead: HTTP/1.1 and HTTP/2 over TLS, which a whole run measures at its end; needs h2load")
	f.StringVar(&o.Docs, "docs", "", "folder whose performance.md and performance.svg are rewritten; \"none\" for no writing (default docs for a whole run, none with -quick, -only, -sizes or -rate)")
	f.StringVar(&o.Binary, "fairlead", "", "a fairlead that is built already (default: build ./cmd/fairlead)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	err := o.finish(*only, *sizes, f.Args(), set)
	if err != nil {
		fmt.Fprintf(w, "bench: %v\n", err)
	}
	return o, err
}

// finish checks the values and fills in those that depend on others.
func (o *options) finish(only, sizes string, rest []string, set map[string]bool) error {
	var errs []error
	if len(rest) > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	if only != "" {
		o.Only = strings.Split(only, ",")
	}
	for _, name := range o.Only {
		if !slices.Contains(contenderNames, name) {
			errs = append(errs, fmt.Errorf("-only: no contender %q (there are %s)", name, strings.Join(contenderNames, ", ")))
		}
	}
	var err error
	if o.Sizes, err = parseSizes(sizes); err != nil {
		errs = append(errs, fmt.Errorf("-sizes: %w", err))
	}
	if o.Quick {
		if !set["rounds"] {
			o.Rounds = 3
		}
		if !set["duration"] {
			o.Duration = 300 * time.Millisecond
		}
	}
	if o.Rounds < 1 || o.Duration < 50*time.Millisecond || o.Idle < 0 || o.Rate < 0 {
		errs = append(errs, errors.New("-rounds at least 1, -duration at least 50ms, -idle and -rate not negative"))
	}
	if modes := count(o.Idle > 0, o.Routes, o.AccessLog, o.TLS); modes > 1 {
		errs = append(errs, errors.New("-idle, -routes, -accesslog and -tls exclude each other"))
	}
	// -sizes and -rate ask for something about the plain comparison.
	o.WithTLS = !set["sizes"] && !set["rate"]
	if !set["docs"] && !o.Quick && !set["only"] && !set["sizes"] && !set["rate"] {
		o.Docs = "docs"
	}
	if o.Docs == "none" {
		o.Docs = ""
	}
	return errors.Join(errs...)
}

func count(conditions ...bool) int {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// wants says whether the contender is to run, and whether it was asked for by name.
func (o *options) wants(name string) (wanted, named bool) {
	named = slices.Contains(o.Only, name)
	return named || len(o.Only) == 0, named
}

// warmup precedes each measurement.
func (o *options) warmup() time.Duration { return o.Duration / 8 }

// openDuration is the length of one open-loop measurement.
func (o *options) openDuration() time.Duration { return o.Duration * 2 / 3 }

// estimate is how long a comparison of n contenders takes, start-up and builds aside.
func (o *options) estimate(n int) time.Duration {
	cell := o.Duration + o.openDuration() + 2*o.warmup()
	return cell * time.Duration(n*len(o.Sizes)*o.Rounds)
}

// secureWarmup is the length of what precedes the measurements over TLS.
func (o *options) secureWarmup() time.Duration { return o.Duration / 4 }

// secureEstimate is how long n contenders take over TLS, start-up and builds aside.
func (o *options) secureEstimate(n int) time.Duration {
	var all time.Duration
	for _, d := range doors {
		all += time.Duration(n) * (o.secureWarmup() + time.Duration(o.Rounds)*d.length(*o))
	}
	return all
}

// connections is how many keep-alive connections load a proxy at this size of body.
func connections(size int64) int {
	if size >= largeBody {
		return 8
	}
	return 64
}

func parseSizes(s string) ([]int64, error) {
	var sizes []int64
	for part := range strings.SplitSeq(s, ",") {
		size, err := parseSize(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}

func parseSize(s string) (int64, error) {
	number, unit := s, int64(1)
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"B", 1}} {
		if cut, ok := strings.CutSuffix(s, u.suffix); ok {
			number, unit = strings.TrimSpace(cut), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > maxSize/unit {
		return 0, fmt.Errorf("bad size %q: want bytes, KiB or MiB, at most %s", s, sizeName(maxSize))
	}
	return n * unit, nil
}

// sizeName is a size as people write it: "0 B", "64 KiB".
func sizeName(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
