package fairlead_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// guides are the documents that send a newcomer to files, targets and tests.
var guides = []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/design.md", "docs/configuration.md", "docs/operating.md", "docs/metrics.md", "docs/performance.md"}

func TestTheReadmeShowsTheFileThatItNames(t *testing.T) {
	_, rest, found := strings.Cut(read(t, "README.md"), "```toml\n")
	if !found {
		t.Fatal("README.md shows no configuration")
	}
	shown, rest, _ := strings.Cut(rest, "```\n")
	if shown != read(t, "testdata/shop.toml") {
		t.Error("the configuration in README.md is not that of testdata/shop.toml; copy the file again")
	}
	if strings.Contains(rest, "```toml\n") {
		t.Error("README.md shows a second configuration, which no test holds against anything")
	}
}

func TestTheReadmeBeginsWithTheTwoCommands(t *testing.T) {
	var commands []string
	for _, block := range blocks(read(t, "README.md")) {
		if strings.HasPrefix(block, "go ") {
			commands = append(commands, strings.TrimSpace(block))
		}
	}
	want := []string{"go run ./cmd/fairlead demo", "go test ./..."}
	if len(commands) < 2 || !slices.Equal(commands[:2], want) {
		t.Errorf("README.md begins with the commands %q, want %q", commands, want)
	}
}

func TestEveryFileThatTheGuidesNameExists(t *testing.T) {
	for _, guide := range guides {
		for _, name := range namedFiles(read(t, guide)) {
			fromRoot, fromGuide := filepath.FromSlash(name), filepath.Join(filepath.Dir(guide), filepath.FromSlash(name))
			if !exists(fromRoot) && !exists(fromGuide) {
				t.Errorf("%s names %s, which does not exist", guide, name)
			}
		}
	}
}

func TestEveryTargetThatTheGuidesNameExists(t *testing.T) {
	targets := submatches(read(t, "Makefile"), `(?m)^([a-z]+):`)
	for _, guide := range guides {
		for _, target := range submatches(read(t, guide), "(?m)(?:`|^)make ([a-z]+)") {
			if !slices.Contains(targets, target) {
				t.Errorf("%s names make %s, the Makefile has %q", guide, target, targets)
			}
		}
	}
}

func TestEveryTestThatTheGuidesNameExists(t *testing.T) {
	var tests []string
	for _, file := range files(t, "_test.go") {
		tests = append(tests, submatches(read(t, file), `(?m)^func ((?:Test|Fuzz)\w+)\(`)...)
	}
	for _, guide := range guides {
		for _, name := range submatches(read(t, guide), "`((?:Test|Fuzz)[A-Z]\\w+)`") {
			if !slices.Contains(tests, name) {
				t.Errorf("%s names %s, which does not exist", guide, name)
			}
		}
	}
}

// namedFiles returns the targets of a document's links and pictures that stay in the
// repository, and whatever stands between backquotes and looks like the path of
// a file or folder of ours.
func namedFiles(text string) []string {
	var names []string
	links := slices.Concat(submatches(text, `\]\(([^)#]+)[^)]*\)`), submatches(text, `src(?:set)?="([^"]+)"`))
	for _, link := range links {
		if !strings.Contains(link, "://") {
			names = append(names, link)
		}
	}
	for _, quoted := range submatches(text, "`([\\w./-]+)`") {
		top, _, below := strings.Cut(quoted, "/")
		if below && top != "." && exists(top) && quoted != "dist/fairlead" || regexp.MustCompile(`^[\w.-]+\.(go|md|yml)$`).MatchString(quoted) {
			names = append(names, quoted)
		}
	}
	return names
}

// blocks returns what stands between the fences of a document.
func blocks(text string) []string {
	return submatches(text, "(?ms)^```\\w*\n(.*?)^```")
}

func submatches(text, pattern string) []string {
	var found []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// read returns a file's text, with the line ends of the repository even where a
// clone has others.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// files returns every file of the repository whose name ends in suffix.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, suffix) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
