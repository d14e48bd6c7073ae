package suite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fairlead/fairlead/internal/chaos"
)

// follower is a second proxy in front of the same origins, whose group goes along
// with the first one's pointer over DNS.
type follower struct {
	proxy   *process
	journal *journal
	run     *chaos.Run
}

// followed are a nameserver for the pointer of the group shop, and its name there.
const (
	nameserver = "[nameserver]\nlisten = \"127.0.0.1:0\"\nzone = \"failover.example.\"\nns = [\"ns1.failover.example.\"]\n"
	shopName   = "shop.failover.example."
	named      = "dns_name = \"shop\"\nttl = \"1s\"\n"
)

// StartFollower starts a second proxy that has no checks of its own, and a load
// through it, and waits until it follows.
func StartFollower(l chaos.Load) Action {
	return Action{"a follower begins", func(s *Stage) error {
		f := &follower{journal: &journal{}}
		file := filepath.Join(s.dir, "follower.toml")
		if err := os.WriteFile(file, []byte(f.toml(s)), 0o600); err != nil {
			return err
		}
		program, err := binary()
		if err != nil {
			return err
		}
		if f.proxy, err = startProcess(program, file, "", nil, f.journal); err != nil {
			return err
		}
		s.later(f.proxy.kill)
		s.follower = f
		if err := s.await(patience, "the follower to follow", func() bool { return len(f.journal.find("following", nil)) > 0 }); err != nil {
			return fmt.Errorf("%w\n%s", err, f.proxy.tail())
		}
		l.Address = last(f.journal.find("listening", nil)).Address
		f.run = l.Start(context.Background())
		s.runs = append(s.runs, f.run)
		return nil
	}}
}

func (f *follower) toml(s *Stage) string {
	var b strings.Builder
	b.WriteString("[server]\nlisten = [\"127.0.0.1:0\"]\n[log]\noutput = \"stdout\"\n")
	for _, o := range s.order {
		fmt.Fprintf(&b, "[origins.%s]\nurl = %q\n%s", o.Name(), s.reach(o), quick["origin"])
	}
	fmt.Fprintf(&b, "[groups.shop]\nprimary = \"eu\"\nsecondary = \"us\"\npark_timeout = \"4s\"\nfollow = \"dns://%s/%s\"\n", s.dns, shopName)
	b.WriteString("[[routes]]\nname = \"shop\"\nmatch = \"/\"\ngroup = \"shop\"\ntimeout = \"5s\"\nbulkhead.max_concurrent = 200\n")
	return b.String()
}

// FollowerAt waits until the follower's pointer is at an origin.
func FollowerAt(origin string) Action {
	return Action{"the follower's pointer is at " + origin, func(s *Stage) error {
		return s.await(patience, "the follower at "+origin, func() bool { return last(s.follower.journal.flips()).To == origin })
	}}
}

// EndFollower stops the load through the follower and drains it. Its pointer must
// have moved to these origins, in this order, each time because it follows, and
// its accounts must come out even.
func EndFollower(moves ...string) Action {
	return Action{fmt.Sprintf("the follower went to %v", moves), func(s *Stage) error {
		f := s.follower
		sent := f.run.Stop().Len()
		if err := f.proxy.drain(); err != nil {
			return err
		}
		var went []string
		for _, flip := range f.journal.flips() {
			if flip.Reason != "follow" {
				return fmt.Errorf("it moved to %s because of %s", flip.To, flip.Reason)
			}
			went = append(went, flip.To)
		}
		if fmt.Sprint(went) != fmt.Sprint(moves) {
			return fmt.Errorf("it went to %v", went)
		}
		t := last(f.journal.find("route totals", nil))
		if t.Accepted != sent || t.Accepted != t.Served+t.FailedOver+t.Shed+t.Failed+t.Left {
			return fmt.Errorf("%w: of %d sent: %s", errAccount, sent, t.Raw)
		}
		return nil
	}}
}
