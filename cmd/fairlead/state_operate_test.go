package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/internal/statefile"
)

// What an operator has said goes from one keeper to the next, in a file and in a
// hand-over, and so on.
func TestWhatAnOperatorSaidGoesFromKeeperToKeeper(t *testing.T) {
	cfg := twoOrigins(t, euThenUS)
	path := filepath.Join(t.TempDir(), "state")
	k := newKeeper(path, zap.NewNop())
	group := func(k *keeper) *failover.Group {
		g := failover.NewGroup(failover.GroupConfig{Name: "shop", PointerConfig: failover.PointerConfig{HasSecondary: true}, Initial: k.initial(cfg, &cfg.Groups[0]), OnChange: k.changed})
		k.setGroups(cfg, []*failover.Group{g})
		return g
	}
	shop := group(k)
	s, err := shop.PinIf(0, failover.RoleSecondary, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	k.notePin("shop", pinNote{"us", s.PinUntil, "new disk", "token 192.0.2.1"})
	k.setDrained([]string{"eu"})
	for i := range 3 {
		if i%2 == 0 {
			k = newKeeperFrom(k.encode(k.present()), "", zap.NewNop())
		} else {
			k.setPath(path)
			if !k.save() {
				t.Fatal("it can't be saved")
			}
			k = newKeeper(path, zap.NewNop())
		}
		k.load()
		at := group(k).Pointer()
		if at.Target != failover.RoleSecondary || at.Pin != failover.RoleSecondary || at.Generation != s.Generation || !at.Primary.Down {
			t.Errorf("life %d: %+v", i, at)
		}
		if reason, by := k.pinned("shop", "us", at.PinUntil); reason != "new disk" || by != "token 192.0.2.1" {
			t.Errorf("life %d: pinned for %q by %q", i, reason, by)
		}
		if out := k.drained(); !reflect.DeepEqual(out, []string{"eu"}) {
			t.Errorf("life %d: drained are %q", i, out)
		}
	}
	if reason, by := k.pinned("shop", "us", time.Time{}); reason != "" || by != "" {
		t.Errorf("another pin has %q by %q", reason, by)
	}
}

// A later version may say more of a pin, a group, and the whole.
func TestAStateOfALaterVersionKeepsWhatIsKnown(t *testing.T) {
	body := fmt.Sprintf(`{"saved":%q,"weights":{"eu":3},"drained":["eu"],"drains":[{"origin":"eu","by":"bob"}],"groups":[{"name":"shop","primary":"eu",
"secondary":"us","target":"us","generation":7,"reason":"pin","hold":"1m0s","pin":"us","pin_reason":"new disk","pin_by":"bob","pin_ticket":42,
"primary_verdict":{"down":false,"score":0.5}}]}`, time.Now().UTC().Format(time.RFC3339))
	counted := fmt.Sprintf("1 %d", len(body))
	text := fmt.Sprintf("fairlead-state %s %x\n%s", counted, sha256.Sum256([]byte(counted+"\n"+body)), body)
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := statefile.Load(path); err != nil {
		t.Fatal(err)
	}
	cfg := twoOrigins(t, euThenUS)
	k, logs := observed(path)
	k.load()
	if logs.FilterMessage("state loaded").Len() != 1 {
		t.Fatalf("the log says %v", logs.All())
	}
	s := k.initial(cfg, &cfg.Groups[0])
	if s.Target != failover.RoleSecondary || s.Generation != 7 || s.Pin != failover.RoleSecondary || !s.Primary.Down || s.Secondary.Down {
		t.Errorf("restored: %+v", s)
	}
	if reason, by := k.pinned("shop", "us", time.Time{}); reason != "new disk" || by != "bob" {
		t.Errorf("pinned for %q by %q", reason, by)
	}
	if out := k.drained(); !reflect.DeepEqual(out, []string{"eu"}) {
		t.Errorf("drained are %q", out)
	}
}
