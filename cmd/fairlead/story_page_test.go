//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/admin/browsertest"
	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
)

// samePage compares what a reader of the dashboard sees with the status.
func (w *overseen) samePage(t *testing.T) {
	b := w.browse(t)
	status := get[adminapi.Status](w, "/v1/status")
	g := &status.Groups[0]
	stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

	flip := flips(get[[]adminapi.Event](w, "/v1/events"))[0]
	b.Wait(fmt.Sprintf(`document.querySelector(".event[data-kind=flip] time")?.getAttribute("datetime") === %q`, stamp(flip.Time)))
	if where := b.Text(".group .where"); !strings.HasPrefix(where, "on "+g.Target+" since ") {
		t.Errorf("the page says that the group is %q, /v1/status that it is on %s", where, g.Target)
	}
	facts := b.Text(".group .group-facts")
	for _, want := range []string{"(" + g.Reason + ")", fmt.Sprintf("generation %d", g.Generation)} {
		if !strings.Contains(facts, want) {
			t.Errorf("the page says of the group %q, want %q in it", facts, want)
		}
	}
	if since := b.Attribute(".group .group-facts", "title"); since != stamp(g.Since) {
		t.Errorf("the page says since %s, /v1/status %s", since, stamp(g.Since))
	}
	if at := b.Attribute(".group .flow", "data-at"); at != g.Role {
		t.Errorf("the page draws the pointer at the %s, want %s", at, g.Role)
	}
	for _, o := range status.Origins {
		if verdict := b.Attribute(".group .place."+roles[o.Name]+" .verdict", "data-verdict"); verdict != o.Verdict {
			t.Errorf("the page says that %s is %s, /v1/status that it is %s", o.Name, verdict, o.Verdict)
		}
	}
	told := b.Text(".event[data-kind=flip] .what")
	for _, want := range []string{flip.Text, flip.Cause, fmt.Sprintf("generation %d", flip.Generation)} {
		if !strings.Contains(told, want) {
			t.Errorf("the page says of the last flip %q, want %q in it", told, want)
		}
	}
}

// land sends a plain request and returns the origin that served it.
func (w *overseen) land() string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "GET", "http://"+w.address+"/product/", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("a plain request is answered with %s", resp.Status)
	}
	return resp.Header.Get(chaos.FieldOrigin)
}

func (w *overseen) landsOn(origin string) {
	w.t.Helper()
	if at := w.land(); at != origin {
		w.t.Errorf("a request lands on %s, want %s", at, origin)
	}
}

// post makes a change as another operator would.
func (w *overseen) post(path, body string) {
	w.t.Helper()
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(w.request("POST", path, body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("POST %s: %s", path, resp.Status)
	}
}

// On purpose not parallel: it holds the page to its two seconds.
func TestThePageShowsAFlipWithinTwoSecondsOfTheLog(t *testing.T) {
	w := watchShop(t)
	b := w.browse(t)
	w.shop.eu.Down()
	seen := b.Wait(`document.querySelector(".group .where").innerText.startsWith("on us since ") &&
		document.querySelector(".event[data-kind=flip]") && document.querySelector("#headline-text").innerText.includes("shop is on us")`)
	logged := w.moment(w.await("pointer moved", line{"to": "us"}))
	took := time.UnixMilli(int64(seen)).Sub(logged)
	t.Logf("the page showed the flip %v after the log", took)
	if took > 2*time.Second {
		t.Errorf("the page showed the flip %v after the log, want within 2 s", took)
	}
}

func TestClicksMoveTraffic(t *testing.T) {
	t.Parallel()
	w := watchShop(t)
	b := w.browse(t)
	w.landsOn("eu")

	b.Click(`button[aria-label="Pin shop…"]`)
	b.Click(`dialog input[name=target][value=us]`)
	b.Click(`dialog button.main`)
	b.Wait(`!document.querySelector("dialog") && document.querySelector(".group .pin-note:not([hidden])")`)
	w.landsOn("us")
	w.first("admin", line{"action": "pin", "subject": "shop", "result": "done"})
	if g := get[adminapi.Status](w, "/v1/status").Groups[0]; g.Pin == nil || g.Pin.Target != "us" || g.Pin.Until == nil {
		t.Errorf("after a pin for half an hour the status says %+v", g.Pin)
	}

	b.Click(`button[aria-label="Unpin shop…"]`)
	b.Click(`dialog button.main`)
	b.Wait(`document.querySelector(".group .where").innerText.startsWith("on eu since ")`)
	w.landsOn("eu")

	b.Click(`button[aria-label="Drain eu…"]`)
	b.Click(`dialog button.main`)
	b.Wait(`document.querySelector(".group .where").innerText.startsWith("on us since ") && !document.querySelector("dialog")`)
	w.landsOn("us")
	b.Click(`button[aria-label="Make eu ready…"]`)
	b.Click(`dialog button.main`)
	b.Wait(`document.querySelector(".group .where").innerText.startsWith("on eu since ")`)
	w.landsOn("eu")
}

func TestAChangeThatIsRefusedSaysSoOnThePage(t *testing.T) {
	t.Parallel()
	w := watchShop(t)
	const conflict = "the server responded with a status of 409"
	b := w.browse(t, conflict)

	b.Click(`button[aria-label="Drain us…"]`)
	b.Click(`dialog button.main`)
	b.Wait(`document.querySelector('button[aria-label="Make us ready…"]') && !document.querySelector("dialog")`)
	b.Click(`button[aria-label="Drain eu…"]`)
	b.Click(`dialog button.main`)
	b.Wait(`document.querySelector("dialog [role=alert]:not([hidden])")`)
	if said := b.Text("dialog [role=alert]"); !strings.Contains(said, "the other origin of group shop, us, is drained") {
		t.Errorf("the dialog says %q", said)
	}
	w.landsOn("eu")
	b.Click(`dialog .buttons button[type=button]`)

	w.post("/v1/origins/us/ready", "{}")
	b.Wait(`document.querySelector('button[aria-label="Drain us…"]')`)
	b.Click(`button[aria-label="Pin shop…"]`)
	b.Click(`dialog input[name=target][value=eu]`)
	w.post("/v1/groups/shop/pin", `{"target": "us"}`) // somebody else, meanwhile
	b.Click(`dialog button.main`)
	b.Wait(`document.querySelector("dialog [role=alert]:not([hidden])")`)
	said := b.Text("dialog")
	for _, want := range []string{"The pointer has moved since you looked", "Now: shop is on us since ", "generation 2."} {
		if !strings.Contains(said, want) {
			t.Errorf("the dialog says %q, want %q in it", said, want)
		}
	}
	w.landsOn("us")
	b.Click(`dialog button.main`) // with what it says in mind
	b.Wait(`!document.querySelector("dialog") && document.querySelector(".group .where").innerText.startsWith("on eu since ")`)
	w.landsOn("eu")
}

func TestThePageRunsNoScriptButItsOwn(t *testing.T) {
	t.Parallel()
	w := watchShop(t)
	b := w.browse(t, "Content Security Policy")
	ran := browsertest.Eval[bool](b, `(() => {
		const script = document.createElement("script");
		script.textContent = "window.foreign = true";
		document.head.append(script);
		return window.foreign === true;
	})()`)
	if ran {
		t.Error("a script that was put into the page ran")
	}
}
