//go:build unix

package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
	"github.com/fairlead/fairlead/internal/chaos"
	"github.com/fairlead/fairlead/internal/testrun"
)

// Whatever ends a process, the next one has its pins, with their ends, reasons and
// authors, and its drains.
func TestPinsAndDrainsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"SIGTERM", "SIGKILL", "SIGUSR2"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			state := filepath.Join(t.TempDir(), "state")
			d.server = fmt.Sprintf("state = %q", state)
			set := d.setup()
			p := set.start(t)
			d.awaitVerdict("us", "healthy")
			var was, is adminapi.Group
			d.post("/v1/groups/shop/pin", adminapi.PinRequest{Target: "us", For: "1h", Reason: "disk of eu, see #42"}, &was)
			d.post("/v1/origins/eu/drain", seen(0), nil)
			switch by {
			case "SIGTERM":
				if code := p.end(); code != exitDone {
					t.Errorf("exit code %d", code)
				}
				p = set.start(t)
			case "SIGKILL": // what was answered is in the file
				p.signal(syscall.SIGKILL)
				p.awaitEnd(p.ended)
				p = set.start(t)
			default:
				p.upgrade()
			}
			before := clients(d.eu)
			is = d.pointer("shop")
			wantAt(t, &is, "us", was.Generation, "pin")
			if is.Pin == nil || is.Pin.Target != "us" || is.Pin.Reason != was.Pin.Reason || is.Pin.By != was.Pin.By || !is.Pin.Until.Equal(*was.Pin.Until) {
				t.Errorf("the pin is %+v, it was %+v", is.Pin, was.Pin)
			}
			if o := d.origin("eu"); !o.Drained {
				t.Errorf("eu is %+v", o)
			}
			d.awaitVerdict("eu", "healthy") // which brings no request back
			for _, method := range []string{"GET", "POST"} {
				if at := lands(t, p.address, method, "/product/1"); at != "us" {
					t.Errorf("a %s landed at %s", method, at)
				}
			}
			d.post("/v1/groups/shop/unpin", seen(is.Generation), nil)
			d.refused("/v1/groups/shop/failback", seen(is.Generation), http.StatusConflict, "primary_down")
			if n := clients(d.eu) - before; n > 0 {
				t.Errorf("%d requests came to the drained origin", n)
			}
			d.post("/v1/origins/eu/ready", seen(0), nil)
			d.post("/v1/groups/shop/failback", seen(is.Generation), &is)
			wantAt(t, &is, "eu", was.Generation+1, "operator")
			if code := p.end(); code != exitDone {
				t.Errorf("exit code %d", code)
			}
			if text := logText(state); strings.Contains(text, `"pin"`) || strings.Contains(text, `"drained"`) {
				t.Errorf("the state has still:\n%s", text)
			}
		})
	}
}

// While another process takes over, a change by hand would be lost: it is refused,
// and asks for patience. A reload waits until it is decided who obeys.
func TestNoChangeIsLostInAnUpgrade(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	set := d.setup()
	set.program = replaceable(t)
	p := set.start(t)
	dir := testrun.ShortDir(t)
	begun, decide := filepath.Join(dir, "begun"), filepath.Join(dir, "decide")
	reload := func() <-chan answered {
		c := make(chan answered, 1)
		go func() {
			status, answer, err := d.try("POST", "/v1/reload", struct{}{})
			c <- answered{status, string(answer), err}
		}()
		return c
	}
	for _, round := range []struct{ end, want string }{{"exit 7", notTaken}, {fmt.Sprintf("exec %q \"$@\"", os.Args[0]), tookOver}} {
		_ = os.Remove(begun)
		_ = os.Remove(decide)
		replace(t, set.program, fmt.Sprintf("echo >%q; until [ -e %q ]; do sleep 0.05; done; %s", begun, decide, round.end))
		adoptOrphans(t)
		p.signal(syscall.SIGUSR2)
		chaos.Await(t, patience, "new process", func() bool { _, err := os.Lstat(begun); return err == nil })
		for path, body := range map[string]any{"/v1/groups/shop/pin": pinTo("us", 0), "/v1/groups/shop/unpin": seen(0), "/v1/groups/shop/failback": seen(0), "/v1/origins/eu/drain": seen(0)} {
			d.refused(path, body, http.StatusServiceUnavailable, "busy")
		}
		asked := reload()
		if err := os.WriteFile(decide, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		p.await(round.want, nil)
		a := <-asked
		if round.want == notTaken {
			if a.err != nil || a.status != http.StatusOK {
				t.Errorf("the reload that waited: %+v", a)
			}
			d.post("/v1/groups/shop/pin", pinTo("us", 0), nil)
			continue
		}
		// It may have come so late that the new process has answered it, or that the
		// old one's listener was closed.
		if a.err == nil && a.status != http.StatusOK && !(a.status == http.StatusServiceUnavailable && strings.Contains(a.body, `"busy"`)) {
			t.Errorf("the reload that waited: %+v", a)
		}
	}
	old := p.main
	p.main = p.newest()
	p.gone(old)
	g := d.pointer("shop")
	wantAt(t, &g, "us", 2, "pin")
	d.post("/v1/groups/shop/unpin", seen(2), nil)
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// Reloads by the API tell what has changed, or all that is wrong; of two at once
// each is done.
func TestReloadsByTheAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.start()
	first := d.status().Config
	d.concurrent, d.more, d.admin = 20, extraRoute, d.admin+`hosts = ["fairlead.example"]`
	d.change(p)
	var r adminapi.ReloadResult
	d.post("/v1/reload", struct{}{}, &r)
	text := strings.Join(r.Changed, "\n")
	if !strings.Contains(text, "routes_added: extra") || !strings.Contains(text, "routes_changed: read, order") || !strings.Contains(text, "tables_changed: admin") || r.Config.Fingerprint == first.Fingerprint {
		t.Errorf("the reload says %+v", r)
	}
	if now := d.status().Config; now.Fingerprint != r.Config.Fingerprint || !now.Loaded.After(first.Loaded) || now.Failed != nil {
		t.Errorf("the status says %+v", now)
	}
	good := logText(p.file)
	p.write(strings.Replace(strings.Replace(good, "max_concurrent = 20", "max_concurent = 20", 1), `group = "shop"`, `group = "shopp"`, 1))
	e := d.refused("/v1/reload", struct{}{}, http.StatusUnprocessableEntity, "bad_config")
	if len(e.Problems) < 2 || !strings.Contains(strings.Join(e.Problems, "\n"), "max_concurent") {
		t.Errorf("the problems are %q", e.Problems)
	}
	if now := d.status().Config; len(now.Failed) != len(e.Problems) || now.Fingerprint != r.Config.Fingerprint {
		t.Errorf("the status says %+v", now)
	}
	p.write(good)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if status, answer, err := d.try("POST", "/v1/reload", struct{}{}); err != nil || status != http.StatusOK {
				t.Errorf("%d %s, %v", status, answer, err)
			}
		})
	}
	both.Wait()
	p.awaitSaid(3, "reloaded", nil)
	if now := d.status().Config; now.Failed != nil {
		t.Errorf("the status says %+v", now)
	}
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// portOfNobody is an address that nobody is given by chance.
func portOfNobody(t *testing.T) string {
	t.Helper()
	o := chaos.NewOrigin(t, "nobody")
	o.Close()
	return o.Addr()
}

// The operators' listener comes, moves, asks for another token or goes by other
// names, and goes, all by reloads.
func TestTheAdminListenerFollowsTheConfiguration(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	dir := testrun.ShortDir(t)
	first, second, tcp := d.address, filepath.Join(dir, "second"), portOfNobody(t)
	token := filepath.Join(dir, "token")
	d.admin = ""
	p := d.start()
	change := func(admin string, c console) console {
		t.Helper()
		d.admin = admin
		d.change(p)
		p.reload("")
		c.t = t
		return c
	}
	gone := func(network, address string) {
		t.Helper()
		chaos.Await(t, patience, address+" closed", func() bool {
			c, err := net.Dial(network, address)
			if err == nil {
				_ = c.Close()
			}
			return err != nil
		})
		if network == "unix" {
			chaos.Await(t, patience, address+" removed", func() bool { _, err := os.Lstat(address); return os.IsNotExist(err) })
		}
	}
	if _, err := os.Lstat(first); err == nil {
		t.Fatal("there is a listener without a table")
	}
	c := change(adminTable("unix:"+first), console{network: "unix", address: first})
	c.status()
	p.first("reloaded", nil)
	c = change(adminTable("unix:"+second), console{network: "unix", address: second})
	c.status()
	gone("unix", first)

	for _, secret := range []string{"0123456789abcdef", "fedcba9876543210"} {
		if err := os.WriteFile(token, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := c
		c = change(adminTable("unix:"+second, fmt.Sprintf("token_file = %q", token)), console{network: "unix", address: second, token: secret})
		c.status()
		if status, _, err := before.try("GET", "/v1/status", nil); err != nil || status != http.StatusUnauthorized {
			t.Errorf("what was enough before the token: %d, %v", status, err)
		}
	}

	c = change(adminTable(tcp), console{network: "tcp", address: tcp})
	c.status()
	gone("unix", second)
	c.host = "fairlead.example"
	if status, _, err := c.try("GET", "/v1/status", nil); err != nil || status != http.StatusForbidden {
		t.Errorf("by a name that it doesn't go by: %d, %v", status, err)
	}
	c = change(adminTable(tcp, `hosts = ["fairlead.example"]`), c)
	c.status()

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	d.admin = adminTable(taken.Addr().String())
	d.change(p)
	p.reload("in use")
	c.status()

	change("", console{})
	gone("tcp", tcp)
	if at := lands(t, p.address, "GET", "/product/1"); at != "eu" {
		t.Errorf("a request landed at %s", at)
	}
	c = change(adminTable("unix:"+first), console{network: "unix", address: first})
	c.status()
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	gone("unix", first)
}

// Whoever connects to the operators' listener finds one in any moment of an
// upgrade.
func TestTheAdminSocketIsHandedOver(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			if network == "tcp" {
				d.network, d.address = "tcp", portOfNobody(t)
				d.admin = adminTable(d.address)
			}
			p := d.start()
			over := make(chan struct{})
			var asking sync.WaitGroup
			answers := 0
			asking.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
					}
					status, _, err := d.try("GET", "/v1/status", nil)
					if opErr, ok := errors.AsType[*net.OpError](err); ok && opErr.Op == "dial" {
						t.Errorf("nobody listens: %v", err)
						return
					}
					// A connection that the old process had accepted may have been closed.
					if err == nil && status != http.StatusOK {
						t.Errorf("answered with %d", status)
					}
					if err == nil {
						answers++
					}
				}
			})
			pid := d.status().PID
			for range 3 {
				p.upgrade()
				now := d.status().PID
				if now == pid || now != p.main.Pid {
					t.Errorf("process %d answers, after %d; it should be %d", now, pid, p.main.Pid)
				}
				pid = now
			}
			close(over)
			asking.Wait()
			if answers < 10 {
				t.Errorf("only %d answers", answers)
			}
			if code := p.end(); code != exitDone {
				t.Errorf("exit code %d", code)
			}
			if _, err := os.Lstat(d.address); network == "unix" && !os.IsNotExist(err) {
				t.Errorf("the socket's path is still there: %v", err)
			}
		})
	}
}

// An origin without a check is drained over a restart too, and its group's pointer
// doesn't go there and back, however little it waits.
func TestADrainOfAnOriginWithoutACheckOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.eager = true
	d.server = fmt.Sprintf("state = %q", filepath.Join(t.TempDir(), "state"))
	set := d.setup()
	set.toml = strings.ReplaceAll(set.toml, `health = { path = "/healthz", interval = "200ms", timeout = "10s", fast_interval = "50ms", rise = 1 }`, "")
	p := set.start(t)
	d.post("/v1/origins/eu/drain", seen(0), nil)
	was := d.pointer("shop")
	wantAt(t, &was, "us", 2, "primary_down")
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	p = set.start(t)
	is := d.pointer("shop")
	wantAt(t, &is, "us", 2, "primary_down")
	if o := d.origin("eu"); !o.Drained || !is.Since.Round(time.Microsecond).Equal(was.Since.Round(time.Microsecond)) {
		t.Errorf("after a restart: %+v, since %v, it was %v", o, is.Since, was.Since)
	}
	d.post("/v1/origins/eu/ready", seen(0), nil)
	p.await("pointer moved", line{"to": "eu", "reason": "failback"})
	if code := p.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
