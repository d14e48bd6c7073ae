package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/drill"
)

// completeCommand is what the shells' scripts run. It is not for people.
const completeCommand = "__complete"

// completeFile, in place of words, lets the shell complete names of files.
const completeFile = ":file"

// completePatience is how long somebody who has pressed Tab may be kept waiting.
const completePatience = time.Second

// The scripts hand over the words up to the cursor and take what is answered as
// words, never as code: names come from the admin API.
var completionScripts = map[string]string{
	"bash": `# Completion of fairlead for bash. In ~/.bashrc: source <(fairlead completion bash)
_fairlead() {
  local program="${COMP_WORDS[0]/#\~/$HOME}" word file
  COMPREPLY=()
  while IFS= read -r word; do
    if [ "$word" = ":file" ]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r file; do COMPREPLY+=("$file"); done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
    else
      COMPREPLY+=("$word")
    fi
  done < <("$program" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _fairlead fairlead
`,
	"zsh": `#compdef fairlead
# Completion of fairlead for zsh. In ~/.zshrc, below compinit: source <(fairlead completion zsh)
_fairlead() {
  local -a found
  found=("${(@f)$(${~${(Q)words[1]}} __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  found=(${found:#})
  if [[ "$found[1]" == ":file" ]]; then
    _files
  else
    compadd -a found
  fi
}
if [[ "$funcstack[1]" == "_fairlead" ]]; then
  _fairlead "$@"
else
  compdef _fairlead fairlead
fi
`,
	"fish": `# Completion of fairlead for fish: fairlead completion fish > ~/.config/fish/completions/fairlead.fish
function __fairlead_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for word in (command $words[1] __complete $words[2..-1] "$current" 2>/dev/null)
        if test "$word" = ":file"
            __fish_complete_path "$current"
        else
            echo $word
        end
    end
end
complete -c fairlead -f -a '(__fairlead_complete)'
`,
}

// shells are those that completionScripts has one for.
var shells = []string{"bash", "zsh", "fish"}

// completionCommand is "fairlead completion".
func (p *program) completionCommand(args []string) error {
	const name = "completion"
	rest, err := parseMixed(flag.NewFlagSet(name, flag.ContinueOnError), args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return p.help([]string{name})
	case err != nil:
		return &usageError{name, err.Error()}
	case len(rest) == 0:
		return &usageError{name, "missing: the shell, one of " + listed(shells)}
	case len(rest) > 1:
		return &usageError{name, fmt.Sprintf("unexpected argument %q", rest[1])}
	}
	script, ok := completionScripts[rest[0]]
	if !ok {
		return &usageError{name, fmt.Sprintf("there is no script for %q, but for %s", rest[0], listed(shells))}
	}
	_, err = io.WriteString(p.stdout, script)
	return err
}

// complete prints what the last of the words may become, one a line. It has
// nothing to say about what is wrong, and says nothing.
func (p *program) complete(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completePatience)
	defer cancel()
	before, current := words[:len(words)-1], words[len(words)-1]
	for _, w := range candidates(ctx, before, current) {
		if strings.HasPrefix(w, current) || w == completeFile {
			fmt.Fprintln(p.stdout, w)
		}
	}
	return nil
}

// completed is a command as completion sees it.
type completed struct {
	flags     *flag.FlagSet
	arguments []string
	where     *whereFlags
	drill     *drillOptions // nil: another command
}

// completedCommand is the command of that name, nil if there is none.
func completedCommand(name string) *completed {
	c := &completed{flags: flag.NewFlagSet(name, flag.ContinueOnError), where: &whereFlags{}}
	switch name {
	case "run":
		c.flags.String("c", "", "")
	case "check":
		c.arguments = []string{"FILE"}
	case "demo":
		c.flags.Bool("once", false, "")
	case "drill":
		c.drill = new(drillOptions)
		c.drill.register(c.flags)
		c.where = &c.drill.live.where
	case "version":
	case "help":
		c.arguments = []string{"COMMAND"}
	case "completion":
		c.arguments = []string{"SHELL"}
	default:
		command := adminCommandOf(name)
		if command == nil {
			return nil
		}
		c.where.register(c.flags)
		command.define(c.flags)
		c.arguments = command.arguments
	}
	return c
}

// commandNames are all commands that people use.
func commandNames() []string {
	names := []string{"run", "check", "demo", "drill", "version", "help", "completion"}
	for _, c := range adminCommands() {
		names = append(names, c.name)
	}
	return names
}

// candidates are the words that may stand behind the words before, of which some
// may not fit what has been typed.
func candidates(ctx context.Context, before []string, current string) []string {
	if len(before) == 0 {
		return commandNames()
	}
	c := completedCommand(before[0])
	if c == nil {
		return nil
	}
	given, pending := c.parse(before[1:])
	switch {
	case pending != "":
		return c.values(ctx, pending, given)
	case strings.HasPrefix(current, "-"):
		return c.flagNames()
	case len(given) < len(c.arguments):
		return c.values(ctx, c.arguments[len(given)], given)
	}
	return nil
}

// parse takes the words before the cursor for arguments and flags. Pending is
// the flag whose value comes next.
func (c *completed) parse(words []string) (given []string, pending string) {
	for i := 0; i < len(words); i++ {
		name := strings.TrimLeft(words[i], "-")
		if name == words[i] {
			given = append(given, words[i])
			continue
		}
		name, value, whole := strings.Cut(name, "=")
		f := c.flags.Lookup(name)
		if f == nil || isBool(f) {
			continue
		}
		if !whole {
			if i++; i == len(words) {
				return given, name
			}
			value = words[i]
		}
		_ = f.Value.Set(value) // of interest are those that say where the API is
	}
	return given, ""
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

func (c *completed) flagNames() []string {
	var names []string
	c.flags.VisitAll(func(f *flag.Flag) {
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		names = append(names, dashes+f.Name)
	})
	return names
}

// values are what a flag or an argument may be.
func (c *completed) values(ctx context.Context, of string, given []string) []string {
	switch of {
	case "FILE", "c", "token-file", "html":
		return []string{completeFile}
	case "COMMAND":
		return commandNames()
	case "SHELL":
		return shells
	case "METHOD":
		return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	case "kind":
		return eventKinds
	case "fault":
		return drill.FaultNames()
	case "route":
		if c.drill != nil {
			return c.drill.routeNames()
		}
		return c.known(ctx, of, given)
	case "GROUP", "group", "live", "ORIGIN":
		return c.known(ctx, of, given)
	}
	return nil
}

// known asks the API for names. Those that Fairlead would not give are left
// out.
func (c *completed) known(ctx context.Context, of string, given []string) []string {
	client, err := c.where.client("")
	if err != nil {
		return nil
	}
	defer client.close()
	var s adminapi.Status
	if client.status(ctx, &s) != nil {
		return nil
	}
	var names []string
	switch of {
	case "GROUP", "group", "live":
		for i := range s.Groups {
			names = append(names, s.Groups[i].Name)
		}
	case "route":
		for i := range s.Routes {
			names = append(names, s.Routes[i].Name)
		}
	case "ORIGIN":
		names = originNames(&s, given)
	}
	return slices.DeleteFunc(names, func(n string) bool { return !isName(n) })
}

// originNames are those of a group that was named before, else all.
func originNames(s *adminapi.Status, given []string) []string {
	if len(given) > 0 {
		g, err := groupOf(s, given[0])
		if err != nil {
			return nil
		}
		return []string{g.Primary, g.Secondary}
	}
	var names []string
	for i := range s.Origins {
		names = append(names, s.Origins[i].Name)
	}
	return names
}

// isName reports whether s can be a name in a configuration, and so needs no
// quotes in any shell.
func isName(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
