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
	f := newFake(t, calmStatus())
	f.do(func() { f.group("shop").Generation = 41 })
	b := newTab(t, 1440, 900)
	b.open(f)
	b.click(`button[aria-label="Pin shop…"]`)
	b.wait(`document.querySelector("dialog[open] .effect").textContent.includes("goes to us for 30 minutes")`)
	b.click(`dialog input[value="eu"]`)
	b.wait(`document.querySelector("dialog .effect").textContent.includes("goes to eu for 30 minutes")`)
	b.click(`dialog input[value="us"]`)
	b.run(chromedp.SetValue(chromedp.CSS(`dialog select`), "1h"), chromedp.SendKeys(chromedp.CSS(`dialog input[name="reason"]`), "disk of eu"))
	b.click(`dialog button.main`)
	path, body := f.next()
	want := map[string]any{"target": "us", "for": "1h", "reason": "disk of eu", "generation": 41.0}
	if path != "/v1/groups/shop/pin" || !maps.Equal(body, want) {
		t.Errorf("it asked for %s %v, want %v", path, body, want)
	}
	b.wait(`!document.querySelector("dialog")`)
	b.wait(`document.querySelector('[aria-label="Group shop"] .pin-note:not([hidden])')?.textContent.includes("by 127.0.0.1: disk of eu")`)
	b.wait(`document.querySelector("#toasts").textContent.startsWith("shop is pinned to us until")`)

	b.click(`button[aria-label="Unpin shop…"]`)
	b.click(`dialog button.main`)
	path, body = f.next()
	if path != "/v1/groups/shop/unpin" || !maps.Equal(body, map[string]any{"generation": 42.0}) {
		t.Errorf("it asked for %s %v", path, body)
	}
	b.wait(`document.querySelector('[aria-label="Group shop"] .flow').dataset.at === "primary"`)
}

func TestFailbackDrainAndReadyAskForThemselves(t *testing.T) {
	f := newFake(t, calmStatus())
	f.do(func() { f.moveLocked(f.group("shop"), "us", "primary_down") })
	b := newTab(t, 1440, 900)
	b.open(f)
	b.click(`button[aria-label="Fail shop back…"]`)
	b.click(`dialog button.main`)
	path, body := f.next()
	if path != "/v1/groups/shop/failback" || !maps.Equal(body, map[string]any{"generation": 2.0}) {
		t.Errorf("it asked for %s %v", path, body)
	}
	b.wait(`!document.querySelector("dialog")`)
	b.wait(`document.querySelector('[aria-label="Group shop"] .flow').dataset.at === "primary"`)
	b.click(`button[aria-label="Drain eu…"]`)
	b.wait(`document.querySelector("dialog .effect").textContent.includes("shop moves to us")`)
	b.click(`dialog button.main`)
	path, body = f.next()
	if path != "/v1/origins/eu/drain" || len(body) != 0 {
		t.Errorf("it asked for %s %v", path, body)
	}
	b.click(`button[aria-label="Make eu ready…"]`)
	b.click(`dialog button.main`)
	if path, _ = f.next(); path != "/v1/origins/eu/ready" {
		t.Errorf("it asked for %s", path)
	}
	b.wait(`document.querySelector('button[aria-label="Drain eu…"]')`)
}

func TestADrillIsShownWhileItRunsAndCanBeStopped(t *testing.T) {
	f := newFake(t, calmStatus())
	f.do(func() {
		now := f.nowLocked()
		f.group("shop").Drill = &adminapi.Drill{
			Running: true, Since: now, Until: now.Add(90 * time.Second), Share: 0.05, StopAt: 0.01, By: "ops", Reason: "game day",
			Secondary: 1234, Rescued: 2, Failed: 1,
		}
	})
	b := newTab(t, 1440, 900)
	b.open(f)
	b.wait(`/^Drill: 5 % of the requests that may fail over go to us \(1 min \d+ s left\), by ops: game day\. So far 1,234 answered there, 2 by eu after it, 1 error$/.test(document.querySelector('[aria-label="Group shop"] .drill-note:not([hidden])')?.textContent)`)
	b.click(`button[aria-label="Stop the drill of shop…"]`)
	b.wait(`document.querySelector("dialog[open] .effect").textContent.includes("goes where the pointer is, eu")`)
	b.click(`dialog button.main`)
	if path, _ := f.next(); path != "DELETE /v1/groups/shop/drill" {
		t.Errorf("it asked for %s", path)
	}
	b.wait(`document.querySelector("#toasts").textContent === "The drill of shop is over."`)
	b.wait(`document.querySelector('[aria-label="Group shop"] .drill-note').hidden && document.querySelector('button[aria-label="Stop the drill of shop…"]').hidden`)
}

func TestAStaleChangeShowsWhatIsAndAsksAgain(t *testing.T) {
	f := newFake(t, calmStatus())
	b := newTab(t, 1440, 900, "409")
	b.open(f)
	b.click(`button[aria-label="Pin shop…"]`)
	b.wait(`document.querySelector("dialog[open]")`)
	f.do(func() {
		f.muted = true // nobody has told the page yet
		g := f.group("shop")
		g.Target, g.Role, g.Reason, g.Generation, g.Since = "us", "secondary", "primary_down", 7, f.nowLocked()
	})
	b.click(`dialog button.main`)
	if _, body := f.next(); body["generation"] != 1.0 {
		t.Errorf("it sent generation %v, want the one that was seen, 1", body["generation"])
	}
	b.wait(`document.querySelector("dialog [role=alert]:not([hidden])")?.textContent.includes("has moved since you looked")`)
	b.wait(`/on us since .* \(primary_down\), generation 7/.test(document.querySelector("dialog .state-now").textContent)`)
	b.click(`dialog button.main`)
	if _, body := f.next(); body["generation"] != 7.0 {
		t.Errorf("the second time it sent generation %v, want 7", body["generation"])
	}
	b.wait(`!document.querySelector("dialog")`)
}

func TestLeavingNoHealthyOriginTakesATick(t *testing.T) {
	f := newFake(t, calmStatus())
	f.do(func() { f.origin("us").Verdict = "down" })
	b := newTab(t, 1440, 900, "409")
	b.open(f)
	b.click(`button[aria-label="Pin shop…"]`)
	b.wait(`document.querySelector('dialog input[value="eu"]').checked`)
	b.click(`dialog input[value="us"]`)
	b.wait(`document.querySelector("dialog .effect + .problem:not([hidden])")?.textContent.includes("us is down")`)
	b.click(`dialog button.main`)
	if _, body := f.next(); body["force"] != nil {
		t.Errorf("it forces without being asked: %v", body)
	}
	b.wait(`document.querySelector("dialog .force:not([hidden])")`)
	b.wait(`document.querySelector("dialog button.main").disabled && !document.querySelector("dialog .force input").checked`)
	b.click(`dialog .force input`)
	b.wait(`!document.querySelector("dialog button.main").disabled`)
	b.click(`dialog button.main`)
	if _, body := f.next(); body["force"] != true {
		t.Errorf("it does not force: %v", body)
	}
	b.wait(`!document.querySelector("dialog")`)
}

func TestTheKeyboardAloneIsEnough(t *testing.T) {
	f := newFake(t, calmStatus())
	f.do(func() { f.status.Groups = f.status.Groups[:1] })
	f.remember()
	b := newTab(t, 1440, 900)
	b.open(f)
	at := func() string {
		return eval[string](b, `(({ id, tagName, ariaLabel, textContent }) => id || ariaLabel || textContent || tagName)(document.activeElement)`)
	}
	var order []string
	for range 12 {
		b.press(kb.Tab)
		order = append(order, at())
		if !eval[bool](b, `document.activeElement.matches(":focus-visible") && getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
			t.Errorf("the focus on %s can't be seen", at())
		}
	}
	got := strings.Join(order[:7], " | ")
	if want := "Skip to the groups | theme | Pin shop… | Drain eu… | Last probes of eu | Drain us… | Last probes of us"; got != want {
		t.Errorf("tab goes %s, want %s", got, want)
	}
	b.run(chromedp.Focus(chromedp.CSS(`[aria-label="Last probes of eu"]`)))
	b.press(kb.End, kb.ArrowLeft)
	b.wait(`document.querySelector('[aria-label="Last probes of eu"]').ariaValueNow === "58"`)
	b.run(chromedp.Focus(chromedp.CSS(`#charts`)))
	b.press(kb.Home)
	b.wait(`document.querySelector("#charts").ariaValueText.includes("to the primary") && document.querySelector("#charts-time").textContent !== ""`)
	b.run(chromedp.Focus(chromedp.CSS(`button[aria-label="Pin shop…"]`)))
	b.press(kb.Enter)
	b.wait(`document.querySelector("dialog[open]")?.contains(document.activeElement)`)
	for range 12 {
		b.press(kb.Tab)
		if eval[bool](b, `document.activeElement !== document.body && !document.querySelector("dialog").contains(document.activeElement)`) {
			t.Fatalf("the focus left the dialog for %s", at())
		}
	}
	b.press(kb.Escape)
	b.wait(`!document.querySelector("dialog")`)
	if got := at(); got != "Pin shop…" {
		t.Errorf("after the dialog the focus is on %s", got)
	}
	b.press(kb.Enter)
	b.wait(`document.querySelector("dialog[open]")`)
	b.run(chromedp.Focus(chromedp.CSS(`dialog input[name="reason"]`)))
	b.press("by hand", kb.Enter)
	if _, body := f.next(); body["reason"] != "by hand" {
		t.Errorf("Enter sent %v", body)
	}
}
