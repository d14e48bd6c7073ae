package admin

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// TestAJournalIsTheEndOfAnEndlessList compares it with a slice that forgets
// nothing.
func TestAJournalIsTheEndOfAnEndlessList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		started := time.UnixMilli(rapid.Int64Range(-5, 1<<40).Draw(t, "started"))
		j := NewJournal(started)
		first := uint64(max(started.UnixMilli(), 0)) + 1
		var all []adminapi.Event
		for range rapid.IntRange(0, 4).Draw(t, "rounds") {
			for range rapid.IntRange(0, 1200).Draw(t, "events") {
				e := j.Add(adminapi.Event{Kind: []string{"flip", "verdict"}[len(all)%2], Text: fmt.Sprint(len(all))})
				if e.Seq != first+uint64(len(all)) || e.Time.IsZero() {
					t.Fatalf("event %d has seq %d and time %v", len(all), e.Seq, e.Time)
				}
				all = append(all, e)
			}
			checkJournal(t, j, first, all)
		}
	})
}

func checkJournal(t *rapid.T, j *Journal, first uint64, all []adminapi.Event) {
	next := first + uint64(len(all))
	if j.Last() != next-1 {
		t.Fatalf("last is %d, not %d", j.Last(), next-1)
	}
	kept := all[max(0, len(all)-Kept):]
	limit := rapid.IntRange(-1, 1100).Draw(t, "limit")
	seq := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64Range(first-1, next+2), rapid.Uint64()).Draw(t, "seq")

	want, lost := kept, uint64(len(all)-len(kept))
	if seq >= first && seq < next {
		behind := all[seq-first+1:]
		want = behind[max(0, len(behind)-Kept):]
		lost = uint64(len(behind) - len(want))
	}
	want = want[:min(len(want), max(limit, 0))]
	have, haveLost := j.Since(seq, limit)
	if !slices.EqualFunc(have, want, sameEvent) || haveLost != lost {
		t.Fatalf("Since(%d, %d): %d events and %d lost, want %d and %d", seq, limit, len(have), haveLost, len(want), lost)
	}

	latest := slices.Clone(kept)
	latest = slices.DeleteFunc(latest, func(e adminapi.Event) bool { return e.Kind != "flip" })
	slices.Reverse(latest)
	latest = latest[:min(len(latest), max(limit, 0))]
	if have := j.Latest(limit, func(e *adminapi.Event) bool { return e.Kind == "flip" }); !slices.EqualFunc(have, latest, sameEvent) {
		t.Fatalf("Latest(%d): %d events, want %d", limit, len(have), len(latest))
	}
}

func sameEvent(a, b adminapi.Event) bool { return a.Seq == b.Seq && a.Text == b.Text }

func TestSeqGrowsOverARestart(t *testing.T) {
	before := NewJournal(time.UnixMilli(5000))
	var last adminapi.Event
	for range 500 {
		last = before.Add(adminapi.Event{})
	}
	after := NewJournal(time.UnixMilli(7000))
	after.Add(adminapi.Event{Text: "start"})
	events, lost := after.Since(last.Seq, 10)
	if len(events) != 1 || lost != 0 || events[0].Seq <= last.Seq {
		t.Errorf("who resumes from the process before with %d gets %v and %d lost", last.Seq, events, lost)
	}
}

// TestAddNeverWaitsForAReader has watchers that never receive.
func TestAddNeverWaitsForAReader(t *testing.T) {
	j := NewJournal(time.Unix(0, 0))
	for range 100 {
		_, stop := j.Watch()
		defer stop()
	}
	var adding sync.WaitGroup
	for range 4 {
		adding.Go(func() {
			for range 2000 {
				j.Add(adminapi.Event{})
			}
		})
	}
	adding.Wait()
	if j.Last() != 8000 {
		t.Errorf("the last of 8000 events is %d", j.Last())
	}
}

func TestAWatcherIsWokenByWhatCameBeforeItWaited(t *testing.T) {
	j := NewJournal(time.Unix(0, 0))
	woken, stop := j.Watch()
	defer stop()
	j.Add(adminapi.Event{})
	j.Add(adminapi.Event{})
	<-woken
	select {
	case <-woken:
		t.Error("two events are more than one wake")
	default:
	}
}

func BenchmarkAdd(b *testing.B) {
	j := NewJournal(time.Unix(0, 0))
	e := adminapi.Event{Time: time.Unix(1, 0), Kind: "flip"}
	b.ReportAllocs()
	for b.Loop() {
		j.Add(e)
	}
}
