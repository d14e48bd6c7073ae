package page

import (
	"fmt"
	"io/fs"
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
	b := f.show(1440, 900)
	if got := b.Text("#headline-text"); got != "All is well: 2 groups on their primaries" {
		t.Fatalf("before the outage the page says %q", got)
	}
	began := time.Now()
	f.breakEu()
	b.Wait(`document.querySelector("#headline-text").textContent.startsWith("shop is on us since")`)
	b.Wait(`document.querySelector('[aria-label="Group shop"] .flow').dataset.at === "secondary"`)
	b.Wait(`document.querySelector('#events [data-kind="flip"] .event-text')?.textContent === "shop moved from eu to us."`)
	b.Wait(`document.querySelector('[aria-label="Group shop"] .place.primary .verdict').dataset.verdict === "down"`)
	b.Wait(`document.querySelectorAll("#charts .flip-head").length === 3`)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the outage showed after %v", took)
	}
	b.Wait(`document.querySelector("#announce").textContent.includes("shop moved from eu to us.")`)
	b.Wait(`document.title.startsWith("shop is on us")`)
	b.Wait(`document.querySelector('[aria-label="Group shop"] .place.secondary .number').textContent > 50`)
	if got := b.Text(`[aria-label="Origin eu"] .said`); !strings.Contains(got, "connect_refused") {
		t.Errorf("the last probe of eu reads %q", got)
	}
	if got := b.Text(`#events [data-kind="verdict"] summary`); got != "Evidence: 3 probes" {
		t.Errorf("the verdict's evidence reads %q", got)
	}
}

func TestSilenceLooksStale(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	b := f.show(800, 600)
	f.do(func() { f.muted = true })
	b.Wait(`/^no data since \d+ s$/.test(document.querySelector("#feed-text").textContent)`)
	if got := eval[string](b, `getComputedStyle(document.querySelector("main")).filter`); got != "grayscale(1)" {
		t.Errorf("stale data is drawn with the filter %s", got)
	}
	f.do(func() { f.muted = false })
	b.Wait(`document.querySelector("#feed-text").textContent === "live"`)
}

func TestALostConnectionIsMadeAnew(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	b := f.show(800, 600, "ERR_")
	f.do(func() {
		for s := range f.streams {
			close(s)
			delete(f.streams, s)
		}
		f.happenLocked(adminapi.Event{Kind: "reload", Level: "info", Text: "While nobody looked."})
		f.status.PID++
	})
	b.Wait(`[...document.querySelectorAll(".event-text")].some((n) => n.textContent === "While nobody looked.")`)
	b.Wait(`document.querySelector("#foot").textContent.startsWith("Process 4712")`)
}

func TestATokenIsAskedForAndSent(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	f.do(func() { f.token = "right" })
	b := newTab(t, 390, 844, "401")
	b.Run(chromedp.Navigate(f.url))
	b.Wait(`!document.querySelector("#signin").hidden && document.activeElement.id === "token"`)
	b.Press("wrong", kb.Enter)
	if path, body := f.next(); path != "/v1/session" || body["token"] != "wrong" {
		t.Errorf("it sent %s %v", path, body)
	}
	b.Wait(`document.querySelector("#signin-problem").textContent.includes("not the token")`)
	b.Press("right", kb.Enter)
	f.next()
	b.Wait(`document.querySelector("#signin").hidden && document.querySelector("#main:not([hidden]) .group")`)
}

func TestARouteOpensItsLastFailures(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	f.outageScene()
	b := f.show(1440, 900)
	if got := b.Text(`#routes .routes tbody th button`); got != "product" && got != "basket" {
		t.Errorf("the first route is %s, which has no trouble", got)
	}
	b.Run(chromedp.Click(`//button[text()="product"]`))
	b.Wait(`document.querySelector(".requests li")`)
	got := b.Text(".detail")
	for _, part := range []string{"502", "GET /product/17", "no failover: timeout", "eu (primary, 192.0.2.10:443)", "✕ connect_timeout: no connection within connect_timeout (1s)", "✕ reset: the connection broke before the response"} {
		if !strings.Contains(got, part) {
			t.Errorf("the last failures leave out %q: %s", part, got)
		}
	}
}

func TestTheTimelineIsFilteredByKind(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	f.outageScene()
	b := f.show(1440, 900)
	b.Wait(`document.querySelectorAll(".event").length === 5`)
	b.Click(`#events-kinds input[value="flips"]`)
	b.Wait(`document.querySelectorAll(".event").length === 1 && document.querySelector(".event").dataset.kind === "flip"`)
	b.Click(`#events-kinds input[value="hand"]`)
	b.Wait(`document.querySelectorAll(".event").length === 0 && document.querySelector("#events").hasAttribute("data-empty")`)
}

func TestARefusedReloadIsShown(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	b := f.show(1440, 900)
	if eval[bool](b, `!document.querySelector("#refused").hidden`) {
		t.Error("a reload is said to be refused before there was one")
	}
	f.do(func() {
		f.status.Config.Failed = []string{"fairlead.toml:3:1: unknown key \"listn\""}
		f.tellStatusLocked()
	})
	b.Wait(`document.querySelector("#refused:not([hidden]) li")?.textContent.includes("listn")`)
}

func TestThirtyGroupsAndAThousandRoutes(t *testing.T) {
	f := newFake(t, wide(30, 1000))
	f.remember()
	b := f.show(1440, 900)
	b.Wait(`document.querySelectorAll(".group").length === 30`)
	if got := b.Text(".group h3"); got != "group-17" {
		t.Errorf("%s comes first, want the one in trouble, group-17", got)
	}
	if n := eval[int](b, `document.querySelectorAll(".group[data-open]").length`); n != 1 {
		t.Errorf("%d groups are open, want the one in trouble", n)
	}
	if got := b.Text("#routes tbody th button"); got != "route-0777" {
		t.Errorf("%s comes first, want the one in trouble, route-0777", got)
	}
	if n := eval[int](b, `document.querySelectorAll("#routes tbody").length`); n != 50 {
		t.Errorf("%d routes are drawn, want 50", n)
	}
	b.Run(chromedp.SendKeys(chromedp.CSS("#routes-filter"), "route-042"))
	b.Wait(`document.querySelectorAll("#routes tbody").length === 10 && document.querySelector("#routes-count").textContent === "10 of 1,000 routes"`)
	b.Click(`.group:nth-child(2) .more`)
	b.Wait(`document.querySelectorAll(".group[data-open]").length === 2`)
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
	b := f.show(1440, 900)
	f.do(func() { f.muted = true })
	nodes := func(minutes int) int {
		f.play(minutes)
		want := fmt.Sprintf("event %d.", minutes)
		b.Wait(fmt.Sprintf(`document.querySelector(".event-text")?.textContent.endsWith(%q)`, want))
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
	b := f.show(800, 600, "violates")
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
