package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
)

// logged returns what is written to a log of these settings.
func logged(t *testing.T, c config.Log, write func(*logs)) string {
	t.Helper()
	var out, other bytes.Buffer
	c.Output = "stdout"
	l, err := openLogs(c, &out, &other)
	if err != nil {
		t.Fatal(err)
	}
	write(l)
	l.close()
	if other.Len() > 0 {
		t.Errorf("stderr got %q", &other)
	}
	return out.String()
}

func TestJSONLinesHaveTimeLevelAndMsg(t *testing.T) {
	got := logged(t, config.Log{Level: "info", Format: "json"}, func(l *logs) {
		l.events.Warn("verdict", zap.String("origin", "eu\n{\"forged\":1}"), zap.Duration("took", 1500*time.Millisecond))
	})
	var fields line
	if err := json.Unmarshal([]byte(got), &fields); err != nil || strings.Count(got, "\n") != 1 {
		t.Fatalf("not one line of JSON: %v: %q", err, got)
	}
	if !fields.has(line{"level": "warn", "msg": "verdict", "origin": "eu\n{\"forged\":1}", "took": "1.5s"}) {
		t.Errorf("got %v", fields)
	}
	if stamp := fields["time"].(string); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)$`).MatchString(stamp) {
		t.Errorf("time is %q, want RFC 3339 with milliseconds", stamp)
	}
}

func TestConsoleLinesStayOneLineEach(t *testing.T) {
	got := logged(t, config.Log{Level: "info", Format: "console"}, func(l *logs) {
		l.events.Info("verdict", zap.String("origin", "eu\nforged\x1b[2J"))
	})
	if !strings.HasSuffix(got, `  info  verdict  {"origin": "eu\nforged\u001b[2J"}`+"\n") {
		t.Errorf("got %q", got)
	}
}

func TestTheLevelGovernsEvents(t *testing.T) {
	got := logged(t, config.Log{Level: "warn", Format: "json"}, func(l *logs) {
		l.events.Debug("d")
		l.events.Info("i")
		l.events.Warn("w")
		l.events.Error("e")
	})
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, `"w"`) || !strings.Contains(got, `"e"`) {
		t.Errorf("got %s, want the warning and the error", got)
	}
}

func TestALogFileIsAppendedToAndHiddenFromOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fairlead.log")
	for range 2 {
		l, err := openLogs(config.Log{Level: "info", Format: "json", Output: file}, io.Discard, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		l.events.Info("once")
		l.close()
	}
	got, err := os.ReadFile(file)
	if err != nil || strings.Count(string(got), "once") != 2 {
		t.Errorf("the file holds %q (%v), want both lines", got, err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&^0o640 != 0 {
		t.Errorf("mode is %o, want 640 or less", mode)
	}
}

// stuckWriter takes nothing until it is released.
type stuckWriter struct {
	released chan struct{}
	bytes.Buffer
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	<-w.released
	return w.Buffer.Write(p)
}

func TestDroppedLinesAreReportedOnceWithTheirNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuckWriter{released: make(chan struct{})}
		l, err := openLogs(config.Log{Level: "info", Format: "json", Output: "stdout"}, out, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		big := zap.String("big", strings.Repeat("x", 1<<20))
		for range 100 {
			l.events.Info("fill", big)
		}
		dropped := l.writer.Dropped()
		if dropped == 0 {
			t.Fatal("nothing was dropped")
		}
		close(out.released)
		time.Sleep(3 * dropReportEvery) // the bubble's clock
		l.close()
		var report line
		log := out.String()
		last := strings.TrimSuffix(log, "\n")
		if err := json.Unmarshal([]byte(last[strings.LastIndex(last, "\n")+1:]), &report); err != nil {
			t.Fatal(err)
		}
		if want := (line{"level": "error", "msg": "log lines dropped", "lines": float64(dropped), "total": float64(dropped)}); !report.has(want) {
			t.Errorf("the report is %v, want %v", report, want)
		}
		if n := strings.Count(log, "log lines dropped"); n != 1 {
			t.Errorf("%d reports, want one", n)
		}
	})
}

func TestALogThatFailsDoesNotHoldUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := openLogs(config.Log{Level: "info", Format: "json", Output: "stdout"}, brokenWriter{}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		l.events.Info("lost")
		start := time.Now()
		l.close()
		if took := time.Since(start); took > 2*flushTimeout {
			t.Errorf("close took %v", took)
		}
	})
}

func TestTheJournalHasALineForWhateverHappens(t *testing.T) {
	shop := &config.Group{Name: "shop", Primary: "eu", Secondary: "us"}
	primary := failover.State{Target: failover.RolePrimary, Generation: 3, Reason: failover.ReasonFailback}
	secondary := failover.State{Target: failover.RoleSecondary, Generation: 2, Reason: failover.ReasonPrimaryDown, Hold: time.Minute}
	none := failover.State{Generation: 3, Reason: failover.ReasonBothDown}
	tests := []struct {
		name string
		give func(journal)
		want line
	}{
		{
			name: "flip away", give: func(j journal) { j.flip(shop, primary, secondary) },
			want: line{"level": "warn", "msg": "pointer moved", "group": "shop", "from": "eu", "to": "us", "target": "secondary", "reason": "primary_down", "generation": 2.0, "hold": "1m0s"},
		},
		{
			name: "failback", give: func(j journal) { j.flip(shop, secondary, primary) },
			want: line{"level": "info", "msg": "pointer moved", "from": "us", "to": "eu", "target": "primary", "reason": "failback"},
		},
		{
			name: "to neither", give: func(j journal) { j.flip(shop, secondary, none) },
			want: line{"level": "error", "msg": "pointer moved", "from": "us", "to": "none", "target": "none", "reason": "both_down"},
		},
		{
			name: "probe", give: func(j journal) {
				j.health(health.Event{Kind: health.ProbeDone, Origin: "eu", Result: health.Result{Status: 200, Took: time.Second}})
			},
			want: line{"level": "debug", "msg": "probe", "origin": "eu", "status": 200.0, "took": "1s", "dropped": false},
		},
		{
			name: "down", give: func(j journal) {
				j.health(health.Event{Kind: health.VerdictChanged, Origin: "eu", From: health.Healthy, To: health.Down, Result: health.Result{Err: health.ErrStatus}})
			},
			want: line{"level": "warn", "msg": "verdict", "origin": "eu", "from": "healthy", "to": "down", "error": health.ErrStatus.Error()},
		},
		{
			name: "healthy", give: func(j journal) {
				j.health(health.Event{Kind: health.VerdictChanged, Origin: "eu", From: health.Down, To: health.Healthy})
			},
			want: line{"level": "info", "msg": "verdict", "from": "down", "to": "healthy"},
		},
		{
			name: "pause", give: func(j journal) {
				j.health(health.Event{Kind: health.PauseDetected, Origin: "eu", Pause: time.Minute})
			},
			want: line{"level": "warn", "msg": "pause of this process", "origin": "eu", "pause": "1m0s"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := logged(t, config.Log{Level: "debug", Format: "json"}, func(l *logs) { tt.give(newJournal(l.events)) })
			var got line
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("not one line of JSON: %v: %q", err, out)
			}
			if !got.has(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTenThousandRoutesOverflowNoLog(t *testing.T) {
	cfg := &config.Config{Groups: []config.Group{{Name: "shop", Primary: "eu"}}, Origins: []config.Origin{{Name: "eu"}}}
	for range 10_000 {
		cfg.Routes = append(cfg.Routes, config.Route{
			Name: strings.Repeat("n", 100), Match: strings.Repeat("m", 400), Group: "shop", Breaker: config.Breaker{ConsecutiveFailures: 1},
		})
	}
	out := logged(t, config.Log{Level: "info", Format: "json"}, func(l *logs) { newJournal(l.events).started(cfg, "fairlead.toml", nil, nil) })
	if n := strings.Count(out, `"msg":"route"`); n != len(cfg.Routes) {
		t.Errorf("%d routes in the log, want %d", n, len(cfg.Routes))
	}
}
