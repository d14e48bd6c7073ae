package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"strings"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// explainCommand is "fairlead explain".
func explainCommand(flags *flag.FlagSet) action {
	asJSON := flags.Bool("json", false, "")
	host := flags.String("host", "", "")
	return func(ctx context.Context, p *program, c *client, args []string) error {
		of, target, err := splitURL(args[1])
		if err != nil {
			return err
		}
		if *host != "" {
			of = *host
		}
		raw, err := c.get(ctx, "/v1/explain", url.Values{"method": {strings.ToUpper(args[0])}, "host": {of}, "url": {target}})
		if err != nil {
			return err
		}
		if *asJSON {
			return p.printJSON(c, raw, true)
		}
		var e adminapi.Explanation
		if err := c.decode(raw, &e); err != nil {
			return err
		}
		return say(p.stdout, viewOf(p.stdout).explanation(&e)...)
	}
}

// splitURL takes a URL apart as a client would send it: the host, and path and
// query byte for byte. A path has no host.
func splitURL(s string) (host, target string, err error) {
	s, _, _ = strings.Cut(s, "#") // no client sends it
	if strings.HasPrefix(s, "/") || s == "*" {
		return "", s, nil
	}
	scheme, rest, found := strings.Cut(s, "://")
	if scheme = strings.ToLower(scheme); !found || scheme != "http" && scheme != "https" {
		return "", "", &usageError{"explain", fmt.Sprintf("%q is no URL: write http://HOST/PATH, https://HOST/PATH or /PATH", s)}
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, target = rest[:end], rest[end:]
	if host == "" || strings.Contains(host, "@") {
		return "", "", &usageError{"explain", fmt.Sprintf("%q has no host, or more than one: write http://HOST/PATH", s)}
	}
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return host, target, nil
}

// explanation draws what would happen to a request, and why, rule by rule.
func (v view) explanation(e *adminapi.Explanation) []string {
	lines := wrap(fmt.Sprintf("%s %s%s", e.Method, e.Host, e.Target), v.width, 2)
	outcome, t := e.Outcome, toneGood
	if e.First == "" {
		t = toneBad
	}
	if e.Status != 0 {
		outcome += fmt.Sprintf(" (status %d)", e.Status)
	}
	for _, line := range wrap(outcome, v.width, 0) {
		lines = append(lines, coloured(line, t, v.paint))
	}
	facts := "covered: it may be sent again to the other origin"
	if !e.Covered {
		facts = "not covered: it is sent once at most"
	}
	if e.WhyNot != "" {
		facts += ", as why_not is " + e.WhyNot
	}
	if e.Route != "" {
		facts = fmt.Sprintf("route %s, group %s, %s", e.Route, e.Group, facts)
		lines = append(lines, wrap(facts, v.width, 0)...)
	}
	lines = append(lines, "")
	const indent = 18
	for _, s := range e.Steps {
		text := fmt.Sprintf("  %-4s  %-8s  %s", s.Result, s.Rule, s.Text)
		if s.Key != "" {
			text += " (" + s.Key + ")"
		}
		t := toneNone
		if s.Result == "stop" {
			t = toneWarn
		}
		for _, line := range wrap(text, v.width, indent) {
			lines = append(lines, coloured(line, t, v.paint))
		}
	}
	return lines
}
