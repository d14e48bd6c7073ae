package main

import (
	"fmt"
	"strings"

	"github.com/fairlead/fairlead/internal/drill"
)

const helpDrill = `Usage: fairlead drill [-c FILE] [--fault NAME] [--route NAME] [--rate N]
                      [--for TIME] [--json] [--html FILE]
       fairlead drill --live GROUP [FLAGS]

Shows what each kind of outage would do to a configuration, before one does. It
checks FILE as "check" would, puts origins of its own that can fail in the place
of the configured ones, sends every route a load, and lets the primaries fail in
one way after the other. Groups, routes, limits, time-outs and health tables are
those of FILE. All of it is in this process and on free ports of 127.0.0.1: no
origin, name or file of the configuration is touched, nor its addresses.

A route gets covered requests and others, four to one, if its pattern takes
both. For each fault and route a line has

  REQUESTS   how many were sent before, during and after the fault
  ERRORS     what clients saw: of covered requests / of the others
  SHED       refused by a bulkhead or a limit on connections; no errors
  PARKED     held until the pointer moved or the origin was back
  FIRST OK   from the fault's begin to the first good answer, likewise
  FLIP       from the fault's begin until the pointer left the primary
  P50, P99   of the answers' times before/during/after the fault, in ms

and a verdict with the key of the configuration that would change it:

  held         no client saw an error
  unavoidable  errors that no configuration could have saved clients from
  weak         another configuration would have done better
  failed       a covered request failed

Flags:

  -c FILE       the configuration, fairlead.toml if left out
  --fault NAME  one fault, or several with commas in between; may be given more
                than once; left out: all, which takes a minute or so
  --route NAME  only this route, or these
  --rate N      requests a second to each route; 50 if left out, less where
                there are many routes
  --for TIME    how long each fault lasts; left out: until the pointer must have
                moved by the origin's health table, from 2s to 20s
  --json        one document instead of the text
  --html FILE   writes a page with a picture of each fault too

How far it is stands on stderr. Colours are used on a terminal only, and not
where NO_COLOR is set.

The faults:

%s
Signals:

  SIGINT (Ctrl-C), SIGTERM    stop, and print what there is

Exit codes:

  0  no covered request failed. Shed requests don't count, nor responses that
     broke off after their head, nor what fails while both origins are down:
     they are listed, and nobody could have saved them
  1  a covered request failed, Fairlead broke a promise of its own, the drill
     was stopped, or the configuration is bad
  2  wrong usage

Example:

  fairlead drill -c /etc/fairlead/fairlead.toml --fault hang,status_503
`

// drillHelp is the help of "fairlead drill" with all faults.
func drillHelp() string {
	var faults strings.Builder
	for _, f := range drill.Faults() {
		for _, line := range wrap(fmt.Sprintf("  %-18s %s", f.Name, f.Text), 80, 21) {
			fmt.Fprintln(&faults, line)
		}
	}
	return fmt.Sprintf(helpDrill, faults.String()) + "\n" + helpDrillLive
}
