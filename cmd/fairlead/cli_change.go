package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// pinCommand is "fairlead pin".
func pinCommand(flags *flag.FlagSet) action {
	r := adminapi.PinRequest{}
	flags.StringVar(&r.Reason, "reason", "", "")
	flags.BoolVar(&r.Force, "force", false, "")
	flags.Func("for", "", func(s string) error {
		if d, err := time.ParseDuration(s); err != nil || d <= 0 {
			return errors.New("write a time such as 30m or 2h")
		}
		r.For = s
		return nil
	})
	return func(ctx context.Context, p *program, c *client, args []string) error {
		before, err := c.group(ctx, args[0])
		if err != nil {
			return err
		}
		r.Target = args[1]
		if r.Target != before.Primary && r.Target != before.Secondary {
			return fmt.Errorf("group %s has no origin %q: its primary is %s, its secondary %s", before.Name, r.Target, before.Primary, cmp.Or(before.Secondary, "left out"))
		}
		r.Generation = before.Generation
		return p.changeGroup(ctx, c, "pin", before, &r)
	}
}

// unpinCommand is "fairlead unpin".
func unpinCommand(*flag.FlagSet) action {
	return func(ctx context.Context, p *program, c *client, args []string) error {
		before, err := c.group(ctx, args[0])
		if err != nil {
			return err
		}
		if before.Pin == nil {
			return say(p.stdout, fmt.Sprintf("%s: it is not pinned, nothing was changed", before.Name))
		}
		return p.changeGroup(ctx, c, "unpin", before, &adminapi.Change{Generation: before.Generation})
	}
}

// failbackCommand is "fairlead failback".
func failbackCommand(*flag.FlagSet) action {
	return func(ctx context.Context, p *program, c *client, args []string) error {
		before, err := c.group(ctx, args[0])
		if err != nil {
			return err
		}
		return p.changeGroup(ctx, c, "failback", before, &adminapi.Change{Generation: before.Generation})
	}
}

// group reads a group as it is now.
func (c *client) group(ctx context.Context, name string) (*adminapi.Group, error) {
	var s adminapi.Status
	if err := c.status(ctx, &s); err != nil {
		return nil, err
	}
	return groupOf(&s, name)
}

func groupOf(s *adminapi.Status, name string) (*adminapi.Group, error) {
	names := make([]string, len(s.Groups))
	for i := range s.Groups {
		if names[i] = s.Groups[i].Name; names[i] == name {
			return &s.Groups[i], nil
		}
	}
	return nil, &unknownGroupError{name, names}
}

// unknownGroupError is the name of a group that there is not.
type unknownGroupError struct {
	name  string
	known []string
}

func (e *unknownGroupError) Error() string {
	return fmt.Sprintf("there is no group %q: there are %s", e.name, listed(e.known))
}

// changeGroup asks for a change of a pointer that was as in before, and prints
// what came of it. A pointer that has moved since is left alone.
func (p *program) changeGroup(ctx context.Context, c *client, what string, before *adminapi.Group, body any) error {
	var after adminapi.Group
	err := c.post(ctx, "/v1/groups/"+url.PathEscape(before.Name)+"/"+what, body, &after)
	if refused, ok := errors.AsType[*apiError](err); ok {
		return p.explainRefused(ctx, c, before.Name, refused)
	}
	if err != nil {
		return err
	}
	return say(p.stdout, viewOf(p.stdout).change(before, &after, time.Now()))
}

// change is a group's pointer before and after, in a line.
func (v view) change(before, after *adminapi.Group, now time.Time) string {
	from, to := cmp.Or(before.Target, "none"), cmp.Or(after.Target, "none")
	text := fmt.Sprintf("%s: %s -> %s", after.Name, from, to)
	if from == to {
		text = fmt.Sprintf("%s: still %s", after.Name, to)
	}
	switch {
	case after.Pin != nil:
		text += ", pinned " + v.pin(after.Pin, now)
	case before.Pin != nil:
		text += ", no longer pinned (it was to " + before.Pin.Target + " " + v.pin(before.Pin, now) + ")"
	}
	return fmt.Sprintf("%s (%s, generation %d)", text, reasonOf(after), after.Generation)
}

// nextSteps is what to do about a refusal, by its code.
var nextSteps = map[string]string{
	"no_healthy_origin": "With --force it is done all the same.",
	"pinned":            "Unpin the group first: fairlead unpin GROUP.",
	"following":         "Move the pointer that it follows, or pin the group.",
	"primary_down":      "\"fairlead status\" says what is wrong with the primary. If it is drained: fairlead ready ORIGIN. If it is down and serves all the same: fairlead pin GROUP ORIGIN --force.",
	"bad_config":        "Nothing was changed: the old configuration still serves. Mend the file and run \"fairlead reload\" again.",
}

// explainRefused adds to a refusal what to do next, and to one that came too
// late what the pointer is now.
func (p *program) explainRefused(ctx context.Context, c *client, group string, refused *apiError) error {
	if refused.said.Code != "stale" {
		return nextStep(refused)
	}
	now := fmt.Sprintf("its generation is %d", refused.said.Generation)
	var s adminapi.Status
	if err := c.status(ctx, &s); err == nil {
		if g, err := groupOf(&s, group); err == nil {
			now = fmt.Sprintf("it is at %s now (%s, generation %d, since %s)", cmp.Or(g.Target, "none"), g.Reason, g.Generation, age(s.Now.Sub(g.Since)))
		}
	}
	return fmt.Errorf("%s: the pointer has moved in between, nothing was changed: %s\nRun it again if you still want it", group, now)
}

// nextStep adds to a refusal what to do.
func nextStep(refused *apiError) error {
	if refused.hint == "" {
		refused.hint = nextSteps[refused.said.Code]
	}
	return refused
}

// drainCommand is "fairlead drain".
func drainCommand(flags *flag.FlagSet) action {
	force := flags.Bool("force", false, "")
	return func(ctx context.Context, p *program, c *client, args []string) error {
		return p.changeOrigin(ctx, c, "drain", args[0], &adminapi.Change{Force: *force})
	}
}

// readyCommand is "fairlead ready".
func readyCommand(*flag.FlagSet) action {
	return func(ctx context.Context, p *program, c *client, args []string) error {
		return p.changeOrigin(ctx, c, "ready", args[0], &adminapi.Change{})
	}
}

// changeOrigin takes an origin out of service or back, and prints what came of
// it, for the origin and for the groups that have it.
func (p *program) changeOrigin(ctx context.Context, c *client, what, name string, body *adminapi.Change) error {
	var s adminapi.Status
	if err := c.status(ctx, &s); err != nil {
		return err
	}
	before, err := originOf(&s, name)
	if err != nil {
		return err
	}
	var after adminapi.Origin
	if err := c.post(ctx, "/v1/origins/"+url.PathEscape(name)+"/"+what, body, &after); err != nil {
		if refused, ok := errors.AsType[*apiError](err); ok {
			return nextStep(refused)
		}
		return err
	}
	from, to := serviceOf(before), serviceOf(&after)
	line := fmt.Sprintf("%s: %s -> %s (%s)", name, from, to, after.Verdict)
	if from == to {
		line = fmt.Sprintf("%s: still %s (%s)", name, to, after.Verdict)
	}
	if err := say(p.stdout, line); err != nil {
		return err
	}
	return p.groupsOf(ctx, c, name, s.Groups)
}

func originOf(s *adminapi.Status, name string) (*adminapi.Origin, error) {
	names := make([]string, len(s.Origins))
	for i := range s.Origins {
		if names[i] = s.Origins[i].Name; names[i] == name {
			return &s.Origins[i], nil
		}
	}
	return nil, fmt.Errorf("there is no origin %q: there are %s", name, listed(names))
}

func serviceOf(o *adminapi.Origin) string {
	if o.Drained {
		return "drained"
	}
	return "in service"
}

// groupsOf prints where the pointers of an origin's groups were and are.
func (p *program) groupsOf(ctx context.Context, c *client, origin string, before []adminapi.Group) error {
	var s adminapi.Status
	if err := c.status(ctx, &s); err != nil {
		return fmt.Errorf("this was done, but where the pointers are now can't be told: %w", err)
	}
	v := viewOf(p.stdout)
	for i := range s.Groups {
		g := &s.Groups[i]
		if g.Primary != origin && g.Secondary != origin {
			continue
		}
		was := slices.IndexFunc(before, func(b adminapi.Group) bool { return b.Name == g.Name })
		if was < 0 {
			continue
		}
		if err := say(p.stdout, "  "+v.change(&before[was], g, s.Now)); err != nil {
			return err
		}
	}
	return nil
}

// reloadCommand is "fairlead reload".
func reloadCommand(*flag.FlagSet) action {
	return func(ctx context.Context, p *program, c *client, _ []string) error {
		var r adminapi.ReloadResult
		if err := c.post(ctx, "/v1/reload", struct{}{}, &r); err != nil {
			if refused, ok := errors.AsType[*apiError](err); ok {
				return nextStep(refused)
			}
			return err
		}
		lines := []string{fmt.Sprintf("reloaded %s, fingerprint %.12s", r.Config.File, r.Config.Fingerprint)}
		for _, changed := range r.Changed {
			lines = append(lines, "  "+changed)
		}
		if len(r.Changed) == 0 {
			lines = append(lines, "  nothing has changed")
		}
		return say(p.stdout, lines...)
	}
}
