package main

import (
	"fmt"
	"io"
)

const helpProgram = `Fairlead is an HTTP edge reverse proxy that keeps a site up while its origin is
down: failed requests go to a secondary origin at once, a pointer moves the rest
after a moment, and bulkheads keep a slow route from starving the others.

Usage:

  fairlead run [-c FILE]    serve what a configuration file says
  fairlead check FILE       report everything that is wrong with a file
  fairlead demo [--once]    see an outage that nobody notices; needs nothing
  fairlead drill [-c FILE]  see what every outage would do to a configuration
  fairlead version          print version, Go version and platform
  fairlead help [COMMAND]   print this, or all about a command

To look at a fairlead that runs, by its admin API:

  fairlead status           which origin serves, why and since when; --watch
  fairlead events           what has happened, and why; -f follows
  fairlead requests         the last requests with each attempt; --failed
  fairlead explain METHOD URL
                            what would happen to a request now, rule by rule

To move traffic by hand, by the same:

  fairlead pin GROUP ORIGIN [--for TIME] [--reason TEXT] [--force]
                            fix a group's pointer to one of its origins
  fairlead unpin GROUP      let it go by the verdicts again
  fairlead failback GROUP   bring it back to the primary now
  fairlead drain ORIGIN     take an origin out of service
  fairlead ready ORIGIN     put it back
  fairlead reload           have the configuration read again
  fairlead drill --live GROUP [--share 5%] [--for 1m]
                            a game day: treat a share of real requests as if the
                            group's primary had failed

  fairlead completion bash|zsh|fish
                            print a script that completes all this

Start with "fairlead demo".

Exit codes:

  0  done
  1  a bad configuration, or a check, a run, a demo or a drill that went wrong;
     a change that was refused; an admin API that can't be reached
  2  wrong usage
`

const helpRun = `Usage: fairlead run [-c FILE]

Reads the configuration, listens, and serves until it is told to stop.

Flags:

  -c FILE    the configuration, fairlead.toml if left out

Every mistake in the file is printed to stderr as FILE:LINE:COLUMN: MESSAGE, and
nothing is started. What is no mistake but dangerous, such as a group without a
secondary, is a warning in the log.

The log goes to log.output. It has an event for each pointer that moves, each
verdict, each breaker that moves and each pause of this process, and, unless
log.access is off, a record of each request, whatever log.level says. No request
ever waits for the log: lines that the disk doesn't take in time are dropped,
and their number is reported. A log file is opened for appending, and anew with
each reload, so it may be rotated by renaming it and sending SIGHUP.

Signals:

  SIGTERM, SIGINT    drain: accept nothing new, finish what is in flight within
                     server.drain_timeout, stop
  a second one       interrupt what is still in flight, stop now
  SIGHUP             reload the configuration, without touching what is the same
                     in it; a file with a mistake changes nothing, see the log
  SIGUSR2            start the binary anew with this process's sockets: this one
                     drains when the new one is ready, and stays if it is not

With server.watch = true a changed file is reloaded by itself. There are no such
signals on Windows.

Exit codes:

  0  stopped; if requests were interrupted at the end of the drain, stderr
     and the log say so
  1  bad configuration, or couldn't listen or open the log
  2  wrong usage

Example:

  fairlead run -c /etc/fairlead/fairlead.toml
`

const helpCheck = `Usage: fairlead check FILE

Reads a configuration as "run" would, and starts nothing. A good file is
answered with a line such as

  fairlead.toml: ok: 2 routes, 1 group, 2 origins

and a line for each thing that is no mistake but dangerous. Otherwise every
mistake is printed to stderr as FILE:LINE:COLUMN: MESSAGE.

Exit codes:

  0  the file is good
  1  it is not, or can't be read
  2  wrong usage

Example:

  fairlead check /etc/fairlead/fairlead.toml && systemctl reload fairlead
`

const helpDemo = `Usage: fairlead demo [--once]

Starts two origins and the proxy in this process, on free ports of 127.0.0.1,
and sends itself a gentle load. After a few seconds it breaks the primary origin
(its listener is closed, its connections are reset), mends it some seconds
later, and prints a line each second: who answered, what failed (nothing), and
the moments when the pointer leaves the primary and comes back to it. It prints
an address to open in a browser and commands to try meanwhile.

Flags:

  --once    end after one outage with a summary, in less than 25 seconds;
            otherwise outages follow each other until Ctrl-C

Colours are used on a terminal only, and not where NO_COLOR is set.

Signals:

  SIGINT (Ctrl-C), SIGTERM    end with a summary

Exit codes:

  0  no covered request failed, and no POST arrived twice
  1  otherwise, or if the outage didn't run its course
  2  wrong usage

Example:

  fairlead demo --once
`

const helpVersion = `Usage: fairlead version

Prints the version, with the revision that it was built from where that is
known, the version of Go and the platform.

Exit codes:

  0  done
  2  wrong usage

Example:

  fairlead version
`

const helpHelp = `Usage: fairlead help [COMMAND]

Prints what the program does, or everything about one command. So do -h and
--help before and after a command.

Exit codes:

  0  done
  2  there is no such command

Example:

  fairlead help run
`

// helps are the help texts of the commands.
var helps = map[string]string{
	"run": helpRun, "check": helpCheck, "demo": helpDemo, "drill": drillHelp(), "version": helpVersion,
	"help": helpHelp, "-h": helpHelp, "-help": helpHelp, "--help": helpHelp,
	"status": helpStatus, "events": helpEvents, "requests": helpRequests, "explain": helpExplain,
	"pin": helpPin, "unpin": helpUnpin, "failback": helpFailback, "drain": helpDrain, "ready": helpReady,
	"reload": helpReload, "completion": helpCompletion,
}

// help is "fairlead help [COMMAND]".
func (p *program) help(args []string) error {
	text := helpProgram
	switch {
	case len(args) > 1:
		return &usageError{"help", fmt.Sprintf("unexpected argument %q", args[1])}
	case len(args) == 1:
		var ok bool
		if text, ok = helps[args[0]]; !ok {
			return &usageError{"help", fmt.Sprintf("unknown command %q", args[0])}
		}
	}
	_, err := io.WriteString(p.stdout, text)
	return err
}
