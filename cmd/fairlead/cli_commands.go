package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// action is what a command does once its flags are parsed and the API's client
// is made.
type action func(ctx context.Context, p *program, c *client, args []string) error

// adminCommand is a command that asks the admin API.
type adminCommand struct {
	name string
	// arguments are what it takes, each a word of its help text.
	arguments []string
	// define adds the command's own flags to those that all have.
	define func(*flag.FlagSet) action
}

// adminCommands are the commands that ask the admin API.
func adminCommands() []adminCommand {
	return []adminCommand{
		{"status", nil, statusCommand},
		{"events", nil, eventsCommand},
		{"requests", nil, requestsCommand},
		{"explain", []string{"METHOD", "URL"}, explainCommand},
		{"pin", []string{"GROUP", "ORIGIN"}, pinCommand},
		{"unpin", []string{"GROUP"}, unpinCommand},
		{"failback", []string{"GROUP"}, failbackCommand},
		{"drain", []string{"ORIGIN"}, drainCommand},
		{"ready", []string{"ORIGIN"}, readyCommand},
		{"reload", nil, reloadCommand},
	}
}

// adminCommandOf is the command of that name, nil if there is none.
func adminCommandOf(name string) *adminCommand {
	all := adminCommands()
	i := slices.IndexFunc(all, func(c adminCommand) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// admin runs a command that asks the admin API.
func (p *program) admin(ctx context.Context, command *adminCommand, args []string) error {
	flags := flag.NewFlagSet(command.name, flag.ContinueOnError)
	where := whereFlags{fall: func(warning string) { fmt.Fprintln(p.stderr, "fairlead:", warning) }}
	where.register(flags)
	do := command.define(flags)
	rest, err := parseMixed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return p.help([]string{command.name})
	case err != nil:
		return &usageError{command.name, err.Error()}
	case len(rest) > len(command.arguments):
		return &usageError{command.name, fmt.Sprintf("unexpected argument %q", rest[len(command.arguments)])}
	case len(rest) < len(command.arguments):
		return &usageError{command.name, "missing: " + strings.Join(command.arguments[len(rest):], " and ")}
	}
	for i, a := range rest {
		if a == "" {
			return &usageError{command.name, command.arguments[i] + " is empty"}
		}
	}
	c, err := where.client(command.name)
	if err != nil {
		return err
	}
	defer c.close()
	return do(ctx, p, c, rest)
}

// parseMixed parses flags that stand before, between and after the arguments,
// and returns the arguments. After "--" there are no flags.
func parseMixed(flags *flag.FlagSet, args []string) ([]string, error) {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		parsed := len(args) - flags.NArg()
		if flags.NArg() == 0 || parsed > 0 && args[parsed-1] == "--" {
			return append(rest, flags.Args()...), nil
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
}

// listed is a list of words for a sentence.
func listed(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	const most = 20
	if len(words) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}
