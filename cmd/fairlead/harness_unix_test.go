//go:build unix

package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fairlead/fairlead/internal/chaos"
)

// inGroupOfItsOwn lets killGroup find a process and all that descend from it.
func inGroupOfItsOwn(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills a process, dead or alive, and all that descend from it. One of
// them must be there still.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

// codeOf waits for the end of a process that was started by another one, which has
// ended, and returns its exit code. Where nobody but the system learns of that,
// it says 0.
func codeOf(t *testing.T, p *os.Process) int {
	t.Helper()
	code := 0
	chaos.Await(t, patience, "end of the new process", func() bool {
		var status syscall.WaitStatus
		switch pid, err := syscall.Wait4(p.Pid, &status, syscall.WNOHANG, nil); {
		case pid == p.Pid:
			code = status.ExitStatus()
			return true
		case err == syscall.ECHILD && !adoptsOrphans:
			return p.Signal(syscall.Signal(0)) != nil
		}
		return false
	})
	return code
}

const (
	startingNew = "starting the new process"
	tookOver    = "the new process has taken over, this one drains"
	notTaken    = "the new process has not taken over, this one goes on"
	givenUp     = "the upgrade is given up, since this process ends"
	startAgain  = "the new process is started again"
)

// successor sends SIGUSR2 and waits until a new process is in charge, which is
// main from then on. It returns the old one.
func (p *process) successor() (old *os.Process) {
	p.t.Helper()
	adoptOrphans(p.t)
	n := p.said(tookOver, nil)
	p.signal(syscall.SIGUSR2)
	return p.succeeded(n + 1)
}

// succeeded waits until so many processes have taken over, and makes the last of
// them main. It returns the one that was.
func (p *process) succeeded(times int) (old *os.Process) {
	p.t.Helper()
	p.awaitSaid(times, tookOver, nil)
	old, p.main = p.main, p.newest()
	return old
}

// newest is the process that has taken over last.
func (p *process) newest() *os.Process {
	p.t.Helper()
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	for _, l := range slices.Backward(p.log.lines) {
		if l["msg"] == tookOver {
			found, err := os.FindProcess(int(l["pid"].(float64)))
			if err != nil {
				p.t.Fatal(err)
			}
			return found
		}
	}
	return p.cmd.Process
}

// upgrade lets a new process take over and the old one end, which must be with
// exit code 0.
func (p *process) upgrade() {
	p.t.Helper()
	p.gone(p.successor())
}

// gone waits for a process that was replaced.
func (p *process) gone(old *os.Process) {
	p.t.Helper()
	var code int
	if old == p.cmd.Process {
		p.awaitEnd(p.exited)
		code = p.cmd.ProcessState.ExitCode()
	} else {
		code = codeOf(p.t, old)
	}
	if code != exitDone {
		p.t.Errorf("the old process %d ended with %d", old.Pid, code)
	}
}

// reload sends SIGHUP and waits until the log says that the configuration is at
// work, or with why not, that it isn't, and what of it.
func (p *process) reload(whyNot string) {
	p.t.Helper()
	msg := "reloaded"
	if whyNot != "" {
		msg = "not reloaded, the configuration at work stays"
	}
	p.signal(syscall.SIGHUP)
	said := p.log.find("", func(l line) bool {
		return l["msg"] == "reloaded" || l["msg"] == "not reloaded, the configuration at work stays"
	})
	if said == nil || said["msg"] != msg {
		p.t.Fatalf("the log says %v, want %q", said, msg)
	}
	if whyNot == "" {
		return
	}
	text, _ := said["error"].(string)
	if problems, ok := said["problems"].([]any); ok {
		text, _ = problems[0].(string)
	}
	if !strings.Contains(text, whyNot) {
		p.t.Fatalf("the log says %q, want %q", text, whyNot)
	}
}
