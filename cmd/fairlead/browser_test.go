//go:build unix

package main

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/fairlead/fairlead/internal/admin/browsertest"
)

// browse opens the dashboard and waits until it is live. The test is skipped
// where there is no Chromium. At its end the console must have said each of what
// is expected, and nothing else.
func (w *overseen) browse(t *testing.T, expected ...string) *browsertest.Tab {
	t.Helper()
	b := browsertest.Open(t, browsertest.Window{Width: 1440, Height: 1200, Expected: expected})
	t.Cleanup(b.WaitSaid)
	b.Run(chromedp.Navigate("http://" + w.admin + "/"))
	b.Wait(`document.querySelector("#main:not([hidden]) .group") && document.querySelector("#feed").dataset.state === "live"`)
	return b
}
