package resolver

import (
	"context"
	"strings"
	"time"
)

// Adopt takes over what from knows of host, if that is usable, when the
// Resolver itself knows nothing of it yet: so another one can take from's place
// without anybody losing an address that its own servers don't give. The
// answer keeps the end of its TTL, but is due at once, so the first Watch or
// Lookup looks the name up; what comes of that counts as usual. Call it before
// those.
func (r *Resolver) Adopt(from *Resolver, host string) {
	was := from.find(host)
	if was == nil {
		return
	}
	old := was.state.Load()
	if !old.usable(time.Now(), r.limits.staleMax) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	host = strings.ToLower(host)
	if r.closed || r.names[host] != nil {
		return
	}
	if e := r.addLocked(host, false); e != nil {
		e.state.Store(&state{families: old.families, addrs: old.addrs, name: old.name, until: old.until})
	}
}

// Settle waits until no lookup of host is under way, which it begins if one is
// due, or until ctx is done. Lookup then answers without waiting, for the time
// being.
func (r *Resolver) Settle(ctx context.Context, host string) {
	e, err := r.findOrAdd(host)
	if err != nil {
		return
	}
	if f := r.wake(e); f != nil {
		select {
		case <-f.ready:
		case <-ctx.Done():
		}
	}
}
