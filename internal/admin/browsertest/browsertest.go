// Package browsertest shows a page to a real browser, in tests: one Chromium for
// all tests of a binary, and a tab for each.
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(browsertest.M{M: m}) }
//
//	func TestThePageGreets(t *testing.T) {
//		tab := browsertest.Open(t, browsertest.Window{Width: 800, Height: 600})
//		tab.Run(chromedp.Navigate(server.URL))
//		tab.Wait(`document.querySelector("h1").innerText === "Hello"`)
//	}
//
// A page that says anything on its console fails the test, unless that was
// expected. Nothing is waited for by the clock: an expression is looked at whenever
// the page changes. Where no Chromium is installed the tests skip, and where
// FAIRLEAD_TEST_BROWSER is "off".
package browsertest

import (
	"context"
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
	"github.com/chromedp/chromedp"
)

// Patience is how long a tab waits for what must come. It is no promise about
// speed.
const Patience = 30 * time.Second

// chromium is the browser, started by the first test that asks. stopChromium ends
// it.
var (
	chromium     = sync.OnceValues(start)
	stopChromium = func() {}
)

// Why there is no browser.
var (
	errNone = errors.New("no Chromium is installed (on Debian: apt-get install chromium); the page is not looked at in a browser")
	errOff  = errors.New("switched off by FAIRLEAD_TEST_BROWSER")
)

func start() (context.Context, error) {
	if os.Getenv("FAIRLEAD_TEST_BROWSER") == "off" {
		return nil, errOff
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, errNone
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

// M is a testing.M that ends the browser after the tests, before goroutines are
// counted.
type M struct{ *testing.M }

// Run runs the tests and returns their exit code.
func (m M) Run() int {
	code := m.M.Run()
	stopChromium()
	return code
}

// Window is what a tab shows and what its console may say.
type Window struct {
	Width, Height int64

	// Expected are parts of what the console may say. All else that it says fails
	// the test.
	Expected []string
}

// Tab is one page in the browser. Its methods end the test if they fail; they are
// for the test's own goroutine.
type Tab struct {
	t   *testing.T
	ctx context.Context

	expected []string
	listened chan struct{} // closed when the console is over
	said     chan struct{} // closed when all that is expected was said

	mu       sync.Mutex
	unsaid   []string // of what is expected; guarded by mu
	problems []string // what else was said; guarded by mu
}

// Open opens a tab, which is closed when the test ends. The test is skipped where
// there is no browser.
func Open(t *testing.T, w Window) *Tab {
	t.Helper()
	browser, err := chromium()
	if errors.Is(err, errNone) || errors.Is(err, errOff) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	ctx, stop := chromedp.NewContext(browser)
	b := &Tab{t: t, ctx: ctx, expected: w.Expected, listened: make(chan struct{}), said: make(chan struct{}), unsaid: slices.Clone(w.Expected)}
	console := chromedp.Console(ctx)
	go b.listen(console)
	t.Cleanup(func() {
		stop()
		<-b.listened
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.problems {
			t.Errorf("the console says: %s", p)
		}
	})
	b.Run(chromedp.EmulateViewport(w.Width, w.Height))
	return b
}

// listen keeps what the console says, until the tab is closed.
func (b *Tab) listen(console iter.Seq2[chromedp.ConsoleMessage, error]) {
	defer close(b.listened)
	for m, err := range console {
		if err != nil {
			return
		}
		switch m.Type {
		case chromedp.ConsoleWarning, chromedp.ConsoleError, chromedp.ConsoleException:
			b.hear(fmt.Sprintf("%s (%s)", m, m.URL))
		}
	}
}

func (b *Tab) hear(said string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	within := func(part string) bool { return strings.Contains(said, part) }
	if !slices.ContainsFunc(b.expected, within) {
		b.problems = append(b.problems, said)
		return
	}
	if before := len(b.unsaid); before > 0 {
		if b.unsaid = slices.DeleteFunc(b.unsaid, within); len(b.unsaid) == 0 {
			close(b.said)
		}
	}
}

// WaitSaid waits until the console has said all that is expected of it, and fails
// the test if it does not.
func (b *Tab) WaitSaid() {
	b.t.Helper()
	if len(b.expected) == 0 {
		return
	}
	select {
	case <-b.said:
	case <-time.After(Patience):
		b.mu.Lock()
		defer b.mu.Unlock()
		b.t.Errorf("the console doesn't say %q", b.unsaid)
	}
}

// Context is that of the tab, for what chromedp can do beyond this package.
func (b *Tab) Context() context.Context { return b.ctx }

// Run does actions, one after the other.
func (b *Tab) Run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, 2*Patience)
	defer stop()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// Call gives the browser a command of its debugging protocol.
func Call[P, R any](b *Tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

// Eval is the value of an expression, which is awaited if it is a promise.
func Eval[T any](b *Tab, expression string) T {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, 2*Patience)
	defer stop()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// Wait waits until the expression is true and returns when that was, in
// milliseconds since 1970 by the page's clock.
func (b *Tab) Wait(expression string) float64 {
	b.t.Helper()
	at := Eval[float64](b, fmt.Sprintf(`new Promise((done) => {
		const look = () => { if (%s) end(Date.now()); };
		const end = (at) => { watch.disconnect(); clearTimeout(timer); done(at); };
		const watch = new MutationObserver(look);
		const timer = setTimeout(() => end(0), %d);
		watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
		look();
	})`, expression, Patience.Milliseconds()))
	if at == 0 {
		b.t.Fatalf("waited in vain for %s; the page says: %s", expression, b.Text("body"))
	}
	return at
}

// Text is what an element says to its reader.
func (b *Tab) Text(selector string) string {
	b.t.Helper()
	return Eval[string](b, fmt.Sprintf(`(document.querySelector(%q)?.innerText ?? "(nothing)")`, selector))
}

// Attribute is the value of an element's attribute.
func (b *Tab) Attribute(selector, name string) string {
	b.t.Helper()
	return Eval[string](b, fmt.Sprintf(`(document.querySelector(%q)?.getAttribute(%q) ?? "(nothing)")`, selector, name))
}

// Click clicks as a person does, where the element is.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	b.Run(chromedp.Click(selector))
}

// Press types keys, one after the other.
func (b *Tab) Press(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.Run(chromedp.KeyEvent(k))
	}
}
