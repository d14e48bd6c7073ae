package asyncwriter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A disk is an underlying writer that can be full, slow or stuck.
type disk struct {
	mu    sync.Mutex
	data  bytes.Buffer
	room  int           // bytes it takes before it is full
	stuck chan struct{} // Write waits for this, if not nil
	tries int
}

var errFull = errors.New("no space left")

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	stuck := d.stuck
	d.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries++
	n := min(len(p), d.room)
	d.room -= n
	d.data.Write(p[:n])
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func (d *disk) set(f func(*disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func (d *disk) state() (text string, tries int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.data.String(), d.tries
}

const huge = 1 << 30

func write(t *testing.T, w *Writer, lines ...string) {
	t.Helper()
	for _, s := range lines {
		if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("Write(%q) = %d, %v", s, n, err)
		}
	}
}

func closeNow(t *testing.T, w *Writer) {
	t.Helper()
	if err := w.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func wantText(t *testing.T, d *disk, want string) {
	t.Helper()
	if got, _ := d.state(); got != want {
		t.Errorf("written:\n%q\nwant:\n%q", got, want)
	}
}

func wantDropped(t *testing.T, w *Writer, want uint64) {
	t.Helper()
	if got := w.Dropped(); got != want {
		t.Errorf("%d lines dropped, want %d", got, want)
	}
}

func TestLinesShareAWriteWithinTheFlushInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: huge}
		w := New(d, Config{FlushInterval: 10 * time.Millisecond})
		write(t, w, "one\n", "two\n")
		time.Sleep(9 * time.Millisecond)
		synctest.Wait()
		wantText(t, d, "")
		write(t, w, "three\n")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		wantText(t, d, "one\ntwo\nthree\n")
		write(t, w, "four\n")
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		wantText(t, d, "one\ntwo\nthree\nfour\n")
		if _, tries := d.state(); tries != 2 {
			t.Errorf("%d writes, want 2", tries)
		}
		closeNow(t, w)
		wantDropped(t, w, 0)
	})
}

func TestAHalfFullBufferIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: huge}
		w := New(d, Config{MaxBytes: 2 * 20, FlushInterval: time.Hour})
		write(t, w, "0123456789\n")
		synctest.Wait()
		wantText(t, d, "0123456789\n")
		closeNow(t, w)
	})
}

func TestWriteNeverBlocksAndDropsWholeLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		d := &disk{room: huge, stuck: stuck}
		w := New(d, Config{MaxBytes: 2 * 10})
		write(t, w, "first\n") // more than half of ten: written at once
		synctest.Wait()
		start := time.Now()
		write(t, w, "aaaa\n", "bbbbbb\n", "c\nd\n", "e\n") // 7 don't fit beside 5, nor 2 beside 9
		if time.Since(start) != 0 {
			t.Error("Write waited for the disk")
		}
		wantDropped(t, w, 2)
		close(stuck)
		closeNow(t, w)
		wantText(t, d, "first\naaaa\nc\nd\n")
		wantDropped(t, w, 2)
	})
}

func TestALineLongerThanTheBufferIsDropped(t *testing.T) {
	d := &disk{room: huge}
	w := New(d, Config{MaxBytes: 2 * 10})
	write(t, w, "0123456789\n", "0123456\n", strings.Repeat("x", 100))
	closeNow(t, w)
	wantText(t, d, "0123456\n")
	wantDropped(t, w, 2)
}

func TestAFullDiskLeavesNoTornLineWhenItRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 6}
		w := New(d, Config{MaxBytes: 2 * 16, FlushInterval: time.Millisecond})
		write(t, w, "one\n", "two\n", "three\n")
		time.Sleep(time.Minute)
		synctest.Wait()
		wantText(t, d, "one\ntw")
		if _, tries := d.state(); tries > 70 {
			t.Errorf("%d tries in a minute, want about one a second", tries)
		}
		write(t, w, "four\n", "five\n", "six\n", "seven\n")
		wantDropped(t, w, 1)

		d.set(func(d *disk) { d.room = huge })
		time.Sleep(maxBackoff + time.Millisecond)
		synctest.Wait()
		wantText(t, d, "one\ntwo\nthree\nfour\nfive\nsix\n")
		write(t, w, "eight\n")
		closeNow(t, w)
		wantText(t, d, "one\ntwo\nthree\nfour\nfive\nsix\neight\n")
		wantDropped(t, w, 1)
	})
}

func TestSyncWaitsForWhatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: huge}
		w := New(d, Config{FlushInterval: time.Hour})
		if err := w.Sync(); err != nil {
			t.Errorf("Sync of nothing: %v", err)
		}
		start := time.Now()
		write(t, w, "one\n", "two\n")
		if err := w.Sync(); err != nil {
			t.Errorf("Sync: %v", err)
		}
		if time.Since(start) != 0 {
			t.Error("Sync waited for the flush interval")
		}
		wantText(t, d, "one\ntwo\n")
		closeNow(t, w)
	})
}

func TestSyncGivesUpOnASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		d := &disk{room: huge, stuck: stuck}
		w := New(d, Config{})
		write(t, w, "one\n")
		start := time.Now()
		if err := w.Sync(); err != ErrSyncTimeout || time.Since(start) != syncTimeout {
			t.Errorf("Sync: %v after %v, want ErrSyncTimeout after %v", err, time.Since(start), syncTimeout)
		}
		close(stuck)
		closeNow(t, w)
		wantText(t, d, "one\n")
	})
}

func TestCloseWritesTheRestAndRefusesMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: huge}
		w := New(d, Config{FlushInterval: time.Hour})
		write(t, w, "one\n", "two\n")
		closeNow(t, w)
		wantText(t, d, "one\ntwo\n")
		write(t, w, "three\n")
		wantDropped(t, w, 1)
		closeNow(t, w)
		if err := w.Sync(); err != nil {
			t.Errorf("Sync after Close: %v", err)
		}
		wantText(t, d, "one\ntwo\n")
	})
}

func TestCloseWaitsForAFullDiskToRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 5}
		w := New(d, Config{})
		write(t, w, "one\n", "two\n")
		time.Sleep(time.Minute) // the pauses have grown long
		time.AfterFunc(500*time.Millisecond, func() { d.set(func(d *disk) { d.room = huge }) })
		start := time.Now()
		closeNow(t, w)
		wantText(t, d, "one\ntwo\n")
		if waited := time.Since(start); waited > 500*time.Millisecond+minBackoff {
			t.Errorf("Close took %v, want it within %v of the recovery", waited, minBackoff)
		}
	})
}

func TestCloseGivesUpOnAFullDiskWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 5}
		w := New(d, Config{MaxBytes: 2 * 8, FlushInterval: time.Millisecond})
		write(t, w, "one\n", "two\n")
		time.Sleep(time.Second)
		write(t, w, "three\n")

		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want the deadline", err)
		}
		synctest.Wait()
		wantText(t, d, "one\nt")
		wantDropped(t, w, 2) // the torn line is lost too
		closeNow(t, w)
	})
}

func TestCloseGivesUpOnAStuckDiskWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		d := &disk{room: huge, stuck: stuck}
		w := New(d, Config{FlushInterval: time.Millisecond})
		write(t, w, "one\n")
		time.Sleep(time.Second)
		write(t, w, "two\n")

		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		for range 2 {
			if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Close: %v, want the deadline", err)
			}
		}
		wantDropped(t, w, 1) // what becomes of the first line nobody knows yet
		close(stuck)
		closeNow(t, w)
		wantText(t, d, "one\n")
		wantDropped(t, w, 1)
	})
}

// Whatever the disk does, what is written is a sequence of whole lines, those
// accepted, in order; and accepted and dropped make all.
func TestAcceptedAndDroppedMakeAll(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rooms := rapid.SliceOfN(rapid.IntRange(0, 60), 1, 20).Draw(rt, "room gained at each step")
		lines := rapid.IntRange(0, 8).Draw(rt, "lines at each step")
		maxBytes := rapid.IntRange(0, 200).Draw(rt, "MaxBytes")
		var err error
		synctest.Test(t, func(t *testing.T) { err = story(maxBytes, lines, rooms) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func story(maxBytes, lines int, rooms []int) error {
	d := &disk{}
	w := New(d, Config{MaxBytes: 1 + maxBytes})
	var want strings.Builder
	for i, room := range rooms {
		d.set(func(d *disk) { d.room += room })
		for j := range lines {
			line := fmt.Sprintf("line %d.%d\n", i, j)
			before := w.Dropped()
			_, _ = io.WriteString(w, line)
			if w.Dropped() == before {
				want.WriteString(line)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.set(func(d *disk) { d.room = huge })
	if err := w.Close(context.Background()); err != nil {
		return err
	}
	if got, _ := d.state(); got != want.String() {
		return fmt.Errorf("written %q, accepted %q", got, want.String())
	}
	written, dropped := strings.Count(want.String(), "\n"), int(w.Dropped())
	if written+dropped != lines*len(rooms) {
		return fmt.Errorf("%d written and %d dropped of %d", written, dropped, lines*len(rooms))
	}
	return nil
}

func TestWritersOnManyGoroutinesKeepTheirLinesWhole(t *testing.T) {
	d := &disk{room: huge}
	w := New(d, Config{MaxBytes: 4096})
	var wg sync.WaitGroup
	const writers, each = 8, 500
	for i := range writers {
		wg.Go(func() {
			line := strings.Repeat(string(rune('a'+i)), 30+i) + "\n"
			for range each {
				_, _ = io.WriteString(w, line)
			}
			_ = w.Sync()
		})
	}
	wg.Wait()
	closeNow(t, w)
	text, _ := d.state()
	lines := strings.SplitAfter(text, "\n")
	for _, line := range lines[:len(lines)-1] {
		i := int(line[0] - 'a')
		if line != strings.Repeat(line[:1], 30+i)+"\n" {
			t.Fatalf("torn line %q", line)
		}
	}
	if got := len(lines) - 1 + int(w.Dropped()); got != writers*each {
		t.Errorf("%d lines written and dropped, want %d", got, writers*each)
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	w := New(io.Discard, Config{})
	line := []byte(strings.Repeat("x", 400) + "\n")
	if n := testing.AllocsPerRun(100, func() { _, _ = w.Write(line) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	closeNow(t, w)
}

func BenchmarkWrite(b *testing.B) {
	line := []byte(strings.Repeat("x", 400) + "\n")
	w := New(io.Discard, Config{})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.Write(line)
	}
	_ = w.Close(context.Background())
	b.ReportMetric(float64(w.Dropped())/float64(b.N), "dropped/op")
}
