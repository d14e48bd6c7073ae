package page

import (
	"fmt"
	"testing"
)

func TestNothingScrollsSideways(t *testing.T) {
	t.Parallel()
	for _, width := range []int64{320, 390, 768, 1440, 3840} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			f := newFake(t, calmStatus())
			f.outageScene()
			f.do(func() {
				f.origin("us").Addresses = []string{"[2001:db8:1234:5678:9abc:def0:1234:5678]:8443"}
				f.status.Routes[0].Match = "GET a-rather-long-host-name.shop.example.net/with/a/{long}/path/and/{more...}"
				f.status.Config.Failed = []string{"fairlead.toml:17:1: groups.shop.primary names the origin \"a-name-that-is-not-there-and-long\", which is not configured"}
			})
			b := f.show(width, 900)
			b.Click(`#routes button.open`)
			b.Wait(`document.querySelector(".requests, .detail [role=status]")`)
			b.fits()
			b.Click(`button[aria-label="Pin shop…"]`)
			b.Wait(`document.querySelector("dialog[open]")`)
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
	t.Parallel()
	f := newFake(t, calmStatus())
	f.outageScene()
	b := f.show(1440, 900)
	pages := make(map[string]string)
	for _, scheme := range []string{"light", "dark"} {
		b.media(scheme, true)
		b.Wait(fmt.Sprintf(`matchMedia("(prefers-color-scheme: %s)").matches`, scheme))
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
	b := f.show(800, 600)
	ground := func() string { return eval[string](b, `getComputedStyle(document.body).backgroundColor`) }
	light := ground()
	b.Click("#theme")
	b.Click("#theme")
	b.Wait(`document.querySelector("#theme").textContent === "Theme: dark"`)
	dark := ground()
	if dark == light {
		t.Errorf("dark is as light as light: %s", dark)
	}
	b.open(f)
	if got := ground(); got != dark {
		t.Errorf("after a reload the page is %s, want %s", got, dark)
	}
	b.Click("#theme")
	b.Wait(`document.querySelector("#theme").textContent === "Theme: system" && localStorage.getItem("theme") === null`)
}

func TestMotionStopsForThoseWhoAskForIt(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	f.remember()
	b := f.show(1440, 900)
	b.Wait(`document.querySelector(".drops").getAttribute("d")`)
	if n := eval[int](b, `document.getAnimations().length`); n == 0 {
		t.Error("nothing flows")
	}
	b.media("light", true)
	if n := eval[int](b, `document.getAnimations().length`); n != 0 {
		t.Errorf("%d animations run for one who asked for none", n)
	}
}
