package page

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/fairlead/fairlead/internal/adminapi"
)

func TestPinningByClickingAsksForWhatWasChosen(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	f.do(func() { f.group("shop").Generation = 41 })
	b := f.show(1440, 900)
	b.Click(`button[aria-label="Pin shop…"]`)
	b.Wait(`document.querySelector("dialog[open] .effect").textContent.includes("goes to us for 30 minutes")`)
	b.Click(`dialog input[value="eu"]`)
	b.Wait(`document.querySelector("dialog .effect").textContent.includes("goes to eu for 30 minutes")`)
	b.Click(`dialog input[value="us"]`)
	b.Run(chromedp.SetValue(chromedp.CSS(`dialog select`), "1h"), chromedp.SendKeys(chromedp.CSS(`dialog input[name="reason"]`), "disk of eu"))
	b.Click(`dialog button.main`)
	path, body := f.next()
	want := map[string]any{"target": "us", "for": "1h", "reason": "disk of eu", "generation": 41.0}
	if path != "/v1/groups/shop/pin" || !maps.Equal(body, want) {
		t.Errorf("it asked for %s %v, want %v", path, body, want)
	}
	b.Wait(`!document.querySelector("dialog")`)
	b.Wait(`document.querySelector('[aria-label="Group shop"] .pin-note:not([hidden])')?.textContent.includes("by 127.0.0.1: disk of eu")`)
	b.Wait(`document.querySelector("#toasts").textContent.startsWith("shop is pinned to us until")`)

	b.Click(`button[aria-label="Unpin shop…"]`)
	b.Click(`dialog button.main`)
	path, body = f.next()
	if path != "/v1/groups/shop/unpin" || !maps.Equal(body, map[string]any{"generation": 42.0}) {
		t.Errorf("it asked for %s %v", path, body)
	}
	b.Wait(`document.querySelector('[aria-label="Group shop"] .flow').dataset.at === "primary"`)
}

func TestFailbackDrainAndReadyAskForThemselves(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	f.do(func() { f.moveLocked(f.group("shop"), "us", "primary_down") })
	b := f.show(1440, 900)
	b.Click(`button[aria-label="Fail shop back…"]`)
	b.Click(`dialog button.main`)
	path, body := f.next()
	if path != "/v1/groups/shop/failback" || !maps.Equal(body, map[string]any{"generation": 2.0}) {
		t.Errorf("it asked for %s %v", path, body)
	}
	b.Wait(`!document.querySelector("dialog")`)
	b.Wait(`document.querySelector('[aria-label="Group shop"] .flow').dataset.at === "primary"`)
	b.Click(`button[aria-label="Drain eu…"]`)
	b.Wait(`document.querySelector("dialog .effect").textContent.includes("shop moves to us")`)
	b.Click(`dialog button.main`)
	path, body = f.next()
	if path != "/v1/origins/eu/drain" || len(body) != 0 {
		t.Errorf("it asked for %s %v", path, body)
	}
	b.Click(`button[aria-label="Make eu ready…"]`)
	b.Click(`dialog button.main`)
	if path, _ = f.next(); path != "/v1/origins/eu/ready" {
		t.Errorf("it asked for %s", path)
	}
	b.Wait(`document.querySelector('button[aria-label="Drain eu…"]')`)
}

func TestADrillIsShownWhileItRunsAndCanBeStopped(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	f.do(func() {
		now := f.nowLocked()
		f.group("shop").Drill = &adminapi.Drill{
			Running: true, Since: now, Until: now.Add(90 * time.Second), Share: 0.05, StopAt: 0.01, By: "ops", Reason: "game day",
			Secondary: 1234, Rescued: 2, Failed: 1,
		}
	})
	b := f.show(1440, 900)
	b.Wait(`/^Drill: 5 % of the requests that may fail over go to us \(1 min \d+ s left\), by ops: game day\. So far 1,234 answered there, 2 by eu after it, 1 error$/.test(document.querySelector('[aria-label="Group shop"] .drill-note:not([hidden])')?.textContent)`)
	b.Click(`button[aria-label="Stop the drill of shop…"]`)
	b.Wait(`document.querySelector("dialog[open] .effect").textContent.includes("goes where the pointer is, eu")`)
	b.Click(`dialog button.main`)
	if path, _ := f.next(); path != "DELETE /v1/groups/shop/drill" {
		t.Errorf("it asked for %s", path)
	}
	b.Wait(`document.querySelector("#toasts").textContent === "The drill of shop is over."`)
	b.Wait(`document.querySelector('[aria-label="Group shop"] .drill-note').hidden && document.querySelector('button[aria-label="Stop the drill of shop…"]').hidden`)
}

func TestAStaleChangeShowsWhatIsAndAsksAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	b := f.show(1440, 900, "409")
	b.Click(`button[aria-label="Pin shop…"]`)
	b.Wait(`document.querySelector("dialog[open]")`)
	f.do(func() {
		f.muted = true // nobody has told the page yet
		g := f.group("shop")
		g.Target, g.Role, g.Reason, g.Generation, g.Since = "us", "secondary", "primary_down", 7, f.nowLocked()
	})
	b.Click(`dialog button.main`)
	if _, body := f.next(); body["generation"] != 1.0 {
		t.Errorf("it sent generation %v, want the one that was seen, 1", body["generation"])
	}
	b.Wait(`document.querySelector("dialog [role=alert]:not([hidden])")?.textContent.includes("has moved since you looked")`)
	b.Wait(`/on us since .* \(primary_down\), generation 7/.test(document.querySelector("dialog .state-now").textContent)`)
	b.Click(`dialog button.main`)
	if _, body := f.next(); body["generation"] != 7.0 {
		t.Errorf("the second time it sent generation %v, want 7", body["generation"])
	}
	b.Wait(`!document.querySelector("dialog")`)
}

func TestLeavingNoHealthyOriginTakesATick(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	f.do(func() { f.origin("us").Verdict = "down" })
	b := f.show(1440, 900, "409")
	b.Click(`button[aria-label="Pin shop…"]`)
	b.Wait(`document.querySelector('dialog input[value="eu"]').checked`)
	b.Click(`dialog input[value="us"]`)
	b.Wait(`document.querySelector("dialog .effect + .problem:not([hidden])")?.textContent.includes("us is down")`)
	b.Click(`dialog button.main`)
	if _, body := f.next(); body["force"] != nil {
		t.Errorf("it forces without being asked: %v", body)
	}
	b.Wait(`document.querySelector("dialog .force:not([hidden])")`)
	b.Wait(`document.querySelector("dialog button.main").disabled && !document.querySelector("dialog .force input").checked`)
	b.Click(`dialog .force input`)
	b.Wait(`!document.querySelector("dialog button.main").disabled`)
	b.Click(`dialog button.main`)
	if _, body := f.next(); body["force"] != true {
		t.Errorf("it does not force: %v", body)
	}
	b.Wait(`!document.querySelector("dialog")`)
}

func TestTheKeyboardAloneIsEnough(t *testing.T) {
	f := newFake(t, calmStatus())
	f.do(func() { f.status.Groups = f.status.Groups[:1] })
	f.remember()
	b := f.show(1440, 900)
	at := func() string {
		return eval[string](b, `(({ id, tagName, ariaLabel, textContent }) => id || ariaLabel || textContent || tagName)(document.activeElement)`)
	}
	var order []string
	for range 12 {
		b.Press(kb.Tab)
		order = append(order, at())
		if !eval[bool](b, `document.activeElement.matches(":focus-visible") && getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
			t.Errorf("the focus on %s can't be seen", at())
		}
	}
	got := strings.Join(order[:7], " | ")
	if want := "Skip to the groups | theme | Pin shop… | Drain eu… | Last probes of eu | Drain us… | Last probes of us"; got != want {
		t.Errorf("tab goes %s, want %s", got, want)
	}
	b.Run(chromedp.Focus(chromedp.CSS(`[aria-label="Last probes of eu"]`)))
	b.Press(kb.End, kb.ArrowLeft)
	b.Wait(`document.querySelector('[aria-label="Last probes of eu"]').ariaValueNow === "58"`)
	b.Run(chromedp.Focus(chromedp.CSS(`#charts`)))
	b.Press(kb.Home)
	b.Wait(`document.querySelector("#charts").ariaValueText.includes("to the primary") && document.querySelector("#charts-time").textContent !== ""`)
	b.Run(chromedp.Focus(chromedp.CSS(`button[aria-label="Pin shop…"]`)))
	b.Press(kb.Enter)
	b.Wait(`document.querySelector("dialog[open]")?.contains(document.activeElement)`)
	for range 12 {
		b.Press(kb.Tab)
		if eval[bool](b, `document.activeElement !== document.body && !document.querySelector("dialog").contains(document.activeElement)`) {
			t.Fatalf("the focus left the dialog for %s", at())
		}
	}
	b.Press(kb.Escape)
	b.Wait(`!document.querySelector("dialog")`)
	if got := at(); got != "Pin shop…" {
		t.Errorf("after the dialog the focus is on %s", got)
	}
	b.Press(kb.Enter)
	b.Wait(`document.querySelector("dialog[open]")`)
	b.Run(chromedp.Focus(chromedp.CSS(`dialog input[name="reason"]`)))
	b.Press("by hand", kb.Enter)
	if _, body := f.next(); body["reason"] != "by hand" {
		t.Errorf("Enter sent %v", body)
	}
}
