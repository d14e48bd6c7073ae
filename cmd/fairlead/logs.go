package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/internal/asyncwriter"
)

const (
	// timeLayout is RFC 3339 with milliseconds.
	timeLayout = "2006-01-02T15:04:05.000Z07:00"
	// dropReportEvery is how often dropped lines are reported, if there are any.
	dropReportEvery = 10 * time.Second
	// flushTimeout bounds the wait for a stuck log at the end.
	flushTimeout = 2 * time.Second
)

// logs is where the log's lines go. Nobody who writes one ever waits for the
// disk: what it doesn't take in time is dropped, counted and reported.
type logs struct {
	events *zap.Logger // as log.level allows; access records, whatever it is

	stdout, stderr io.Writer
	core           *swapCore
	output         *output
	writer         *asyncwriter.Writer
	reported       uint64 // drops that an event told of; the reporter's
	stop           chan struct{}
	reporter       sync.WaitGroup
}

// openLogs opens the log's output and starts the goroutine that reports
// dropped lines. The caller closes it.
func openLogs(c config.Log, stdout, stderr io.Writer) (*logs, error) {
	l := &logs{stdout: stdout, stderr: stderr, core: &swapCore{}, output: &output{}, stop: make(chan struct{})}
	l.writer = asyncwriter.New(l.output, asyncwriter.Config{})
	commit, _, err := l.prepare(c)
	if err != nil {
		_ = l.writer.Close(context.Background()) // it holds nothing
		return nil, err
	}
	commit()
	l.events = zap.New(l.core, zap.ErrorOutput(zapcore.Lock(zapcore.AddSync(stderr))))
	l.reporter.Go(l.reportDrops)
	return l, nil
}

// prepare opens what c asks for. A file is opened anew even if it is the same
// one: it may have been moved away, to be rotated. One of commit and abort must
// be called.
func (l *logs) prepare(c config.Log) (commit, abort func(), err error) {
	level, err := zapcore.ParseLevel(c.Level)
	if err != nil {
		return nil, nil, fmt.Errorf("log level: %w", err)
	}
	var file *os.File
	created := false
	out := l.stderr
	switch c.Output {
	case "stderr":
	case "stdout":
		out = l.stdout
	default:
		if file, created, err = openLog(c.Output); err != nil {
			return nil, nil, fmt.Errorf("open the log: %w", err)
		}
		out = ownFile{file}
	}
	core := zapcore.NewCore(newEncoder(c.Format), l.writer, level)
	commit = func() {
		l.output.change(out)
		l.core.swap(core)
	}
	abort = func() {
		if file != nil {
			_ = file.Close()
		}
		if created { // and nothing was written to it
			_ = os.Remove(c.Output)
		}
	}
	return commit, abort, nil
}

// openLog opens a file to append to, so that a rotation that copies and truncates
// works, too. It never waits: not for a reader, if it is a named pipe. Created
// says that there was no such file.
func openLog(path string) (file *os.File, created bool, err error) {
	const flags = os.O_APPEND | os.O_CREATE | os.O_WRONLY | withoutWaiting
	file, err = os.OpenFile(path, flags|os.O_EXCL, 0o640)
	if created = err == nil; !created {
		file, err = os.OpenFile(path, flags, 0o640)
	}
	if err != nil {
		return nil, false, explainOpen(path, err)
	}
	if err = writeAsUsual(file); err != nil {
		_ = file.Close()
		return nil, false, err
	}
	return file, created, nil
}

// swapCore is a zapcore.Core that a reload can exchange.
type swapCore struct{ now atomic.Pointer[zapcore.Core] }

func (c *swapCore) swap(core zapcore.Core) { c.now.Store(&core) }

func (c *swapCore) Enabled(l zapcore.Level) bool { return (*c.now.Load()).Enabled(l) }

// With is for loggers with fields of their own, which keep the core of now.
func (c *swapCore) With(fields []zapcore.Field) zapcore.Core { return (*c.now.Load()).With(fields) }

func (c *swapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *swapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	return (*c.now.Load()).Write(e, fields)
}

func (c *swapCore) Sync() error { return (*c.now.Load()).Sync() }

// output is what the log's one writer writes to. Another one takes its place
// between two writes, so that no line is torn; only a file that takes no more is
// left in the middle of one.
type output struct {
	next atomic.Pointer[io.Writer] // nil: none
	now  io.Writer                 // the writer's own, and so is torn
	torn bool                      // the last write has left a rest
}

// change puts w in the place of what is written to now, which is closed if it is
// a file of ours.
func (o *output) change(w io.Writer) {
	if skipped := o.next.Swap(&w); skipped != nil {
		closeFile(*skipped)
	}
}

// Write implements io.Writer. One goroutine at a time may call it.
func (o *output) Write(p []byte) (n int, err error) {
	if o.torn {
		if n, err = o.write(p); err == nil || o.next.Load() == nil {
			return n, err
		}
	}
	if next := o.next.Swap(nil); next != nil {
		closeFile(o.now)
		o.now = *next
	}
	m, err := o.write(p[n:])
	return n + m, err
}

func (o *output) write(p []byte) (int, error) {
	n, err := o.now.Write(p)
	o.torn = err != nil
	return n, err
}

// close closes the files that are ours, when nobody writes any more.
func (o *output) close() {
	closeFile(o.now)
	if next := o.next.Load(); next != nil {
		closeFile(*next)
	}
}

// ownFile is a file that is the log's to close.
type ownFile struct{ *os.File }

// closeFile closes w if it is ours.
func closeFile(w io.Writer) {
	if f, ok := w.(ownFile); ok {
		_ = f.Close() // whoever would read of it reads this log
	}
}

// newEncoder returns the encoder for log.format.
func newEncoder(format string) zapcore.Encoder {
	ec := zapcore.EncoderConfig{
		TimeKey:        "time",
		LevelKey:       "level",
		MessageKey:     "msg",
		StacktraceKey:  "stack",
		LineEnding:     "\n",
		EncodeTime:     zapcore.TimeEncoderOfLayout(timeLayout),
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
	}
	if format == "console" {
		ec.ConsoleSeparator = "  "
		return zapcore.NewConsoleEncoder(ec)
	}
	return zapcore.NewJSONEncoder(ec)
}

// reportDrops reports dropped lines once a while until close.
func (l *logs) reportDrops() {
	ticker := time.NewTicker(dropReportEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			l.reportNew()
		case <-l.stop:
			l.reportNew()
			return
		}
	}
}

// reportNew writes an event if lines were dropped since the last one. An event
// that is itself dropped makes the count grow, so the next one tells all.
func (l *logs) reportNew() {
	total := l.writer.Dropped()
	if total == l.reported {
		return
	}
	l.events.Error("log lines dropped", zap.Uint64("lines", total-l.reported), zap.Uint64("total", total))
	if l.writer.Dropped() == total {
		l.reported = total
	}
}

// close writes what is left, for flushTimeout at most. No line may be written
// to the log after it.
func (l *logs) close() {
	close(l.stop)
	l.reporter.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if l.writer.Close(ctx) == nil {
		l.output.close()
	}
}
