package suite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// BinaryVariable names the program to test, in the environment. Unset: it is
// built from the sources.
const BinaryVariable = "FAIRLEAD_CHAOS_BINARY"

// binary builds the program once for all scenarios.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(BinaryVariable); path != "" {
		return path, nil
	}
	return build("fairlead")
})

// build makes the program, with more flags for the compiler, and returns its file.
func build(name string, flags ...string) (string, error) {
	path := filepath.Join(workspace(), name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	args := append([]string{"build", "-o", path}, flags...)
	out, err := exec.Command("go", append(args, "github.com/fairlead/fairlead/cmd/fairlead")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
}

// workspace is a folder of this run. [Clean] removes it.
var workspace = sync.OnceValue(func() string {
	// The names of unix sockets are short, so this one is, too.
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		panic(err) // there is no place to work at
	}
	return dir
})

// Clean removes what a run has built. Nothing of the package works after it.
func Clean() { _ = os.RemoveAll(workspace()) }

// process is "fairlead run".
type process struct {
	cmd    *exec.Cmd
	log    *journal
	stderr bytes.Buffer  // complete when it is gone
	gone   chan struct{} // closed at the end of all who have its stdout: of heirs, too

	heir atomic.Pointer[os.Process] // that has taken over, nil without one
}

// at is the process that is in charge.
func (p *process) at() *os.Process {
	if heir := p.heir.Load(); heir != nil {
		return heir
	}
	return p.cmd.Process
}

// pid is the id of the process that is in charge.
func (p *process) pid() int { return p.at().Pid }

// startProcess starts the program with a configuration file.
func startProcess(program, file, before string, env []string, log *journal) (*process, error) {
	p := &process{log: log, gone: make(chan struct{})}
	p.cmd = exec.Command(program, "run", "-c", file)
	if before != "" {
		p.cmd = exec.Command("sh", "-ec", before+"\nexec \"$0\" \"$@\"", program, "run", "-c", file)
	}
	// Two processors are for all processes of the scenarios that run at the
	// same time, and garbage that is left for longer is not looked for.
	p.cmd.Env = append(append(os.Environ(), "GOMAXPROCS=2"), env...)
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		defer close(p.gone)
		log.read(out)
		_, _ = io.Copy(io.Discard, out)
		_ = p.cmd.Wait()
	}()
	return p, nil
}

// signal sends a signal to the process.
func (p *process) signal(s os.Signal) error { return p.at().Signal(s) }

// kill ends the process at once, if it is still there.
func (p *process) kill() {
	_ = p.at().Kill()
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// drain ends the process as an operator would.
func (p *process) drain() error {
	select {
	case <-p.gone:
		return fmt.Errorf("the process ended by itself: %v\n%s", p.cmd.ProcessState, p.tail())
	default:
	}
	if runtime.GOOS == "windows" { // it knows no SIGTERM
		p.kill()
		return nil
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.gone:
	case <-time.After(patience):
		_ = p.signal(syscall.SIGQUIT) // it tells what it was at
		<-p.gone
		return fmt.Errorf("the process did not end within %v of SIGTERM\n%s", patience, p.tail())
	}
	if bytes.Contains(p.stderr.Bytes(), []byte("DATA RACE")) {
		return errors.New("the process has a data race\n" + p.tail())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the process ended with %d\n%s", code, p.tail())
	}
	if bytes.Contains(p.stderr.Bytes(), []byte("panic")) {
		return errors.New("the process panicked\n" + p.tail())
	}
	return nil
}

// tail is the end of what the process wrote to stderr.
func (p *process) tail() string {
	b := p.stderr.Bytes()
	return string(b[max(0, len(b)-4096):])
}
