package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/config"
)

func TestWrongUsageIsExplainedOnStderrAlone(t *testing.T) {
	tests := []struct {
		give []string
		want string
	}{
		{give: nil, want: "fairlead: a command is missing\nRun \"fairlead help\" for the commands.\n"},
		{give: []string{"fly"}, want: "fairlead: unknown command \"fly\"\nRun \"fairlead help\" for the commands.\n"},
		{give: []string{"-c", "x"}, want: "fairlead: unknown command \"-c\"\n"},
		{give: []string{"run", "-x"}, want: "fairlead run: flag provided but not defined: -x\nRun \"fairlead help run\" for its flags and arguments.\n"},
		{give: []string{"run", "-c"}, want: "fairlead run: flag needs an argument: -c\n"},
		{give: []string{"run", "fairlead.toml"}, want: "fairlead run: unexpected argument \"fairlead.toml\"\n"},
		{give: []string{"check"}, want: "fairlead check: the file to check is missing\n"},
		{give: []string{"check", "a", "b"}, want: "fairlead check: unexpected argument \"b\"\n"},
		{give: []string{"demo", "--twice"}, want: "fairlead demo: flag provided but not defined: -twice\n"},
		{give: []string{"drill", "now"}, want: "fairlead drill: unexpected argument \"now\"\n"},
		{give: []string{"drill", "--fault", "hang,rain"}, want: "fairlead drill: invalid value \"hang,rain\" for flag -fault: there is no fault \"rain\", but connect_refused, blackhole, "},
		{give: []string{"drill", "--rate", "0"}, want: "fairlead drill: invalid value \"0\" for flag -rate: write requests a second, from 1 to 10000\n"},
		{give: []string{"drill", "--rate", "NaN"}, want: "fairlead drill: invalid value \"NaN\" for flag -rate: write"},
		{give: []string{"drill", "--for", "1h"}, want: "fairlead drill: --for is 1h0m0s: without --live it is 10m0s at most\n"},
		{give: []string{"drill", "--for", "-1s"}, want: "fairlead drill: invalid value \"-1s\" for flag -for: write a time such as 5s or 10m\n"},
		{give: []string{"drill", "--share", "5%"}, want: "fairlead drill: --share is for --live\n"},
		{give: []string{"drill", "--live", "shop", "--fault", "hang"}, want: "fairlead drill: --fault is not for --live, which takes the requests that come\n"},
		{give: []string{"drill", "-c", "../../testdata/failover.toml", "--route", "shop,nowhere"}, want: "fairlead drill: there is no route \"nowhere\", but report, shop\n"},
		{give: []string{"version", "now"}, want: "fairlead version: unexpected argument \"now\"\n"},
		{give: []string{"help", "fly"}, want: "fairlead help: unknown command \"fly\"\n"},
		{give: []string{"pin"}, want: "fairlead pin: missing: GROUP and ORIGIN\nRun \"fairlead help pin\" for its flags and arguments.\n"},
		{give: []string{"pin", "shop"}, want: "fairlead pin: missing: ORIGIN\n"},
		{give: []string{"pin", "shop", ""}, want: "fairlead pin: ORIGIN is empty\n"},
		{give: []string{"pin", "shop", "us", "now"}, want: "fairlead pin: unexpected argument \"now\"\n"},
		{give: []string{"pin", "shop", "us", "--for", "soon"}, want: "fairlead pin: invalid value \"soon\" for flag -for: write a time such as 30m or 2h\n"},
		{give: []string{"pin", "shop", "us", "--for", "-1m"}, want: "fairlead pin: invalid value \"-1m\" for flag -for: write a time"},
		{give: []string{"unpin", "shop", "--force"}, want: "fairlead unpin: flag provided but not defined: -force\n"},
		{give: []string{"status", "--admin", "9900"}, want: "fairlead status: --admin: \"9900\" is no address: write host:port"},
		{give: []string{"events", "--kind", "flop"}, want: "fairlead events: invalid value \"flop\" for flag -kind: there is no kind \"flop\", but start, flip"},
		{give: []string{"events", "-n", "-1"}, want: "fairlead events: -n must be from 0 to 1000\n"},
		{give: []string{"requests", "-n", "0"}, want: "fairlead requests: -n must be from 1 to 1000\n"},
		{give: []string{"explain", "GET"}, want: "fairlead explain: missing: URL\n"},
		{give: []string{"completion"}, want: "fairlead completion: missing: the shell, one of bash, zsh, fish\n"},
		{give: []string{"completion", "tcsh"}, want: "fairlead completion: there is no script for \"tcsh\", but for bash, zsh, fish\n"},
		{give: []string{"help", "run", "check"}, want: "fairlead help: unexpected argument \"check\"\n"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.give, " "), func(t *testing.T) {
			code, stdout, stderr := command(t, tt.give...)
			if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, tt.want) {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d, nothing and %q", code, stdout, stderr, exitUsage, tt.want)
			}
		})
	}
}

func TestHelpSaysEverythingHoweverItIsAskedFor(t *testing.T) {
	tests := []struct {
		ways [][]string
		want []string
	}{
		{
			ways: [][]string{{"help"}, {"-h"}, {"--help"}},
			want: []string{"run [-c FILE]", "check FILE", "demo [--once]", "version", "help [COMMAND]", "status", "pin GROUP ORIGIN", "drain ORIGIN"},
		},
		{
			ways: [][]string{{"help", "run"}, {"run", "-h"}, {"run", "--help"}, {"run", "-c", "x", "--help"}},
			want: []string{"-c FILE", "fairlead.toml if left out", "SIGTERM", "SIGINT", "Example:"},
		},
		{ways: [][]string{{"help", "check"}, {"check", "-h"}, {"check", "--help"}}, want: []string{"FILE:LINE:COLUMN", "Example:"}},
		{ways: [][]string{{"help", "demo"}, {"demo", "-h"}, {"demo", "--help"}}, want: []string{"--once", "NO_COLOR", "Ctrl-C", "Example:"}},
		{ways: [][]string{{"help", "drill"}, {"drill", "-h"}, {"drill", "--fault", "hang", "--help"}}, want: []string{"--fault NAME", "connect_refused", "both_down", "unavoidable", "NO_COLOR", "Ctrl-C", "Example:"}},
		{ways: [][]string{{"help", "status"}, {"status", "-h"}, {"status", "--json", "--help"}}, want: []string{"--watch", "NO_COLOR", "COLUMNS", "FAIRLEAD_ADMIN", "FAIRLEAD_TOKEN_FILE", "127.0.0.1:9900", "Example:"}},
		{ways: [][]string{{"help", "events"}, {"events", "-h"}}, want: []string{"-f ", "--kind KIND", "Ctrl-C", "--admin", "Example:"}},
		{ways: [][]string{{"help", "requests"}, {"requests", "-h"}}, want: []string{"--failed", "--route ROUTE", "--admin", "Example:"}},
		{ways: [][]string{{"help", "explain"}, {"explain", "-h"}, {"explain", "GET", "-h"}}, want: []string{"METHOD URL", "--host HOST", "--admin", "Example:"}},
		{ways: [][]string{{"help", "pin"}, {"pin", "-h"}, {"pin", "shop", "us", "--help"}}, want: []string{"--for TIME", "--reason TEXT", "--force", "--admin", "Example:"}},
		{ways: [][]string{{"help", "unpin"}, {"unpin", "-h"}}, want: []string{"GROUP", "--admin", "Example:"}},
		{ways: [][]string{{"help", "failback"}, {"failback", "-h"}}, want: []string{"failback_after", "--admin", "Example:"}},
		{ways: [][]string{{"help", "drain"}, {"drain", "-h"}}, want: []string{"ORIGIN", "--force", "--admin", "Example:"}},
		{ways: [][]string{{"help", "ready"}, {"ready", "-h"}}, want: []string{"ORIGIN", "--admin", "Example:"}},
		{ways: [][]string{{"help", "reload"}, {"reload", "-h"}}, want: []string{"configuration", "--admin", "Example:"}},
		{ways: [][]string{{"help", "completion"}, {"completion", "-h"}}, want: []string{"bash", "zsh", "fish", "Example:"}},
		{ways: [][]string{{"help", "version"}, {"version", "-h"}, {"--version", "-h"}}, want: []string{"version of Go", "Example:"}},
		{ways: [][]string{{"help", "help"}, {"help", "-h"}}, want: []string{"help [COMMAND]", "Example:"}},
	}
	for _, tt := range tests {
		for _, way := range tt.ways {
			t.Run(strings.Join(way, " "), func(t *testing.T) {
				code, stdout, stderr := command(t, way...)
				if code != exitDone || stderr != "" {
					t.Errorf("exit code %d, stderr %q", code, stderr)
				}
				for _, want := range append(tt.want, "Exit codes:", "\n  0  ", "\n  2  ") {
					if !strings.Contains(stdout, want) {
						t.Errorf("help lacks %q:\n%s", want, stdout)
					}
				}
				for l := range strings.Lines(stdout) {
					if len(l) > 81 {
						t.Errorf("line is longer than 80 columns: %q", l)
					}
				}
			})
		}
	}
}

func TestVersionNamesVersionGoAndPlatform(t *testing.T) {
	code, stdout, stderr := command(t, "version")
	want := regexp.MustCompile(`^fairlead \S.*, ` + regexp.QuoteMeta(runtime.Version()) + `, ` + runtime.GOOS + "/" + runtime.GOARCH + "\n$")
	if code != exitDone || stderr != "" || !want.MatchString(stdout) {
		t.Errorf("exit code %d, stdout %q, stderr %q; want %d and %s", code, stdout, stderr, exitDone, want)
	}
}

func TestVersionTellsOfTheRevision(t *testing.T) {
	tests := []struct {
		name string
		give debug.BuildInfo
		want string
	}{
		{name: "nothing known", want: "(devel)"},
		{name: "released", give: debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, want: "v1.2.3"},
		{
			name: "built from a clean tree",
			give: debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
				{Key: "vcs.revision", Value: "4f2a9c"}, {Key: "vcs.modified", Value: "false"},
			}},
			want: "(devel) (revision 4f2a9c)",
		},
		{
			name: "built from a modified tree",
			give: debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
				{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "4f2a9c"},
			}},
			want: "(devel) (revision 4f2a9c, modified)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := describe(&tt.give); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCheckSumsUpEveryGoodFileOfTestdata(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "*.toml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	want := regexp.MustCompile(`^.*\.toml: ok: \d+ routes?, \d+ groups?, \d+ origins?\n`)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			copied := write(t, string(text))
			writeCertificate(t, filepath.Dir(copied)) // which tls.toml wants beside it
			code, stdout, stderr := command(t, "check", copied)
			if code != exitDone || stderr != "" || !want.MatchString(stdout) {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
			}
		})
	}
}

func TestCheckWarnsOfWhatIsDangerous(t *testing.T) {
	file := write(t, oneOrigin("http://127.0.0.1:9101"))
	code, stdout, stderr := command(t, "check", file)
	want := file + ": ok: 1 route, 1 group, 1 origin\n" +
		file + ": warning: group app has no secondary: while app is down, its requests fail\n"
	if code != exitDone || stdout != want || stderr != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q; want %d and %q", code, stdout, stderr, exitDone, want)
	}
}

// badFile has one mistake in each of three tables; the last two are known to
// the routes' own package only.
var badFile = `[server]
idle_timeout = 75
[origins.app]
url = "http://127.0.0.1:9101"
[groups.app]
primary = "app"
` + routeTable("a", "/{x}/", "app", 1) + routeTable("b", "/{y}/", "app", 1) + routeTable("c", "no/slash{", "app", 1)

func TestRunAndCheckPrintEveryProblemWithItsPlace(t *testing.T) {
	file := write(t, badFile)
	for _, args := range [][]string{{"check", file}, {"run", "-c", file}} {
		t.Run(args[0], func(t *testing.T) {
			code, stdout, stderr := command(t, args...)
			if code != exitWrong || stdout != "" {
				t.Errorf("exit code %d, stdout %q; want %d and nothing", code, stdout, exitWrong)
			}
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			places := []string{":2:16: ", ":14:9: ", ":19:9: "}
			if len(lines) != len(places) {
				t.Fatalf("%d problems, want %d:\n%s", len(lines), len(places), stderr)
			}
			for i, place := range places {
				if !strings.HasPrefix(lines[i], file+place) {
					t.Errorf("line %d is %q, want it to begin with %q", i+1, lines[i], file+place)
				}
			}
		})
	}
}

func TestRunReadsFairleadTOMLIfNoFileIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	code, _, stderr := command(t, "run")
	if code != exitWrong || !strings.Contains(stderr, "fairlead.toml") {
		t.Errorf("exit code %d, stderr %q; want %d and the file's name", code, stderr, exitWrong)
	}
	if err := os.WriteFile("fairlead.toml", []byte("listen = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, stderr = command(t, "run"); !strings.HasPrefix(stderr, "fairlead.toml:1:") {
		t.Errorf("stderr is %q, want the problem's place", stderr)
	}
}

// dangerous is two origins, one group and one route, with room for a mistake of
// judgement in each.
const dangerous = `
[server]
trusted_proxies = [%s]
[origins.eu]
url = "http://127.0.0.1:9101"
%s
[origins.us]
url = "http://127.0.0.1:9102"
health = {}
[groups.shop]
primary = "eu"
secondary = "us"
%s
[[routes]]
name = "shop"
match = "/"
group = "shop"
bulkhead = { max_concurrent = 1 }
%s
`

func TestDangersNameWhatAGoodFileLeavesOpen(t *testing.T) {
	const healthy = "health = {}"
	tests := []struct {
		name                           string
		trusted, health, group, routes string
		want                           []string
	}{
		{name: "nothing", health: healthy},
		{
			name: "every client is trusted", trusted: `"10.0.0.0/8", "0.0.0.0/0", "::/0"`, health: healthy,
			want: []string{
				"server: trusted_proxies holds 0.0.0.0/0: any client can claim any address",
				"server: trusted_proxies holds ::/0: any client can claim any address",
			},
		},
		{
			name: "a listener beside those of a balancer", health: healthy,
			trusted: `"10.0.0.0/8"]
listen = ["127.0.0.1:8080", "127.0.0.1:8081", "unix:/run/fairlead.sock"]
proxy_protocol = ["127.0.0.1:8080"`,
			want: []string{"server: proxy_protocol leaves out 127.0.0.1:8081: what comes there from trusted_proxies is believed, also if a balancer only passes it on"},
		},
		{name: "no check", want: []string{"origin eu has no health check: it always counts as healthy, and no pointer moves on its account"}},
		{
			name: "nothing is covered", health: healthy, group: "failover_methods = []",
			want: []string{"group shop: failover_methods is empty: requests fail until the pointer has moved"},
		},
		{
			name: "writes run ahead", health: healthy, group: `unsafe = "unsent"`,
			want: []string{`group shop: unsafe = "unsent": writes can reach us while the pointer is still at eu`},
		},
		{
			name: "parked in vain", health: `health = { fast_interval = "1500ms" }`,
			want: []string{"group shop: park_timeout = 3s is over before eu can be found down, which takes 4.5s: parked requests fail first"},
		},
		{
			name: "no breaker", health: healthy, routes: "breaker = { consecutive_failures = 0 }",
			want: []string{"route shop has no breaker: until the pointer moves, each request tries the failing origin first"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := fmt.Sprintf(dangerous, tt.trusted, tt.health, tt.group, tt.routes)
			cfg, err := config.Parse("test.toml", []byte(text), config.Options{Patterns: checkPatterns})
			if err != nil {
				t.Fatal(err)
			}
			if got := dangers(cfg); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}
