//go:build unix

package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// browser is a tab of a Chromium of its own that shows the dashboard.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	expected []string // parts of what the console may say
	problems []string // what else it said; guarded by mu
	expects  []string // parts of which each must have been said; guarded by mu
}

// browse opens the dashboard and waits until it is live. The test is skipped
// where there is no Chromium. At its end the console must have said each of what
// is expected, and nothing else.
func (w *overseen) browse(t *testing.T, expected ...string) *browser {
	t.Helper()
	if os.Getenv("FAIRLEAD_TEST_BROWSER") == "off" {
		t.Skip("switched off by FAIRLEAD_TEST_BROWSER")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium is installed (on Debian: apt-get install chromium); the dashboard is not looked at in a browser")
	}
	// Without its sandbox, because root and many containers can't have one; it sees
	// nothing but our own page.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true))
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	b := &browser{t: t, ctx: ctx, expected: expected, expects: slices.Clone(expected)}
	listened := make(chan struct{})
	console := chromedp.Console(ctx)
	go func() {
		defer close(listened)
		b.listen(console)
	}()
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		stop()
		stopAllocator()
		<-listened
		for _, p := range b.problems {
			t.Errorf("the console says: %s", p)
		}
		for _, part := range b.expects {
			t.Errorf("the console doesn't say %q", part)
		}
	})
	b.run(chromedp.EmulateViewport(1440, 1200))
	b.run(chromedp.Navigate("http://" + w.admin + "/"))
	b.wait(`document.querySelector("#main:not([hidden]) .group") && document.querySelector("#feed").dataset.state === "live"`)
	return b
}

// listen keeps what the console should not say, until the tab is closed.
func (b *browser) listen(console iter.Seq2[chromedp.ConsoleMessage, error]) {
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

func (b *browser) hear(said string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	part := func(part string) bool { return strings.Contains(said, part) }
	if !slices.ContainsFunc(b.expected, part) {
		b.problems = append(b.problems, said)
	}
	b.expects = slices.DeleteFunc(b.expects, part)
}

func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, 2*patience)
	defer stop()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// evaluate is the value of an expression, which is awaited if it is a promise.
func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, 2*patience)
	defer stop()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// wait waits until the expression is true, and returns when that was: it is looked
// at whenever the page changes, not by the clock.
func (b *browser) wait(expression string) (milliseconds float64) {
	b.t.Helper()
	at := evaluate[float64](b, fmt.Sprintf(`new Promise((done) => {
		const look = () => { if (%s) end(Date.now()); };
		const end = (at) => { watch.disconnect(); clearTimeout(timer); done(at); };
		const watch = new MutationObserver(look);
		const timer = setTimeout(() => end(0), %d);
		watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
		look();
	})`, expression, patience.Milliseconds()))
	if at == 0 {
		b.t.Fatalf("waited in vain for %s; the page says: %s", expression, b.text("body"))
	}
	return at
}

// text is what an element says to its reader.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf(`(document.querySelector(%q)?.innerText ?? "(nothing)")`, selector))
}

func (b *browser) attribute(selector, name string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf(`(document.querySelector(%q)?.getAttribute(%q) ?? "(nothing)")`, selector, name))
}

// click clicks as a person does, where the element is.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(selector))
}
