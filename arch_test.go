package fairlead_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fairlead/fairlead/"

// TestImportRulesHold holds the sources against the rules that keep the
// packages apart. Each rule says why it is there; a change that breaks one
// should change the design first, and then the rule.
func TestImportRulesHold(t *testing.T) {
	rules := []struct {
		name    string
		why     string
		applies func(pkg, file string) bool
		allows  func(imported string) bool
	}{
		{
			name:    "leaf packages import nothing of ours",
			why:     "config, bulkhead, failover, health, http1, http2, proxyproto and route are usable and testable alone; what joins them is proxy and cmd",
			applies: func(pkg, _ string) bool { return slices.Contains(leaves, pkg) },
			allows:  func(imported string) bool { return !strings.HasPrefix(imported, module) },
		},
		{
			name:    "nothing imports cmd",
			why:     "cmd knows every package, so whatever imported it would know every package too",
			applies: func(string, string) bool { return true },
			allows:  func(imported string) bool { return !strings.HasPrefix(imported, module+"cmd") },
		},
		{
			name:    "only cmd imports config",
			why:     "each package has a Config of its own, so that a program without TOML can use it and a key can be renamed in one place",
			applies: func(pkg, _ string) bool { return !strings.HasPrefix(pkg, "cmd/") },
			allows:  func(imported string) bool { return imported != module+"config" },
		},
		{
			name:    "the wire has no sockets and no clock",
			why:     "http1 must be fuzzable and the same on every platform",
			applies: func(pkg, _ string) bool { return pkg == "internal/http1" },
			allows: func(imported string) bool {
				return !slices.Contains([]string{"net", "net/http", "time", "os", "sync", "context", "syscall"}, imported)
			},
		},
		{
			name: "no package but bench serves with net/http",
			why:  "the data plane is ours; net/http is for probes, demo origins and what is measured beside us",
			applies: func(pkg, _ string) bool {
				return strings.HasPrefix(pkg, "proxy") || strings.HasPrefix(pkg, "internal/upstream")
			},
			allows: func(imported string) bool { return !strings.HasPrefix(imported, "net/http") },
		},
		{
			name:    "the admin server knows the API's documents and the standard library",
			why:     "it asks a Backend, so that it can be tested with a fake one, and no decision can hide in it",
			applies: func(pkg, _ string) bool { return pkg == "internal/admin" },
			allows: func(imported string) bool {
				return imported == module+"internal/adminapi" || isStandard(imported)
			},
		},
		{
			name:    "only cmd imports the admin server",
			why:     "the data plane must have no way to it",
			applies: func(pkg, _ string) bool { return !strings.HasPrefix(pkg, "cmd/") },
			allows: func(imported string) bool {
				return imported != module+"internal/admin" && !strings.HasPrefix(imported, module+"internal/admin/")
			},
		},
		{
			name:    "the chaos kit imports nothing of ours, no library and no testing",
			why:     "the judge must not share the proxy's mistakes, and what fairlead itself runs must not carry a test's weight",
			applies: func(pkg, _ string) bool { return pkg == "internal/chaos" },
			allows: func(imported string) bool {
				first, _, _ := strings.Cut(imported, "/")
				return !strings.Contains(first, ".") && imported != "testing"
			},
		},
		{
			name:    "a timeline is drawn by the standard library alone",
			why:     "whoever has times and names can have a picture: the suite, the drill and what comes after them",
			applies: func(pkg, _ string) bool { return pkg == "internal/chaos/timeline" },
			allows:  isStandard,
		},
		{
			name:    "a report knows the timeline and the standard library",
			why:     "what a scenario has shown is judged before it is written down, and not by who writes it",
			applies: func(pkg, _ string) bool { return pkg == "internal/chaos/report" },
			allows: func(imported string) bool {
				return imported == module+"internal/chaos/timeline" || isStandard(imported)
			},
		},
		oneDoor("github.com/sony/gobreaker/v2", "proxy/breaker.go"),
		oneDoor("github.com/pelletier/go-toml/v2", "config/toml.go"),
		oneDoor("github.com/pelletier/go-toml/v2/unstable", "config/toml.go"),
		oneDoor("github.com/miekg/dns", "internal/dnswire/dnswire.go"),
		oneDoor("github.com/pires/go-proxyproto", "internal/proxyproto/proxyproto.go"),
		oneDoor("github.com/chromedp/chromedp", "internal/admin/browsertest/browsertest.go"),
		oneDoor("golang.org/x/net/http2/hpack", "internal/http2/wire.go"),
		oneDoor("github.com/KimMachineGun/automemlimit/memlimit", "internal/memlimit/memlimit.go"),
		oneDoor("github.com/prometheus/client_golang/prometheus", "internal/metrics/prometheus.go"),
		oneDoor("github.com/prometheus/client_golang/prometheus/collectors", "internal/metrics/prometheus.go"),
		oneDoor("github.com/prometheus/common/expfmt", "internal/metrics/prometheus.go"),
		oneDoor("github.com/Shopify/toxiproxy/v2/toxics", "internal/chaos/toxic/toxic.go"),
		oneDoor("github.com/Shopify/toxiproxy/v2/stream", "internal/chaos/toxic/toxic.go"),
		oneDoor("github.com/rs/zerolog", "internal/chaos/toxic/toxic.go"),
		oneDoor("golang.org/x/net/ipv4", "internal/nameserver/udp_linux.go"),
		oneDoor("golang.org/x/net/ipv6", "internal/nameserver/udp_linux.go"),
		{
			name:    "only cmd and proxy know zap",
			why:     "leaf packages emit typed events; who logs them is decided where they are wired",
			applies: func(pkg, _ string) bool { return pkg != "proxy" && !strings.HasPrefix(pkg, "cmd/") },
			allows:  func(imported string) bool { return !strings.HasPrefix(imported, "go.uber.org/zap") },
		},
		{
			name:    "no unsafe but for the raw system call",
			why:     "speed comes from doing less; the one exception carries its reason and a benchmark",
			applies: func(_, file string) bool { return file != "internal/netx/try_linux.go" },
			allows:  func(imported string) bool { return imported != "unsafe" },
		},
	}
	sources := importsOf(t)
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			applied := 0
			for file, imports := range sources {
				pkg := filepath.ToSlash(filepath.Dir(file))
				if !rule.applies(pkg, file) {
					continue
				}
				applied++
				for _, imported := range imports {
					if !rule.allows(imported) {
						t.Errorf("%s imports %s, against the rule %q: %s", file, imported, rule.name, rule.why)
					}
				}
			}
			if applied == 0 {
				t.Error("the rule applies to no file: it has lost its subject")
			}
		})
	}
}

var leaves = []string{"config", "bulkhead", "failover", "health", "internal/adminapi", "internal/metrics", "internal/http1", "internal/http2", "internal/proxyproto", "internal/route", "internal/statefile", "internal/handover", "internal/systemd", "internal/filestamp"}

type rule = struct {
	name    string
	why     string
	applies func(pkg, file string) bool
	allows  func(imported string) bool
}

// isStandard tells whether a package is the standard library's.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// oneDoor lets a library in through one file only.
func oneDoor(library, door string) rule {
	return rule{
		name:    library + " enters through " + door,
		why:     "a library that one file touches can be replaced in one file",
		applies: func(_, file string) bool { return file != door },
		allows:  func(imported string) bool { return imported != library },
	}
}

// importsOf lists the imports of every source file but tests, by its path.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	sources := make(map[string][]string)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		sources[path] = []string{}
		for _, i := range f.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			sources[path] = append(sources[path], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}
