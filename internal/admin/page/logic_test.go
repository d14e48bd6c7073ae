package page

import (
	"fmt"
	"testing"
)

// module evaluates an expression over one of the page's modules, named m.
func module[T any](b *tab, name, expression string) T {
	b.t.Helper()
	return eval[T](b, fmt.Sprintf(`import("/%s").then((m) => (%s))`, name, expression))
}

func TestNumbersAndTimesAreSaidInWords(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	b := f.show(800, 600)
	for _, tt := range []struct{ give, want string }{
		{`m.duration(0)`, "0 s"},
		{`m.duration(59.9)`, "59 s"},
		{`m.duration(61)`, "1 min"},
		{`m.duration(3600)`, "1 h"},
		{`m.duration(3720)`, "1 h 2 min"},
		{`m.duration(90000)`, "1 d 1 h"},
		{`m.duration(-5)`, "0 s"},
		{`m.rough(90000)`, "1 d"},
		{`m.countdown(0.2)`, "1 s"},
		{`m.countdown(61)`, "1 min 1 s"},
		{`m.rate(0.01)`, "0"},
		{`m.rate(9.94)`, "9.9"},
		{`m.rate(9.97)`, "10"},
		{`m.rate(1234.4)`, "1,234"},
		{`m.count(99999)`, "99,999"},
		{`m.count(912345)`, "912k"},
		{`m.count(5210034)`, "5.2M"},
		{`m.millis(0)`, "0 ms"},
		{`m.millis(3.14)`, "3.1 ms"},
		{`m.millis(999.4)`, "999 ms"},
		{`m.millis(1500)`, "1.5 s"},
		{`m.time(new Date(2026, 0, 2, 3, 4, 5), new Date(2026, 0, 2, 9), true)`, "03:04:05"},
		{`m.time(new Date(2026, 0, 2, 3, 4, 5), new Date(2026, 0, 3, 9))`, "2 Jan 03:04"},
		{`m.reason({reason: "pin"})`, "was pinned by hand"},
		{`m.reason({reason: "pin", pin: {target: "us"}})`, "pinned by hand"},
		{`m.probe({at: new Date(2026, 0, 2, 3, 4, 5).toISOString(), took_ms: 3.14, ok: true, status: 200}, new Date(2026, 0, 2))`, "03:04:05 answered 200 in 3.1 ms"},
		{`m.probe({at: new Date(2026, 0, 2, 3, 4, 5).toISOString(), took_ms: 0.3, ok: false, error: "connect_refused"}, new Date(2026, 0, 2))`, "03:04:05 failed: connect_refused (0.3 ms)"},
		{`m.probe({at: new Date(2026, 0, 2, 3, 4, 5).toISOString(), took_ms: 1, ok: false, dropped: true, error: "late"}, new Date(2026, 0, 2))`, "03:04:05 counted for nothing: late (1.0 ms)"},
	} {
		if got := module[string](b, "words.js", tt.give); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.give, got, tt.want)
		}
	}
}

func TestTheHeadlineSaysTheWorstFirst(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	b := f.show(800, 600)
	const base = `((change, errors) => {
		const at = (h, min) => new Date(2026, 0, 2, h, min).toISOString();
		const group = (name, p, s) => ({ name, primary: p, secondary: s, target: p, role: "primary", generation: 1, since: at(1, 0), reason: "start" });
		const origin = (name) => ({ name, verdict: "healthy", since: at(1, 0), drained: false });
		const s = { state: "serving", groups: [group("shop", "eu", "us"), group("api", "eu2", "us")], origins: ["eu", "eu2", "us"].map(origin), routes: [{ name: "r", breakers: [{ origin: "eu", state: "closed" }] }] };
		const down = (name) => Object.assign(s.origins.find((o) => o.name === name), { verdict: "down", since: at(3, 12) });
		const move = (i, target, role, reason) => Object.assign(s.groups[i], { target, role, reason, since: at(3, 12) });
		change(s, down, move, at);
		const h = m.headline(s, new Date(2026, 0, 2, 3, 16).getTime(), errors);
		return h.level + ": " + h.text;
	})(%s, %s)`
	for _, tt := range []struct{ name, change, errors, want string }{
		{"calm", `() => {}`, `0`, "ok: All is well: 2 groups on their primaries"},
		{"one group", `(s) => s.groups.pop()`, `0`, "ok: All is well: shop is on its primary, eu"},
		{"failed over", `(s, down, move) => { down("eu"); move(0, "us", "secondary", "primary_down"); s.routes[0].breakers[0].state = "open"; }`, `0`, "warn: shop is on us since 03:12 (primary_down); eu has been down for 4 min"},
		{"no way out", `(s, down, move) => { down("eu"); down("us"); }`, `0`, "bad: shop is on eu, which has been down for 4 min; us has been down for 4 min"},
		{"no target", `(s, down, move) => move(0, "", "none", "both_down")`, `0`, "bad: shop has no origin to go to"},
		{"errors first", `(s, down, move) => move(0, "us", "secondary", "primary_down")`, `3.21`, "bad: 3.2 requests a second fail; shop is on us since 03:12 (primary_down)"},
		{"pinned", `(s, down, move, at) => { s.groups[0].pin = { target: "eu", until: at(4, 12) }; }`, `0`, "note: shop is pinned to eu until 04:12"},
		{"a drill", `(s, down, move, at) => { s.groups[0].drill = { running: true, share: 0.05, until: at(3, 30) }; }`, `0`, "note: a drill sends 5 % of shop to us until 03:30"},
		{"a drill that is over", `(s, down, move, at) => { s.groups[0].drill = { running: false, share: 0.05, until: at(3, 30) }; }`, `0`, "ok: All is well: 2 groups on their primaries"},
		{"drained", `(s) => { s.origins[2].drained = true; }`, `0`, "note: us is drained"},
		{"a drained target", `(s) => { s.origins[0].drained = true; }`, `0`, "bad: shop is on eu, which is drained"},
		{"a breaker", `(s) => { s.routes[0].breakers[0].state = "open"; }`, `0`, "warn: the breaker of r towards eu is open"},
		{"many", `(s, down, move) => { s.groups.push({ ...s.groups[0], name: "x" }); for (const i of [0, 1, 2]) move(i, "us", "secondary", "primary_down"); }`, `0`, "warn: 3 groups are on their secondaries"},
		{"more than can be said", `(s) => { s.state = "draining"; for (const o of s.origins) { o.drained = true; } }`, `0`, "bad: shop is on eu, which is drained; api is on eu2, which is drained; Fairlead is draining; and 1 more"},
	} {
		if got := module[string](b, "words.js", fmt.Sprintf(base, tt.change, tt.errors)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTheModelForgetsWhatIsOld(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	b := f.show(800, 600)
	got := module[map[string]float64](b, "model.js", `(() => {
		const model = new m.Model();
		const start = Date.parse("2026-01-02T00:00:00Z");
		const group = { group: "shop", requests_per_s: 1, errors_per_s: 0.5, primary_per_s: 1, secondary_per_s: 0, p50_ms: 1, p99_ms: 2 };
		for (let i = 0; i < 5000; i++) {
			model.onSample({ at: new Date(start + i * 1000).toISOString(), groups: [group] });
			model.onEvents([{ seq: i + 1, time: new Date(start + i * 1000).toISOString(), kind: "flip" }]);
		}
		model.onEvents([{ seq: 5000 }, { seq: 4999 }]);
		const status = (pid, routes) => ({ pid, started: "x", now: new Date(start + 5000000).toISOString(), groups: [], origins: [], routes });
		const route = (name, failed) => ({ name, totals: { failed, shed: 0 } });
		model.onStatus(status(1, [route("a", 0), route("b", 7)]));
		model.onStatus(status(1, [route("a", 1)]));
		const kept = { samples: model.samples.length, events: model.events.length, newest: model.events[0].seq, errors: model.errors(), failures: model.lastFailure.size, recent: Number(model.recentlyFailed("a")) };
		kept.other = Number(model.onStatus(status(2, [])));
		kept.after = model.events.length + model.samples.length + model.lastFailure.size;
		return kept;
	})()`)
	want := map[string]float64{"samples": 601, "events": 500, "newest": 5000, "errors": 0.5, "failures": 1, "recent": 1, "other": 1, "after": 0}
	for key, n := range want {
		if got[key] != n {
			t.Errorf("%s: %v, want %v", key, got[key], n)
		}
	}
}

func TestDrawingsAreInProportion(t *testing.T) {
	t.Parallel()
	f := newFake(t, calmStatus())
	b := f.show(800, 600)
	for _, tt := range []struct{ file, give, want string }{
		{"flow.js", `m.thickness(50, 50, 100).join()`, "18,18"},
		{"flow.js", `m.thickness(100, 0, 100).join()`, "36,0"},
		{"flow.js", `m.thickness(0.1, 0, 1000).join()`, "1.4,0"},
		{"flow.js", `m.thickness(300, 100, 100).join()`, "27,9"},
		{"flow.js", `m.ribbon(10, 20, 5)`, "M0 10.00C45 10.00 55 20.00 100 20.00V25.00C55 25.00 45 15.00 0 15.00Z"},
		{"charts.js", `[0, 0.7, 1, 7.1, 130, 1001].map(m.niceMax).map((n) => +n.toFixed(3)).join()`, "1,0.8,1,8,200,1000"},
		{"charts.js", `m.runs([0, 1, 2, 9, 10].map((t) => ({ t }))).map((r) => r.length).join()`, "3,2"},
		{"charts.js", `JSON.stringify(m.merge([{ t: 1, groups: [{ group: "a", primary_per_s: 1, secondary_per_s: 2, errors_per_s: 3, p50_ms: 4, p99_ms: 5 }, { group: "b", primary_per_s: 1, secondary_per_s: 2, errors_per_s: 3, p50_ms: 1, p99_ms: 9 }] }], "")[0])`, `{"t":1,"primary":2,"secondary":4,"errors":6,"p50":4,"p99":9}`},
		{"strip.js", `Object.values(m.paths([{ ok: true, took_ms: 1 }, { ok: false, took_ms: 1 }, { ok: false, dropped: true, took_ms: 1 }])).map((d) => d.split("M").length - 1).join()`, "1,1,1"},
		{"groups.js", `m.backWords({ role: "secondary", primary: "eu", failback_at: new Date(48000).toISOString() }, 0)`, "Returns to eu in 48 s, if it stays healthy"},
		{"groups.js", `m.backWords({ role: "secondary", primary: "eu", failback: "manual" }, 0)`, "Returns to eu when somebody fails it back"},
		{"groups.js", `m.backWords({ role: "primary", primary: "eu", failback: "auto" }, 0)`, ""},
	} {
		if got := module[string](b, tt.file, tt.give); got != tt.want {
			t.Errorf("%s: %s: %q, want %q", tt.file, tt.give, got, tt.want)
		}
	}
}
