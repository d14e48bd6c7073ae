package main

// helpWhere is what the help of each command says that asks the admin API.
const helpWhere = `
Where the admin API is:

  --admin ADDRESS      host:port or unix:/path; else FAIRLEAD_ADMIN, else
                       admin.listen of the configuration, else 127.0.0.1:9900
  --token-file FILE    the API's token; else FAIRLEAD_TOKEN_FILE, else
                       admin.token_file of the configuration
  -c FILE              the configuration; else fairlead.toml if it is there and
                       nothing else says where the API is
`

const helpChangeCodes = `
Exit codes:

  0  done
  1  refused, or the API can't be reached; stderr says what to do next
  2  wrong usage
`

const helpAskCodes = `
Exit codes:

  0  done
  1  the API can't be reached or refuses; stderr says what to do next
  2  wrong usage
`

const helpStatus = `Usage: fairlead status [--watch] [--all] [--json]

Shows what a running fairlead does: for each group which origin serves, since
when, why and what holds it there; for each origin its verdict and last probe;
for each route its permits, its breakers and its totals since the start. What is
in trouble comes first: a group off its primary, pinned or in a drill, an origin
that is down, drained or fails its probe, a route that is full, queues, parks or
has a breaker that moved.

Flags:

  --watch    draw it again each second until Ctrl-C
  --all      every row, even if they don't fit the terminal
  --json     the API's document; with --watch one a line

A pipe gets all rows at full length, or what COLUMNS and LINES allow.
Colours are used on a terminal only, and not where NO_COLOR is set.
` + helpWhere + helpAskCodes + `
Example:

  fairlead status --watch
`

const helpEvents = `Usage: fairlead events [-f] [-n N] [--kind KIND] [--group GROUP] [--json]

Prints what has happened, the newest last: pointers that moved, verdicts with
the probes that led to them, breakers, pins, drains, reloads, and who asked.

Flags:

  -f               go on with each event as it happens, until Ctrl-C; after a
                   lost connection or a restart of fairlead none is left out
                   that it still remembers
  -n N             how many of the last ones, 20 if left out, at most 1000
  --kind KIND      events of that kind, or of several, with commas in between:
                   start, flip, verdict, breaker, pin, unpin, failback, drain,
                   ready, drill_started, drill_stopped, reload, reload_failed,
                   dns, certificate, pause, stop
  --group GROUP    events of that group, its origins and its routes only
  --json           one of the API's documents a line
` + helpWhere + helpAskCodes + `
Example:

  fairlead events -f --kind flip
`

const helpRequests = `Usage: fairlead requests [--route ROUTE] [--failed] [-n N] [--json]

Prints the last requests, the newest last: what each was answered with, how long
it took and which origin gave the answer. Below one that was not served at its
first attempt stand its attempts, each with its class and times, and what
forbade a failover.

Flags:

  --route ROUTE    of that route only
  --failed         those only that didn't go well at once
  -n N             how many, 20 if left out, at most 1000
  --json           the API's document
` + helpWhere + helpAskCodes + `
Example:

  fairlead requests --route product --failed
`

const helpExplain = `Usage: fairlead explain [--host HOST] [--json] METHOD URL

Says what would happen to a request now, rule by rule, and which key of the
configuration decides each. Nothing is sent to any origin. URL is
http://HOST/PATH, https://HOST/PATH or /PATH. METHOD may be in small letters.

Flags:

  --host HOST    the field Host, if it is not the URL's
  --json         the API's document
` + helpWhere + helpAskCodes + `
Example:

  fairlead explain GET https://shop.example/product/1
`

const helpPin = `Usage: fairlead pin [--for TIME] [--reason TEXT] [--force] GROUP ORIGIN

Sends a group's requests to one of its origins, whatever the verdicts say, until
the time is over or "fairlead unpin". Requests in flight finish where they are,
probes go on, and the pin survives a restart. If the pointer moves between the
command's look and the pin, nothing is changed.

Flags:

  --for TIME       such as 30m or 2h; until unpin if left out
  --reason TEXT    why, for the others who look at the status and the log
  --force          even if that leaves the group without a healthy origin
` + helpWhere + helpChangeCodes + `
Example:

  fairlead pin shop us --for 30m --reason "eu gets a new disk"
`

const helpUnpin = `Usage: fairlead unpin GROUP

Ends a group's pin: its pointer goes by the verdicts again. If the pointer moves
between the command's look and the change, nothing is changed.
` + helpWhere + helpChangeCodes + `
Example:

  fairlead unpin shop
`

const helpFailback = `Usage: fairlead failback GROUP

Brings a group's pointer back to its primary now, without waiting for
failback_after and min_hold. If the pointer moves between the command's look and
the change, nothing is changed. A primary that is down or drained is refused.
` + helpWhere + helpChangeCodes + `
Example:

  fairlead failback shop
`

const helpDrain = `Usage: fairlead drain [--force] ORIGIN

Takes an origin out of service: the groups that have it count it as down, and it
gets no new request. Requests in flight finish, probes go on. "fairlead ready"
ends it.

Flags:

  --force    even if that leaves a group without a healthy origin
` + helpWhere + helpChangeCodes + `
Example:

  fairlead drain eu
`

const helpReady = `Usage: fairlead ready ORIGIN

Puts a drained origin back into service. The pointers of its groups go by the
verdicts again.
` + helpWhere + helpChangeCodes + `
Example:

  fairlead ready eu
`

const helpReload = `Usage: fairlead reload

Has a running fairlead read its configuration again, and prints what has
changed. A configuration with a mistake changes nothing: the old one goes on.
` + helpWhere + helpChangeCodes + `
Example:

  fairlead check /etc/fairlead/fairlead.toml && fairlead reload
`

const helpCompletion = `Usage: fairlead completion bash|zsh|fish

Prints a script for the shell that completes commands and flags, and the names
of groups, origins and routes, for which it asks the admin API quietly.

  bash    in ~/.bashrc:                  source <(fairlead completion bash)
  zsh     in ~/.zshrc, below compinit:   source <(fairlead completion zsh)
  fish    fairlead completion fish > ~/.config/fish/completions/fairlead.fish

Exit codes:

  0  done
  2  wrong usage

Example:

  source <(fairlead completion bash)
`
