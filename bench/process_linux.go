package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a child with all of its own children. stop ends it; it is not safe for concurrent use.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with its standard error
	over chan struct{} // closed when the child has ended
}

// command is what to start: a program with its arguments, and the environment on top of ours.
type command struct {
	Args []string
	Env  []string
}

// startProcess starts a child on the cores given, in a process group of its own. Its standard output and error go to a
// file in folder, unless stdout is a file already open.
func startProcess(name string, c command, cores []int, folder string, stdout *os.File) (*process, error) {
	log, err := os.CreateTemp(folder, name+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	if stdout != nil {
		cmd.Stdout = stdout
	}
	// A child in a group of its own can be ended with everything that it started; it doesn't outlive us if we are killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := startOn(cores, cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, log: log.Name(), over: make(chan struct{})}
	go p.reap()
	return p, nil
}

func (p *process) reap() {
	p.cmd.Wait()
	close(p.over)
}

// startOn starts a command from a thread that has the cores' affinity, which the child inherits before it runs: so that
// a runtime that counts its cores at start counts these.
func startOn(cores []int, cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	if err := setCores(0, cores); err != nil {
		return err
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// maxCores is how many cores a unix.CPUSet can name.
const maxCores = 1024

// usableCores are the cores that this thread may run on, in order.
func usableCores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	var all []int
	for i := range maxCores {
		if set.IsSet(i) {
			all = append(all, i)
		}
	}
	return all, nil
}

func setCores(thread int, cores []int) error {
	var set unix.CPUSet
	for _, c := range cores {
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(thread, &set); err != nil {
		return fmt.Errorf("sched_setaffinity: %w", err)
	}
	return nil
}

// pinSelf moves every thread of this process to the cores; threads that come later inherit it.
func pinSelf(cores []int) error {
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, path := range threads {
		id, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		if err := setCores(id, cores); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// stop asks the child to end, and kills what is left of its process group after two seconds.
func (p *process) stop() {
	if !p.ended() {
		syscall.Kill(p.cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-p.over:
		case <-time.After(2 * time.Second):
		}
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.over
}

// ended says whether the child is gone.
func (p *process) ended() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

// complaint is the end of what the child wrote to its log.
func (p *process) complaint() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	b = bytes.TrimSpace(b)
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return string(b)
}

// tree is the child and all of its descendants.
func (p *process) tree() ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it ended meanwhile
		}
		if s, err := parseStat(string(b)); err == nil {
			children[s.Parent] = append(children[s.Parent], s.ID)
		}
	}
	pids := []int{p.cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids, nil
}

// cpuOf is the user and system time that the processes have used. The kernel's CPU clock of a process counts
// nanoseconds; /proc/PID/stat, the fallback, shows the same sum in hundredths of a second.
func cpuOf(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		const schedClock = 2 // CPUCLOCK_SCHED; see clock_getcpuclockid(3) for how a pid makes a clock's id
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err == nil {
			sum += time.Duration(t.Nano())
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, fmt.Errorf("CPU time: %w", err)
		}
		s, err := parseStat(string(b))
		if err != nil {
			return 0, fmt.Errorf("CPU time: %w", err)
		}
		sum += s.CPU
	}
	return sum, nil
}

// writesOf is how many times the process has called write or its relatives.
func writesOf(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, fmt.Errorf("writes: %w", err)
	}
	return parseWrites(string(b))
}

// memoryOf is the resident memory of the processes in bytes.
func memoryOf(pids []int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, fmt.Errorf("memory: %w", err)
		}
		fields := strings.Fields(string(b))
		if len(fields) < 2 {
			return 0, fmt.Errorf("memory: bad statm %q", b)
		}
		pages, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("memory: %w", err)
		}
		sum += pages * int64(os.Getpagesize())
	}
	return sum, nil
}
