package page

import (
	"encoding/json"
	"flag"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"

	"github.com/fairlead/fairlead/internal/admin/browsertest"
)

// patience is how long a test waits for what must come. It is no promise about
// speed; those are said where they are held.
const patience = browsertest.Patience

// TestMain lets more tabs be open at once than there are cores, unless -parallel
// says how many: a page is mostly waited for.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("4")
	}
	goleak.VerifyTestMain(browsertest.M{M: m})
}

// tab is one page in the browser.
type tab struct {
	*browsertest.Tab
	t *testing.T
}

// newTab opens a tab of the given size, in light colours. When the test ends
// the console must be empty but for what the test expects.
func newTab(t *testing.T, width, height int64, expected ...string) *tab {
	t.Helper()
	b := &tab{browsertest.Open(t, browsertest.Window{Width: width, Height: height, Expected: expected}), t}
	b.media("light", false)
	return b
}

// media says which colours and how much motion the reader prefers.
func (b *tab) media(scheme string, calm bool) {
	motion := "no-preference"
	if calm {
		motion = "reduce"
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		{Name: "prefers-reduced-motion", Value: motion},
	}})
}

// show opens a tab like newTab and the fake's page in it.
func (f *fake) show(width, height int64, expected ...string) *tab {
	f.t.Helper()
	b := newTab(f.t, width, height, expected...)
	b.open(f)
	return b
}

// open shows the fake's page and waits until it has drawn the first status.
func (b *tab) open(f *fake) {
	b.Run(chromedp.Navigate(f.url))
	b.Wait(`document.querySelector("#main:not([hidden]) .group")`)
	b.Wait(`document.querySelector("#feed").dataset.state === "live"`)
}

func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	browsertest.Call(b.Tab, command, params)
}

// eval evaluates an expression, awaits it if it is a promise, and decodes it.
func eval[T any](b *tab, expression string) T { return browsertest.Eval[T](b.Tab, expression) }

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
