package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
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
	events *zap.Logger // as log.level allows
	access *zap.Logger // nil: access records are off. The level doesn't govern them.
	file   *os.File    // nil: stderr or stdout, which are not ours to close

	writer   *asyncwriter.Writer
	reported uint64 // drops that an event told of; the reporter's
	stop     chan struct{}
	reporter sync.WaitGroup
}

// openLogs opens the log's output and starts the goroutine that reports
// dropped lines. The caller closes it.
func openLogs(c config.Log, stdout, stderr io.Writer) (*logs, error) {
	l := &logs{stop: make(chan struct{})}
	out := stderr
	switch c.Output {
	case "stderr":
	case "stdout":
		out = stdout
	default:
		// Appending, so that a rotation that copies and truncates works.
		f, err := os.OpenFile(c.Output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, fmt.Errorf("open the log: %w", err)
		}
		l.file, out = f, f
	}
	level, err := zapcore.ParseLevel(c.Level)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	l.writer = asyncwriter.New(out, asyncwriter.Config{})
	core := zapcore.NewCore(newEncoder(c.Format), l.writer, level)
	l.events = zap.New(core, zap.ErrorOutput(zapcore.Lock(zapcore.AddSync(stderr))))
	if c.Access {
		l.access = l.events
	}
	l.reporter.Go(l.reportDrops)
	return l, nil
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
	_ = l.writer.Close(ctx) // whoever would read of it reads this log
	if l.file != nil {
		_ = l.file.Close()
	}
}
