package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"
)

// patience is how long a test waits for what must come. It is no promise about
// speed; those are said where they are held.
const patience = 20 * time.Second

// chromium is the browser of all tests of this package: one process, a tab for
// each test, started by the first. stopChromium ends it.
var (
	chromium     = sync.OnceValues(startChromium)
	stopChromium = func() {}
)

var errNoChromium = errors.New("no Chromium is installed (on Debian: apt-get install chromium); the page is not tested in a browser")

// errSwitchedOff: so does .ci/run where many tests run at once, since it has a
// step of its own for these.
var errSwitchedOff = errors.New("switched off by FAIRLEAD_TEST_BROWSER")

func startChromium() (context.Context, error) {
	if os.Getenv("FAIRLEAD_TEST_BROWSER") == "off" {
		return nil, errSwitchedOff
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, errNoChromium
	}
	// Without its sandbox, because root and many containers can't have one; it
	// sees nothing but our own page.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true))
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	stopChromium = func() {
		_ = chromedp.Cancel(ctx)
		stop()
		stopAllocator()
	}
	return ctx, chromedp.Do(ctx)
}

// browsing ends the browser before the leaks are counted.
type browsing struct{ *testing.M }

func (b browsing) Run() int {
	code := b.M.Run()
	stopChromium()
	return code
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(browsing{m}) }

// tab is one page in the browser.
type tab struct {
	t   *testing.T
	ctx context.Context

	expected []string // parts of what the console may say
	problems []string // what else it said
	listened chan struct{}
}

// newTab opens a tab of the given size, in light colours. When the test ends
// the console must be empty but for what the test expects.
func newTab(t *testing.T, width, height int64, expected ...string) *tab {
	t.Helper()
	browser, err := chromium()
	if errors.Is(err, errNoChromium) || errors.Is(err, errSwitchedOff) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	ctx, stop := chromedp.NewContext(browser)
	b := &tab{t: t, ctx: ctx, expected: expected, listened: make(chan struct{})}
	console := chromedp.Console(ctx)
	go b.listen(console)
	b.run(chromedp.EmulateViewport(width, height))
	b.media("light", false)
	t.Cleanup(func() {
		stop()
		<-b.listened
		for _, p := range b.problems {
			t.Errorf("the console says: %s", p)
		}
	})
	return b
}

// listen keeps what the console should not say, until the tab is closed.
func (b *tab) listen(console iter.Seq2[chromedp.ConsoleMessage, error]) {
	defer close(b.listened)
	for m, err := range console {
		if err != nil {
			return
		}
		switch m.Type {
		case chromedp.ConsoleWarning, chromedp.ConsoleError, chromedp.ConsoleException:
			said := fmt.Sprintf("%s (%s)", m, m.URL)
			if !slices.ContainsFunc(b.expected, func(part string) bool { return strings.Contains(said, part) }) {
				b.problems = append(b.problems, said)
			}
		}
	}
}

// media says which colours and how much motion the reader prefers.
func (b *tab) media(scheme string, calm bool) {
	b.t.Helper()
	motion := "no-preference"
	if calm {
		motion = "reduce"
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		{Name: "prefers-reduced-motion", Value: motion},
	}})
}

func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, 2*patience)
	defer stop()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// open shows the fake's page and waits until it has drawn the first status.
func (b *tab) open(f *fake) {
	b.t.Helper()
	b.run(chromedp.Navigate(f.url))
	b.wait(`document.querySelector("#main:not([hidden]) .group")`)
	b.wait(`document.querySelector("#feed").dataset.state === "live"`)
}

// wait waits until the expression is true. It is looked at whenever the page
// changes, not by the clock.
func (b *tab) wait(expression string) {
	b.t.Helper()
	why := eval[string](b, fmt.Sprintf(`new Promise((done) => {
		const look = () => { if (%s) end(""); };
		const end = (why) => { watch.disconnect(); clearTimeout(timer); done(why); };
		const watch = new MutationObserver(look);
		const timer = setTimeout(() => end("waited in vain"), %d);
		watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
		look();
	})`, expression, patience.Milliseconds()))
	if why != "" {
		b.t.Fatalf("%s for %s; the page says: %s", why, expression, b.text("body"))
	}
}

// eval evaluates an expression, awaits it if it is a promise, and decodes it.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, 2*patience)
	defer stop()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`(document.querySelector(%q)?.innerText ?? "(nothing)")`, selector))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(selector))
}

// press types keys, one after the other.
func (b *tab) press(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.run(chromedp.KeyEvent(k))
	}
}

// next is the next change that the page asks for.
func (f *fake) next() (path string, body map[string]any) {
	f.t.Helper()
	select {
	case c := <-f.changes:
		if err := json.Unmarshal([]byte(c.body), &body); err != nil {
			f.t.Fatal(err)
		}
		return c.path, body
	case <-time.After(patience):
		f.t.Fatal("the page asks for no change")
		return "", nil
	}
}
