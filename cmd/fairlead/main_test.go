package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead/fairlead/internal/admin/browsertest"
	"github.com/fairlead/fairlead/internal/testrun"
)

// asProgram, set in the environment, makes the test binary behave as fairlead.
const asProgram = "FAIRLEAD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		// No process of a test outlives it for long, whatever goes wrong.
		time.AfterFunc(15*time.Minute, func() { os.Exit(99) })
		main()
	}
	time.Local = time.UTC // in which commands print times
	testrun.Abreast(8)
	goleak.VerifyTestMain(browsertest.M{M: m})
}

// fairlead is the program as a process of its own.
func fairlead(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	// With the race detector every process would sleep for a second at its end.
	cmd.Env = append(os.Environ(), asProgram+"=1", strings.TrimSpace("GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	return cmd
}

func TestExitCodesOfTheProcess(t *testing.T) {
	bad := write(t, "[server]\nlisten = 8080\n")
	tests := []struct {
		give []string
		want int
	}{
		{give: []string{"version"}, want: 0},
		{give: []string{"--help"}, want: 0},
		{give: []string{"check", filepath.Join("..", "..", "testdata", "failover.toml")}, want: 0},
		{give: []string{"check", bad}, want: 1},
		{give: []string{"run", "-c", bad}, want: 1},
		{give: []string{"run", "-c", bad + ".missing"}, want: 1},
		{give: []string{"fly"}, want: 2},
		{give: []string{"status", "--admin", "127.0.0.1:1"}, want: 1},
		{give: []string{"pin", "shop"}, want: 2},
		{give: []string{"demo", "--twice"}, want: 2},
		{give: []string{"drill", "--fault", "rain"}, want: 2},
		{give: []string{"drill", "-c", bad}, want: 1},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.give, " "), func(t *testing.T) {
			out, err := fairlead(t.Context(), tt.give...).CombinedOutput()
			code := 0
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if code != tt.want {
				t.Errorf("exit code %d, want %d; output:\n%s", code, tt.want, out)
			}
		})
	}
}

// signalled starts "run" as a process with one request in flight, sends it
// SIGTERM, and waits for the drain to begin.
func signalled(t *testing.T) (cmd *exec.Cmd, origin *slowOrigin, answer <-chan answered, stderr *bytes.Buffer) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGTERM")
	}
	origin = newSlowOrigin(t)
	file := write(t, `[log]
output = "stdout"
[server]
listen = ["127.0.0.1:0"]
`+oneOrigin(origin.URL))
	cmd = fairlead(t.Context(), "run", "-c", file)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr = new(bytes.Buffer)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(stdout)
	address := awaitLine(t, lines, "listening")["address"].(string)
	answer = fetch(t.Context(), "GET", "http://"+address+"/")
	<-origin.arrived
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, lines, "draining")
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	return cmd, origin, answer, stderr
}

func TestSIGTERMFinishesWhatIsInFlight(t *testing.T) {
	cmd, origin, answer, stderr := signalled(t)
	close(origin.release)
	if a := <-answer; a.err != nil || a.status != 200 || a.body != "slow" {
		t.Errorf("request in flight got %+v", a)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("process ended with %v; stderr:\n%s", err, stderr)
	}
}

func TestASecondSignalInterruptsWhatIsInFlight(t *testing.T) {
	cmd, origin, answer, stderr := signalled(t)
	defer close(origin.release)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if a := <-answer; a.err == nil && a.status == 200 {
		t.Errorf("request in flight got %+v, want an error", a)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("process ended with %v, want exit code %d", err, exitDone)
	}
	if !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("stderr doesn't say that requests were interrupted:\n%s", stderr)
	}
}
