package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

func TestCompletionKnowsCommandsFlagsAndNames(t *testing.T) {
	failoverFile, err := filepath.Abs(filepath.Join("..", "..", "testdata", "failover.toml"))
	if err != nil {
		t.Fatal(err)
	}
	serveAPI(t, newFakeAPI())
	tests := []struct {
		give []string
		want string
	}{
		{[]string{""}, "run check demo drill version help completion status events requests explain pin unpin failback drain ready reload"},
		{[]string{"re"}, "requests ready reload"},
		{[]string{"pin", ""}, "blog shop checkout-with-a-rather-long-name"},
		{[]string{"pin", "s"}, "shop"},
		{[]string{"pin", "shop", ""}, "eu us"},
		{[]string{"pin", "shop", "--for", "30m", "u"}, "us"},
		{[]string{"pin", "shop", "--force", "u"}, "us"},
		{[]string{"pin", "shop", "us", ""}, ""},
		{[]string{"pin", "none", ""}, ""},
		{[]string{"pin", "--fo"}, "--for --force"},
		{[]string{"pin", "shop", "--for", ""}, ""},
		{[]string{"drain", ""}, "us static eu"},
		{[]string{"events", "--kind", "re"}, "ready reload reload_failed"},
		{[]string{"events", "--group", "b"}, "blog"},
		{[]string{"events", "-"}, "--admin -c -f --group --json --kind -n --token-file"},
		{[]string{"requests", "--route", "p"}, "page product"},
		{[]string{"explain", "P"}, "POST PUT PATCH"},
		{[]string{"status", "--token-file", "/e"}, ":file"},
		{[]string{"run", "-c", ""}, ":file"},
		{[]string{"check", "x"}, ":file"},
		{[]string{"demo", "--"}, "--once"},
		{[]string{"drill", "-"}, "--admin -c --fault --for --force --html --json --live --rate --reason --route --share --stop-at --token-file"},
		{[]string{"drill", "--fault", "t"}, "tls_stall tls_wrong_name tls_expired truncated truncated_chunked"},
		{[]string{"drill", "-c", failoverFile, "--route", ""}, "report shop"},
		{[]string{"drill", "--route", ""}, ""},
		{[]string{"drill", "--html", ""}, ":file"},
		{[]string{"drill", "--live", "s"}, "shop"},
		{[]string{"help", "un"}, "unpin"},
		{[]string{"completion", ""}, "bash zsh fish"},
		{[]string{"fly", ""}, ""},
		{nil, ""},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.give, " "), func(t *testing.T) {
			code, stdout, stderr := command(t, append([]string{completeCommand}, tt.give...)...)
			if got := strings.Join(strings.Fields(stdout), " "); code != exitDone || stderr != "" || got != tt.want {
				t.Errorf("exit code %d, stderr %q, got %q, want %q", code, stderr, got, tt.want)
			}
		})
	}
}

func TestCompletionIsQuietAndQuickWhereThereIsNoAPI(t *testing.T) {
	serveAPI(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	begun := time.Now()
	for _, args := range [][]string{{completeCommand, "pin", ""}, {completeCommand, "pin", "--admin", "nowhere", ""}, {completeCommand, "pin", "--admin", "127.0.0.1:1", ""}} {
		if code, stdout, stderr := command(t, args...); code != exitDone || stdout+stderr != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	if took := time.Since(begun); took > 20*completePatience {
		t.Errorf("it took %v", took)
	}
}

func TestCompletionGivesNoNameThatAShellCouldRun(t *testing.T) {
	api := newFakeAPI()
	evil := []string{"$(reboot)", "`reboot`", "a b", "-x", "a;b", "a\nb", "", "*", "a'b", "~"}
	api.set(func(s *adminapi.Status) {
		s.Origins = nil
		for _, name := range append(evil, "good") {
			s.Origins = append(s.Origins, adminapi.Origin{Name: name})
		}
	})
	serveAPI(t, api)
	if _, stdout, _ := command(t, completeCommand, "drain", ""); stdout != "good\n" {
		t.Errorf("got %q", stdout)
	}
}

// inShell runs a script in a shell in which fairlead is this program.
func inShell(t *testing.T, shell, script string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("%s is not installed", shell)
	}
	bin := t.TempDir()
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(bin, "fairlead"))
	}
	if err != nil {
		t.Skipf("no link to this program: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), path, append(args, "-c", script)...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "HOME="+bin, "XDG_CONFIG_HOME="+bin, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestBashCompletesByTheScript(t *testing.T) {
	serveAPI(t, newFakeAPI())
	if err := os.WriteFile("a file.toml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out := inShell(t, "bash", `
source <(fairlead completion bash)
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fairlead; printf '[%s]' "${COMPREPLY[@]}"; echo; }
try fairlead pin s
try fairlead pin shop ''
try fairlead drain ''
try fairlead pin --fo
try fairlead check a
`, "--norc")
	if want := "[shop]\n[eu][us]\n[us][static][eu]\n[--for][--force]\n[a file.toml]\n"; out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func TestZshCompletesByTheScript(t *testing.T) {
	serveAPI(t, newFakeAPI())
	out := inShell(t, "zsh", `
compdef() { echo "compdef $*" }
source <(fairlead completion zsh)
compadd() { echo "compadd ${(P)2}" }
_files() { echo files }
try() { words=("$@"); CURRENT=$#; _fairlead }
try fairlead pin s
try fairlead pin shop ''
try fairlead pin none ''
try fairlead check a
`, "-f")
	if want := "compdef _fairlead fairlead\ncompadd shop\ncompadd eu us\ncompadd \nfiles\n"; out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func TestFishCompletesByTheScript(t *testing.T) {
	serveAPI(t, newFakeAPI())
	out := inShell(t, "fish", `
fairlead completion fish | source
complete -C 'fairlead pin s'
complete -C 'fairlead pin shop '
complete -C 'fairlead relo'
`, "--no-config")
	if want := "shop\neu\nus\nreload\n"; out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func TestEveryCommandHasAHelpTextThatNamesEachFlag(t *testing.T) {
	for _, name := range commandNames() {
		text := helps[name]
		for _, f := range completedCommand(name).flagNames() {
			if !strings.Contains(text, "  "+f+" ") {
				t.Errorf("the help of %s lacks %s", name, f)
			}
		}
		if !strings.HasPrefix(text, "Usage: fairlead "+name) || !strings.Contains(text, "\nExample:\n") {
			t.Errorf("the help of %s has no usage or no example", name)
		}
		if !strings.Contains(helpProgram, "  fairlead "+name) {
			t.Errorf("the program's help lacks %s", name)
		}
	}
	for name := range helps {
		if !strings.HasPrefix(name, "-") && !slices.Contains(commandNames(), name) {
			t.Errorf("completion lacks %s", name)
		}
	}
	for _, kind := range eventKinds {
		if !strings.Contains(helpEvents, kind) {
			t.Errorf("the help of events lacks the kind %s", kind)
		}
	}
}
