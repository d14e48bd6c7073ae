package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// liveDrill is what "fairlead drill --live" was asked for: a drill of a group of a
// running fairlead, by its admin API.
type liveDrill struct {
	group         string  // "": no live drill
	share, stopAt float64 // from 0 to 1; 0: the API's own
	lasting       time.Duration
	reason        string
	force, asJSON bool
	where         whereFlags

	every    time.Duration // between two looks; 0: a second
	patience time.Duration // 0: livePatience
}

const (
	liveEvery   = time.Second
	livePlain   = 10          // where there is no terminal, a line for so many looks
	liveLongest = time.Hour   // which is the API's limit
	liveUsual   = time.Minute // which is the API's default
	// livePatience is how long after its end a drill is asked for at most, where the
	// API can't be reached, and how long the wish to stop one may take.
	livePatience = 5 * time.Second
)

// register defines the flags that a live drill alone has, and those that say where
// the admin API is, but for -c.
func (l *liveDrill) register(flags *flag.FlagSet) {
	flags.StringVar(&l.group, "live", "", "")
	flags.Func("share", "", parseShare(&l.share))
	flags.Func("stop-at", "", parseShare(&l.stopAt))
	flags.StringVar(&l.reason, "reason", "", "")
	flags.BoolVar(&l.force, "force", false, "")
	flags.StringVar(&l.where.admin, "admin", "", "")
	flags.StringVar(&l.where.tokenFile, "token-file", "", "")
}

// given names the flags that mean nothing without --live.
func (l *liveDrill) given(flags *flag.FlagSet) (names []string) {
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "share", "stop-at", "reason", "force", "admin", "token-file":
			names = append(names, "--"+f.Name)
		}
	})
	return names
}

// parseShare reads a share in percent. A bare number might mean either, so the sign
// is asked for.
func parseShare(into *float64) func(string) error {
	return func(s string) error {
		number, ok := strings.CutSuffix(s, "%")
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if !ok || err != nil || !(n > 0 && n <= 100) {
			return errors.New("write a share above 0% and up to 100%, such as 5%")
		}
		*into = n / 100
		return nil
	}
}

// drillLive is "fairlead drill --live": it starts a drill, follows it, and stops it
// when ctx ends. The error says that it was refused, or did not run its course.
func (p *program) drillLive(ctx context.Context, l *liveDrill) error {
	if l.lasting < 0 || l.lasting > liveLongest || l.lasting > 0 && l.lasting < time.Second {
		return &usageError{"drill", fmt.Sprintf("--for is %v: write a time from 1s to %v", l.lasting, liveLongest)}
	}
	l.where.fall = func(warning string) { fmt.Fprintln(p.stderr, "fairlead:", warning) }
	c, err := l.where.client("drill")
	if err != nil {
		return err
	}
	defer c.close()
	f := &liveFollower{client: c, out: p.stderr, alive: rewrites(p.stderr), every: cmp.Or(l.every, liveEvery), patience: cmp.Or(l.patience, livePatience)}
	if f.group, err = f.start(ctx, l); err != nil {
		return p.explainLive(ctx, c, l.group, err)
	}
	f.note(fmt.Sprintf("%s: %s of the requests that may fail over go to %s, as if %s had failed, until %s; Ctrl-C stops it",
		f.group.Name, percent(f.last.Share), f.group.Secondary, f.group.Primary, f.last.Until.In(time.Local).Format(time.TimeOnly)))
	lost := f.follow(ctx)
	f.clear()
	if err := p.printLive(f, l.asJSON); err != nil {
		return err
	}
	switch {
	case lost != nil:
		return lost
	case f.last.Why != "time" && f.last.Why != "operator":
		return fmt.Errorf("the drill of %s did not run its course: %s", f.group.Name, liveWhy(f.last.Why))
	}
	return nil
}

// start asks for the drill. A wish that may have been granted without an answer is
// taken back.
func (f *liveFollower) start(ctx context.Context, l *liveDrill) (*adminapi.Group, error) {
	before, err := f.client.group(ctx, l.group)
	if err != nil {
		return nil, err
	}
	r := adminapi.DrillRequest{Share: l.share, StopAt: l.stopAt, Reason: l.reason, Change: adminapi.Change{Generation: before.Generation, Force: l.force}}
	if l.lasting > 0 {
		r.For = l.lasting.String()
	}
	f.ends = time.Now().Add(cmp.Or(l.lasting, liveUsual))
	var after adminapi.Group
	if err := f.client.post(ctx, livePath(l.group), r, &after); err != nil {
		refused, _ := errors.AsType[*apiError](err)
		if dial, _ := errors.AsType[*net.OpError](err); refused == nil && (dial == nil || dial.Op != "dial") {
			f.group = before
			_, _ = f.stop(ctx)
		}
		return nil, err
	}
	if after.Drill == nil {
		return nil, f.client.stranger("it says nothing of the drill that it was asked for")
	}
	f.last = *after.Drill
	return &after, nil
}

func livePath(group string) string { return "/v1/groups/" + url.PathEscape(group) + "/drill" }

// explainLive adds to a refusal what to do.
func (p *program) explainLive(ctx context.Context, c *client, group string, err error) error {
	refused, ok := errors.AsType[*apiError](err)
	if !ok {
		return err
	}
	switch refused.said.Code {
	case "stale":
		return p.explainRefused(ctx, c, group, refused)
	case "not_found", "method_not_allowed":
		refused.hint = "Is the fairlead that runs there as new as this command? \"fairlead status --json\" says its version."
	case "drill_runs":
		refused.hint = "\"fairlead status\" says until when."
	}
	return refused
}

// liveFollower follows one drill.
type liveFollower struct {
	client *client
	out    io.Writer // for progress
	alive  bool      // it is a terminal, whose line is drawn anew
	every  time.Duration
	ends   time.Time // by this machine's clock
	// patience is how long after that the drill is asked for in vain.
	patience time.Duration

	group *adminapi.Group
	last  adminapi.Drill // what was known of it last
	drawn bool           // the line on the terminal is not ended
	lost  bool           // the API did not answer the last time
}

// follow looks at the drill until it has ended, and ends it if ctx does. The error
// says that nobody knows how it ended.
func (f *liveFollower) follow(ctx context.Context) error {
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	for looks := 1; f.last.Running; looks++ {
		select {
		case <-ctx.Done():
			return f.interrupt(ctx)
		case <-ticker.C:
		}
		found, err := f.look(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && time.Now().After(f.ends.Add(f.patience)):
			return fmt.Errorf("the admin API has been out of reach since before the drill's end, at which fairlead ends it by itself: %w", err)
		case err != nil && !f.lost:
			f.lost = true
			f.note(fmt.Sprintf("%v; trying again. Whatever comes of that, fairlead ends the drill by itself at %s", brokenOff(err), f.last.Until.In(time.Local).Format(time.TimeOnly)))
		case err == nil && !found:
			return fmt.Errorf("the drill of %s is not known there any more: another process has taken over, or a reload has removed the group, which ends it", f.group.Name)
		case err == nil:
			f.lost = false
			if f.alive || looks%livePlain == 0 {
				f.draw(liveProgress(&f.last, time.Now(), f.ends))
			}
		}
	}
	return nil
}

// look asks how the drill is. It is found where the group's last drill is this one.
func (f *liveFollower) look(ctx context.Context) (found bool, err error) {
	g, err := f.client.group(ctx, f.group.Name)
	if _, gone := errors.AsType[*unknownGroupError](err); gone {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return f.take(g), nil
}

// take takes over what a group says of its drill, if that is this one.
func (f *liveFollower) take(g *adminapi.Group) bool {
	if g.Drill == nil || !g.Drill.Since.Equal(f.last.Since) {
		return false
	}
	f.last = *g.Drill
	return true
}

// interrupt stops the drill, for who has pressed Ctrl-C.
func (f *liveFollower) interrupt(ctx context.Context) error {
	found, err := f.stop(ctx)
	if err != nil {
		return fmt.Errorf("the drill may go on until %s, since the wish to stop it was not answered: %w", f.last.Until.In(time.Local).Format(time.TimeOnly), err)
	}
	if !found {
		return fmt.Errorf("the drill of %s is not known there any more", f.group.Name)
	}
	return nil
}

// stop asks for the end of the drill, although ctx has ended.
func (f *liveFollower) stop(ctx context.Context) (found bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), livePatience)
	defer cancel()
	var after adminapi.Group
	err = f.client.remove(ctx, livePath(f.group.Name), &after)
	if refused, ok := errors.AsType[*apiError](err); ok && refused.status == http.StatusNotFound {
		return f.look(ctx) // it has ended meanwhile
	}
	if err != nil {
		return false, err
	}
	return f.take(&after), nil
}

// note prints a line that stays.
func (f *liveFollower) note(text string) {
	f.clear()
	fmt.Fprintln(f.out, "fairlead:", text)
}

// draw prints how things are: over the last time where that can be done.
func (f *liveFollower) draw(text string) {
	if !f.alive {
		fmt.Fprintln(f.out, text)
		return
	}
	fmt.Fprint(f.out, "\r"+viewOf(f.out).cut(text)+restOfLine)
	f.drawn = true
}

// clear takes the line away that is drawn anew.
func (f *liveFollower) clear() {
	if f.drawn {
		fmt.Fprint(f.out, "\r"+restOfLine)
		f.drawn = false
	}
}

// rewrites reports whether w is a terminal, on which a line can be drawn anew.
func rewrites(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	width, _ := terminalSize(f)
	return width > 0
}

// printLive prints what came of the drill.
func (p *program) printLive(f *liveFollower, asJSON bool) error {
	if !asJSON {
		return say(p.stdout, viewOf(p.stdout).live(f.group, &f.last)...)
	}
	raw, err := json.Marshal(f.last)
	if err != nil {
		return err
	}
	return p.printJSON(f.client, raw, true)
}
