package health

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLastSixtyProbesAreRememberedInOrder(t *testing.T) {
	inWorld(t, usual, script("SSSF"), func(w *world) {
		if got := w.Probes(); len(got) != 0 {
			t.Errorf("%d probes before the first one", len(got))
		}
		if since := w.Since(); !since.Equal(w.began) {
			t.Errorf("since %v, want the start", since)
		}
		for _, after := range []time.Duration{10 * time.Second, 5 * time.Minute} {
			time.Sleep(after)
			synctest.Wait()
			var want []Result
			for _, e := range w.seen(ProbeDone) {
				want = append(want, e.Result)
			}
			if all := len(want); all < 5 {
				t.Fatalf("%d probes after %v prove nothing", all, after)
			}
			want = want[max(len(want)-60, 0):]
			got := w.Probes()
			if len(got) != len(want) {
				t.Fatalf("%d probes are remembered after %v, want %d", len(got), after, len(want))
			}
			for i := range got {
				if got[i] != want[i] {
					t.Errorf("probe %d is %+v, want %+v", i, got[i], want[i])
				}
			}
			if since := w.Since(); w.Verdict() != Down || since.Sub(w.began) != w.turned(Down) {
				t.Errorf("%v since %v, want down since %v", w.Verdict(), since.Sub(w.began), w.turned(Down))
			}
		}
	})
}

func TestAProbeThatWasDroppedIsRememberedAsSuch(t *testing.T) {
	inWorld(t, usual, func(w *world, n int) conduct {
		if n == 1 {
			w.stall(10 * time.Second)
			return refuses
		}
		return answers
	}, func(w *world) {
		time.Sleep(5 * time.Second)
		synctest.Wait()
		got := w.Probes()
		if len(got) < 3 || got[0].Dropped || !got[1].Dropped || got[1].Err == nil || got[2].Dropped {
			t.Errorf("got %+v, want the second probe dropped, and it alone", got)
		}
		if w.Verdict() != Healthy || !w.Since().After(w.began) {
			t.Errorf("%v since %v", w.Verdict(), w.Since().Sub(w.began))
		}
	})
}
