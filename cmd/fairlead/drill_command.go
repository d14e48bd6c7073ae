package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
)

const helpDrill = `Usage: fairlead drill --live GROUP [FLAGS]

` + helpDrillLive

// drillFlags defines the flags of "fairlead drill".
func drillFlags(flags *flag.FlagSet) *liveDrill {
	l := &liveDrill{}
	l.register(flags)
	flags.StringVar(&l.where.config, "c", "", "")
	flags.DurationVar(&l.lasting, "for", 0, "")
	flags.BoolVar(&l.asJSON, "json", false, "")
	return l
}

// drillCommand is "fairlead drill".
func (p *program) drillCommand(ctx context.Context, args []string) error {
	const name = "drill"
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	l := drillFlags(flags)
	rest, err := parseMixed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return p.help([]string{name})
	case err != nil:
		return &usageError{name, err.Error()}
	case len(rest) > 0:
		return &usageError{name, fmt.Sprintf("unexpected argument %q", rest[0])}
	case l.group == "":
		return &usageError{name, "missing: --live GROUP"}
	}
	ctx, stop := p.untilHangup(ctx)
	defer stop()
	return p.drillLive(ctx, l)
}
