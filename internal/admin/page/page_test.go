package page

import (
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/fairlead/fairlead/internal/adminapi"
)

func TestEveryFileThatThePageNamesIsEmbedded(t *testing.T) {
	named := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "\./([^"]+)"|"(icon[a-z-]*\.svg)"`)
	seen := map[string]bool{"index.html": true}
	for queue := []string{"index.html"}; len(queue) > 0; queue = queue[1:] {
		b, err := fs.ReadFile(Files, queue[0])
		if err != nil {
			t.Fatalf("%s is named and not there", queue[0])
		}
		for _, m := range named.FindAllStringSubmatch(string(b), -1) {
			if name := m[1] + m[2] + m[3]; !seen[name] {
				seen[name] = true
				queue = append(queue, name)
			}
		}
	}
	all, err := fs.Glob(Files, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if !seen[name] {
			t.Errorf("%s is embedded and nothing refers to it", name)
		}
	}
}

func TestThePageFetchesNothingFromElsewhere(t *testing.T) {
	elsewhere := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9-]+\.[a-z]+|@import|url\(|style="|\son[a-z]+="|innerHTML|data:`)
	all, err := fs.Glob(Files, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		b, err := fs.ReadFile(Files, name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), "http://www.w3.org/2000/svg", "")
		if found := elsewhere.FindString(text); found != "" {
			t.Errorf("%s says %q", name, found)
		}
	}
}

func TestAnOutageShowsWithinTwoSeconds(t *testing.T) {
	f := newFake(t, calmStatus())
	f.remember()
	b := newTab(t, 1440, 900)
	b.open(f)
	if got := b.text("#headline-text"); got != "All is well: 2 groups on their primaries" {
		t.Fatalf("before the outage the page says %q", got)
	}
	began := time.Now()
	f.breakEu()
	b.wait(`document.querySelector("#headline-text").textContent.startsWith("shop is on us since")`)
	b.wait(`document.querySelector('[aria-label="Group shop"] .flow').dataset.at === "secondary"`)
	b.wait(`document.querySelector('#events [data-kind="flip"] .event-text')?.textContent === "shop moved from eu to us."`)
	b.wait(`document.querySelector('[aria-label="Group shop"] .place.primary .verdict').dataset.verdict === "down"`)
	b.wait(`document.querySelectorAll("#charts .flip-head").length === 3`)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the outage showed after %v", took)
	}
	b.wait(`document.querySelector("#announce").textContent.includes("shop moved from eu to us.")`)
	b.wait(`document.title.startsWith("shop is on us")`)
	b.wait(`document.querySelector('[aria-label="Group shop"] .place.secondary .number').textContent > 50`)
	if got := b.text(`[aria-label="Origin eu"] .said`); !strings.Contains(got, "connect_refused") {
		t.Errorf("the last probe of eu reads %q", got)
	}
	if got := b.text(`#events [data-kind="verdict"] summary`); got != "Evidence: 3 probes" {
		t.Errorf("the verdict's evidence reads %q", got)
	}
}

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

func TestNothingScrollsSideways(t *testing.T) {
	for _, width := range []int64{320, 390, 768, 1440, 3840} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			f := newFake(t, calmStatus())
			f.outageScene()
			f.do(func() {
				f.origin("us").Addresses = []string{"[2001:db8:1234:5678:9abc:def0:1234:5678]:8443"}
				f.status.Routes[0].Match = "GET a-rather-long-host-name.shop.example.net/with/a/{long}/path/and/{more...}"
				f.status.Config.Failed = []string{"fairlead.toml:17:1: groups.shop.primary names the origin \"a-name-that-is-not-there-and-long\", which is not configured"}
			})
			b := newTab(t, width, 900)
			b.open(f)
			b.click(`#routes button.open`)
			b.wait(`document.querySelector(".requests, .detail [role=status]")`)
			b.fits()
			b.click(`button[aria-label="Pin shop…"]`)
			b.wait(`document.querySelector("dialog[open]")`)
			b.fits()
		})
	}
}

// fits fails if something is wider than the window.
func (b *tab) fits() {
	b.t.Helper()
	got := eval[[]string](b, `[document.documentElement, ...document.querySelectorAll("body *")]
		.filter((n) => (n === document.documentElement ? n.scrollWidth : n.getBoundingClientRect().right) > innerWidth + 0.5 && !n.closest(".hidden, .skip, .symbols"))
		.map((n) => n.tagName + "." + n.getAttribute("class"))`)
	if len(got) > 0 {
		b.t.Errorf("wider than the window: %v", got)
	}
}

func TestColoursHaveContrastInLightAndDark(t *testing.T) {
	f := newFake(t, calmStatus())
	f.outageScene()
	b := newTab(t, 1440, 900)
	b.open(f)
	pages := make(map[string]string)
	for _, scheme := range []string{"light", "dark"} {
		b.media(scheme, true)
		b.wait(fmt.Sprintf(`matchMedia("(prefers-color-scheme: %s)").matches`, scheme))
		pages[scheme] = eval[string](b, `getComputedStyle(document.body).backgroundColor`)
		for _, poor := range eval[[]string](b, contrast) {
			t.Errorf("%s: %s", scheme, poor)
		}
	}
	if pages["light"] == pages["dark"] {
		t.Errorf("light and dark are both %s", pages["light"])
	}
}

// contrast lists the texts whose contrast is under what WCAG 2.2 AA asks for.
const contrast = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgb = (color) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((n, v, i) => n + v * [0.2126, 0.7152, 0.0722][i], 0);
	const ground = (n) => {
		for (; n; n = n.parentElement) {
			const c = rgb(getComputedStyle(n).backgroundColor);
			if (c[3] === 255) return c;
		}
		return [255, 255, 255];
	};
	const poor = new Set();
	for (const n of document.querySelectorAll("body *")) {
		const own = [...n.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
		if (!own || n.getClientRects().length === 0) continue;
		const style = getComputedStyle(n);
		const [a, b] = [light(rgb(n.tagName === "text" ? style.fill : style.color)), light(ground(n))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) poor.add(n.tagName + "." + n.getAttribute("class") + " " + n.textContent.slice(0, 30) + " " + ratio.toFixed(2));
	}
	return [...poor];
})()`

func TestTheThemeIsRemembered(t *testing.T) {
	f := newFake(t, calmStatus())
	b := newTab(t, 800, 600)
	b.open(f)
	ground := func() string { return eval[string](b, `getComputedStyle(document.body).backgroundColor`) }
	light := ground()
	b.click("#theme")
	b.click("#theme")
	b.wait(`document.querySelector("#theme").textContent === "Theme: dark"`)
	dark := ground()
	if dark == light {
		t.Errorf("dark is as light as light: %s", dark)
	}
	b.open(f)
	if got := ground(); got != dark {
		t.Errorf("after a reload the page is %s, want %s", got, dark)
	}
	b.click("#theme")
	b.wait(`document.querySelector("#theme").textContent === "Theme: system" && localStorage.getItem("theme") === null`)
}

func TestMotionStopsForThoseWhoAskForIt(t *testing.T) {
	f := newFake(t, calmStatus())
	f.remember()
	b := newTab(t, 1440, 900)
	b.open(f)
	b.wait(`document.querySelector(".drops").getAttribute("d")`)
	if n := eval[int](b, `document.getAnimations().length`); n == 0 {
		t.Error("nothing flows")
	}
	b.media("light", true)
	if n := eval[int](b, `document.getAnimations().length`); n != 0 {
		t.Errorf("%d animations run for one who asked for none", n)
	}
}

func TestSilenceLooksStale(t *testing.T) {
	f := newFake(t, calmStatus())
	b := newTab(t, 800, 600)
	b.open(f)
	f.do(func() { f.muted = true })
	b.wait(`/^no data since \d+ s$/.test(document.querySelector("#feed-text").textContent)`)
	if got := eval[string](b, `getComputedStyle(document.querySelector("main")).filter`); got != "grayscale(1)" {
		t.Errorf("stale data is drawn with the filter %s", got)
	}
	f.do(func() { f.muted = false })
	b.wait(`document.querySelector("#feed-text").textContent === "live"`)
}

func TestALostConnectionIsMadeAnew(t *testing.T) {
	f := newFake(t, calmStatus())
	b := newTab(t, 800, 600, "ERR_")
	b.open(f)
	f.do(func() {
		for s := range f.streams {
			close(s)
			delete(f.streams, s)
		}
		f.happenLocked(adminapi.Event{Kind: "reload", Level: "info", Text: "While nobody looked."})
		f.status.PID++
	})
	b.wait(`[...document.querySelectorAll(".event-text")].some((n) => n.textContent === "While nobody looked.")`)
	b.wait(`document.querySelector("#foot").textContent.startsWith("Process 4712")`)
}

func TestATokenIsAskedForAndSent(t *testing.T) {
	f := newFake(t, calmStatus())
	f.do(func() { f.token = "right" })
	b := newTab(t, 390, 844, "401")
	b.run(chromedp.Navigate(f.url))
	b.wait(`!document.querySelector("#signin").hidden && document.activeElement.id === "token"`)
	b.press("wrong", kb.Enter)
	if path, body := f.next(); path != "/v1/session" || body["token"] != "wrong" {
		t.Errorf("it sent %s %v", path, body)
	}
	b.wait(`document.querySelector("#signin-problem").textContent.includes("not the token")`)
	b.press("right", kb.Enter)
	f.next()
	b.wait(`document.querySelector("#signin").hidden && document.querySelector("#main:not([hidden]) .group")`)
}

func TestARouteOpensItsLastFailures(t *testing.T) {
	f := newFake(t, calmStatus())
	f.outageScene()
	b := newTab(t, 1440, 900)
	b.open(f)
	if got := b.text(`#routes .routes tbody th button`); got != "product" && got != "basket" {
		t.Errorf("the first route is %s, which has no trouble", got)
	}
	b.run(chromedp.Click(`//button[text()="product"]`))
	b.wait(`document.querySelector(".requests li")`)
	got := b.text(".detail")
	for _, part := range []string{"502", "GET /product/17", "no failover: timeout", "eu (primary, 192.0.2.10:443)", "✕ connect_timeout: no connection within connect_timeout (1s)", "✕ reset: the connection broke before the response"} {
		if !strings.Contains(got, part) {
			t.Errorf("the last failures leave out %q: %s", part, got)
		}
	}
}

func TestTheTimelineIsFilteredByKind(t *testing.T) {
	f := newFake(t, calmStatus())
	f.outageScene()
	b := newTab(t, 1440, 900)
	b.open(f)
	b.wait(`document.querySelectorAll(".event").length === 5`)
	b.click(`#events-kinds input[value="flips"]`)
	b.wait(`document.querySelectorAll(".event").length === 1 && document.querySelector(".event").dataset.kind === "flip"`)
	b.click(`#events-kinds input[value="hand"]`)
	b.wait(`document.querySelectorAll(".event").length === 0 && document.querySelector("#events").hasAttribute("data-empty")`)
}

func TestARefusedReloadIsShown(t *testing.T) {
	f := newFake(t, calmStatus())
	b := newTab(t, 1440, 900)
	b.open(f)
	if eval[bool](b, `!document.querySelector("#refused").hidden`) {
		t.Error("a reload is said to be refused before there was one")
	}
	f.do(func() {
		f.status.Config.Failed = []string{"fairlead.toml:3:1: unknown key \"listn\""}
		f.tellStatusLocked()
	})
	b.wait(`document.querySelector("#refused:not([hidden]) li")?.textContent.includes("listn")`)
}

func TestThirtyGroupsAndAThousandRoutes(t *testing.T) {
	f := newFake(t, wide(30, 1000))
	f.remember()
	b := newTab(t, 1440, 900)
	b.open(f)
	b.wait(`document.querySelectorAll(".group").length === 30`)
	if got := b.text(".group h3"); got != "group-17" {
		t.Errorf("%s comes first, want the one in trouble, group-17", got)
	}
	if n := eval[int](b, `document.querySelectorAll(".group[data-open]").length`); n != 1 {
		t.Errorf("%d groups are open, want the one in trouble", n)
	}
	if got := b.text("#routes tbody th button"); got != "route-0777" {
		t.Errorf("%s comes first, want the one in trouble, route-0777", got)
	}
	if n := eval[int](b, `document.querySelectorAll("#routes tbody").length`); n != 50 {
		t.Errorf("%d routes are drawn, want 50", n)
	}
	b.run(chromedp.SendKeys(chromedp.CSS("#routes-filter"), "route-042"))
	b.wait(`document.querySelectorAll("#routes tbody").length === 10 && document.querySelector("#routes-count").textContent === "10 of 1,000 routes"`)
	b.click(`.group:nth-child(2) .more`)
	b.wait(`document.querySelectorAll(".group[data-open]").length === 2`)
	// A status that brings nothing new leaves the routes as they are.
	touched := eval[int](b, `new Promise((done) => {
		let n = 0;
		const watch = new MutationObserver((list) => { n += list.length; });
		watch.observe(document.querySelector("#routes"), { subtree: true, childList: true, attributes: true, characterData: true });
		setTimeout(() => { watch.disconnect(); done(n); }, 2500); // two statuses or more
	})`)
	if touched != 0 {
		t.Errorf("the routes were written to %d times in two seconds without news", touched)
	}
}

func TestTenMinutesLeaveThePageAsSmallAsItWas(t *testing.T) {
	f := newFake(t, calmStatus())
	b := newTab(t, 1440, 900)
	b.open(f)
	f.do(func() { f.muted = true })
	nodes := func(minutes int) int {
		f.play(minutes)
		want := fmt.Sprintf("event %d.", minutes)
		b.wait(fmt.Sprintf(`document.querySelector(".event-text")?.textContent.endsWith(%q)`, want))
		return eval[int](b, `document.querySelectorAll("*").length`)
	}
	first := nodes(10)
	second := nodes(20)
	// A few nodes come and go with ticks and flips on the axis.
	if second > first+20 {
		t.Errorf("the page has %d elements after twenty minutes, %d after ten", second, first)
	}
	if first > 4000 {
		t.Errorf("the page has %d elements", first)
	}
	if n := eval[int](b, `Math.max(...[...document.querySelectorAll(".chart .stroke")].map((p) => p.getAttribute("d").length))`); n > 20000 {
		t.Errorf("a line of a chart takes %d characters", n)
	}
}

// play lets ten minutes pass in a moment, up to the given minute: a sample and
// a status a second, and an event every other.
func (f *fake) play(until int) {
	f.do(func() {
		for i := range 600 {
			f.shift += time.Second
			f.sampleLocked(f.nowLocked())
			if i%2 == 0 {
				f.happenLocked(adminapi.Event{Kind: []string{"flip", "verdict", "breaker"}[i%3], Level: "warn", Group: "shop", Origin: "eu", Route: "product", Text: fmt.Sprintf("In second %d.", i)})
			}
		}
		f.happenLocked(adminapi.Event{Kind: "reload", Level: "info", Text: fmt.Sprintf("event %d.", until)})
	})
}

func TestThePolicyHolds(t *testing.T) {
	f := newFake(t, calmStatus())
	b := newTab(t, 800, 600, "violates")
	b.open(f)
	// That the policy is at work, and that the console would say so.
	call(b, network.Enable, network.EnableParams{})
	got := eval[string](b, `new Promise((done) => {
		document.addEventListener("securitypolicyviolation", (e) => done(e.effectiveDirective), { once: true });
		const s = document.createElement("script");
		s.textContent = "window.bad = true";
		document.head.append(s);
	})`)
	if !strings.HasPrefix(got, "script-src") {
		t.Errorf("an inline script broke %q, so the other tests prove nothing about the policy", got)
	}
}
