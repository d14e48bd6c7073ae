package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// watch is "fairlead status --watch": the status as GET /v1/live tells it, drawn
// again each time, until ctx ends.
func (p *program) watch(ctx context.Context, c *client, asJSON, all bool) error {
	ctx, stop := p.untilHangup(ctx)
	defer stop()
	screen := &screen{out: p.stdout, alive: viewOf(p.stdout).height > 0 && colours(p.stdout)}
	var last *adminapi.Status
	draw := func(warning string) error {
		v := viewOf(p.stdout) // the window may have changed
		v.all = all && !screen.alive
		return screen.draw(v.status(last, warning), v.height)
	}
	broken := complaint{out: p.stderr}
	l := listener{
		connect: func(ctx context.Context) (*stream, error) { return c.open(ctx, "/v1/live", nil, "", liveIdle) },
		do: func(m message) error {
			broken.over()
			if m.event != "status" {
				return nil
			}
			if asJSON {
				return p.printJSON(c, m.data, false)
			}
			s := new(adminapi.Status)
			if err := c.decode(m.data, s); err != nil {
				return err
			}
			last = s
			return draw("")
		},
		lost: func(err error) {
			if last == nil || asJSON {
				broken.lost(err)
				return
			}
			_ = draw(fmt.Sprintf("NOT REACHABLE, this is of %s: %s, trying again", last.Now.In(time.Local).Format(time.TimeOnly), brokenOff(err)))
		},
	}
	err := l.run(ctx)
	screen.leave()
	return err
}

// untilHangup ends with ctx, and when the terminal goes away: for a command,
// that signal is no wish to reload.
func (p *program) untilHangup(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	if p.reload != nil {
		go func() {
			select {
			case <-p.reload:
				stop()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, stop
}

// screen draws pictures over each other where out is a terminal, on its
// alternate screen, and below each other elsewhere.
type screen struct {
	out     io.Writer
	alive   bool
	entered bool
	last    []string
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the alternate screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	restOfLine  = "\x1b[K"
	restBelow   = "\x1b[J"
)

// draw draws a picture in one write, so that it doesn't flicker.
func (s *screen) draw(lines []string, height int) error {
	if !s.alive {
		return say(s.out, append(lines, "")...)
	}
	if len(lines) > height {
		lines = lines[:height]
	}
	var b strings.Builder
	if !s.entered {
		b.WriteString(enterScreen)
		s.entered = true
	}
	b.WriteString(home)
	b.WriteString(strings.Join(lines, restOfLine+"\n"))
	b.WriteString(restOfLine + restBelow)
	s.last = lines
	_, err := io.WriteString(s.out, b.String())
	return err
}

// leave gives the terminal back, with the last picture on it.
func (s *screen) leave() {
	if s.entered {
		_, _ = io.WriteString(s.out, leaveScreen)
		_ = say(s.out, s.last...)
	}
}
