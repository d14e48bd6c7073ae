package main

import (
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/fairlead/fairlead/config"
	"github.com/fairlead/fairlead/failover"
	"github.com/fairlead/fairlead/health"
	"github.com/fairlead/fairlead/internal/admin"
	"github.com/fairlead/fairlead/internal/certs"
	"github.com/fairlead/fairlead/internal/follower"
	"github.com/fairlead/fairlead/internal/memlimit"
	"github.com/fairlead/fairlead/internal/resolver"
	"github.com/fairlead/fairlead/proxy"
)

// syncEvery is after how many lines the start waits for the log, so that ten
// thousand routes don't overflow its buffer.
const syncEvery = 1000

// journal writes the events of a run. The proxy writes its own: breaker moves,
// the drain, connections that it couldn't accept.
type journal struct {
	log   *zap.Logger
	moves *moves
}

// moves bounds what is written of addresses that change with every answer: one
// line a minute for each host, with how many changes it stands for.
type moves struct {
	mu    sync.Mutex
	hosts map[string]*move
}

type move struct {
	next   time.Time // the next line is not written before it
	unsaid int
}

// say reports whether a change is to be written now, and how many were not
// since the last one that was.
func (m *moves) say(host string, now time.Time) (unsaid int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.hosts[host]
	if h == nil {
		h = &move{}
		m.hosts[host] = h
	}
	if now.Before(h.next) {
		h.unsaid++
		return 0, false
	}
	unsaid, h.unsaid, h.next = h.unsaid, 0, now.Add(time.Minute)
	return unsaid, true
}

// started tells what runs, and what is dangerous about it. The nameserver's
// address is nil if there is none.
func (j journal) started(cfg *config.Config, file string, addresses []net.Addr, dns net.Addr) {
	j.log.Info("starting", zap.String("version", buildVersion()), zap.String("config", file))
	for i := range cfg.Origins {
		o := &cfg.Origins[i]
		fields := []zap.Field{zap.String("origin", o.Name), zap.String("url", o.URL)}
		if o.Health != nil {
			fields = append(fields, zap.String("health", o.Health.Path), zap.Duration("interval", o.Health.Interval))
		}
		j.log.Info("origin", fields...)
	}
	for i := range cfg.Groups {
		g := &cfg.Groups[i]
		fields := []zap.Field{zap.String("group", g.Name), zap.String("primary", g.Primary)}
		if g.Secondary != "" {
			fields = append(fields, zap.String("secondary", g.Secondary), zap.String("unsafe", string(g.Unsafe)),
				zap.String("failback", string(g.Failback)))
		}
		if g.DNSName != "" {
			fields = append(fields, zap.String("dns_name", g.DNSName+"."+cfg.Nameserver.Zone))
		}
		if g.Follow != nil {
			fields = append(fields, zap.Stringer("follow", g.Follow))
		}
		j.log.Info("group", fields...)
	}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		j.log.Info("route", zap.String("route", r.Name), zap.String("match", r.Match), zap.String("group", r.Group),
			zap.Int("max_concurrent", r.Bulkhead.MaxConcurrent), zap.Int("max_queue", r.Bulkhead.MaxQueue))
		if i%syncEvery == syncEvery-1 {
			_ = j.log.Sync()
		}
	}
	j.warn(cfg)
	plain := len(cfg.Server.Listen)
	for i, a := range slices.Concat(cfg.Server.Listen, cfg.Server.TLSListen) {
		if i < len(addresses) {
			j.log.Info("listening", zap.String("listen", a), zap.Stringer("address", addresses[i]), zap.Bool("tls", i >= plain))
		}
	}
	if dns != nil {
		j.log.Info("answering", zap.String("zone", cfg.Nameserver.Zone), zap.String("listen", cfg.Nameserver.Listen), zap.Stringer("address", dns))
	}
}

// administered tells where operators are served, if they are.
func (j journal) administered(a *admin.Server) {
	if a == nil {
		return
	}
	if listen, l := a.Socket(); l != nil {
		j.log.Info("admin listening", zap.String("listen", listen), zap.Stringer("address", l.Addr()))
	}
}

// memory tells which limit Go's runtime has been given. One that can't be read
// is no reason not to serve.
func (j journal) memory(l memlimit.Limit, err error) {
	switch {
	case err != nil:
		j.log.Warn("memory limit", zap.Error(err))
	case l.From != memlimit.FromNowhere:
		j.log.Info("memory limit", zap.String("from", string(l.From)), zap.Int64("bytes", l.Bytes))
	}
}

// warn tells what is dangerous about a configuration.
func (j journal) warn(cfg *config.Config) {
	for _, d := range dangers(cfg) {
		j.log.Warn("configuration", zap.String("warning", d))
	}
}

// newJournal makes the journal of a run.
func newJournal(log *zap.Logger) journal {
	return journal{log: log, moves: &moves{hosts: make(map[string]*move)}}
}

// dnsTotals tells what both ends of DNS did in the run.
func (j journal) dnsTotals(n *names) {
	if r := n.resolver.Load(); r != nil {
		for _, s := range r.Stats() {
			j.log.Info("lookup totals", zap.String("host", s.Host), zap.Uint64("lookups", s.Lookups), zap.Uint64("failures", s.Failures),
				zap.Uint64("stale_used", s.StaleUsed))
		}
	}
	if ns := n.server.Load(); ns != nil {
		s := ns.Stats()
		j.log.Info("nameserver totals", zap.Uint64("udp", s.UDP.Queries), zap.Uint64("tcp", s.TCP.Queries), zap.Uint64("dropped", s.Dropped),
			zap.Uint64("slipped", s.Slipped), zap.Uint64("truncated", s.Truncated), zap.Uint64("ignored", s.Ignored))
	}
}

// doorTotals tells how clients' connections went that were refused or ended.
func (j journal) doorTotals(p *proxy.Server) {
	h, e := p.Handshakes(), p.HTTP2()
	if h == (proxy.HandshakeStats{}) && e == (proxy.HTTP2Stats{}) {
		return
	}
	j.log.Info("handshake totals", zap.Uint64("done", h.Done), zap.Uint64("resumed", h.Resumed), zap.Uint64("failed", h.Failed),
		zap.Uint64("timed_out", h.TimedOut), zap.Uint64("refused", h.Refused))
	j.log.Info("http2 totals", zap.Uint64("broken", e.Broken), zap.Uint64("calmed", e.Calmed), zap.Uint64("slow", e.Slow))
}

// stopped tells how the run ended and what each route did in it.
func (j journal) stopped(routes []proxy.RouteStats, err error) {
	for i, r := range routes {
		j.log.Info("route totals", r.LogFields()...)
		if i%syncEvery == syncEvery-1 {
			_ = j.log.Sync()
		}
	}
	j.log.Info("stopped", zap.Error(err))
}

// flip tells of a pointer that moved. Away from the primary is a warning, and that
// neither origin can serve an error. Drained are the origins that the reason says
// are down, and that are so by hand.
func (j journal) flip(g *config.Group, from, to failover.State, drained ...string) {
	level := zapcore.WarnLevel
	switch {
	case to.Reason == failover.ReasonBothDown:
		level = zapcore.ErrorLevel
	case to.Target == failover.RolePrimary:
		level = zapcore.InfoLevel
	}
	fields := []zap.Field{zap.String("group", g.Name), zap.Stringer("target", to.Target),
		zap.String("from", originIn(g, from.Target)), zap.String("to", originIn(g, to.Target)),
		zap.Stringer("reason", to.Reason), zap.Uint64("generation", to.Generation), zap.Duration("hold", to.Hold)}
	if len(drained) > 0 {
		fields = append(fields, zap.Strings("drained", drained))
	}
	j.log.Log(level, "pointer moved", fields...)
}

// originIn names the origin in a group's role, or "none".
func originIn(g *config.Group, r failover.Role) string {
	switch r {
	case failover.RolePrimary:
		return g.Primary
	case failover.RoleSecondary:
		return g.Secondary
	}
	return "none"
}

// health tells of an origin's verdict, of pauses of our own, and, for those who
// debug, of every probe.
func (j journal) health(e health.Event) {
	switch e.Kind {
	case health.ProbeDone:
		j.log.Debug("probe", zap.String("origin", e.Origin), zap.Int("status", e.Result.Status),
			zap.Duration("took", e.Result.Took), zap.Error(e.Result.Err), zap.Bool("dropped", e.Result.Dropped))
	case health.VerdictChanged:
		level := zapcore.InfoLevel
		if e.To == health.Down {
			level = zapcore.WarnLevel
		}
		j.log.Log(level, "verdict", zap.String("origin", e.Origin), zap.Stringer("from", e.From), zap.Stringer("to", e.To),
			zap.Error(e.Result.Err))
	case health.PauseDetected:
		j.log.Warn("pause of this process", zap.String("origin", e.Origin), zap.Duration("pause", e.Pause))
	}
}

// dns tells of an origin's addresses, and of episodes in which they could not
// be looked up.
func (j journal) dns(e resolver.Event) {
	host := zap.String("host", e.Host)
	switch e.Kind {
	case resolver.Changed:
		level := zapcore.InfoLevel
		unsaid, ok := 0, true
		switch {
		case len(e.New) == 0:
			level = zapcore.WarnLevel
		case len(e.Old) > 0:
			unsaid, ok = j.moves.say(e.Host, e.At)
		}
		if ok {
			j.log.Log(level, "addresses changed", host, zap.Stringers("from", e.Old), zap.Stringers("to", e.New),
				zap.Int("changes_not_logged", unsaid), zap.Error(e.Err))
		}
	case resolver.Failing:
		j.log.Warn("lookups fail", host, zap.Bool("stale_answer", e.Stale), zap.Error(e.Err))
	case resolver.Recovered:
		j.log.Info("lookups work again", host, zap.Duration("after", e.Lasted), zap.Int("failed", e.Failed))
	case resolver.Expired:
		j.log.Warn("stale answer dropped after stale_max", host, zap.Stringers("from", e.Old), zap.Error(e.Err))
	}
}

// follow tells whether a group's pointer goes along with another one.
func (j journal) follow(group string, e follower.Event) {
	if e.Err != nil {
		j.log.Warn("not following", zap.String("group", group), zap.Error(e.Err))
		return
	}
	j.log.Info("following", zap.String("group", group), zap.String("to", e.Origin), zap.Uint64("generation", e.Generation))
}

// nameserver tells of errors on the nameserver's sockets.
func (j journal) nameserver(err error) { j.log.Warn("nameserver", zap.Error(err)) }

// asked tells of changes that somebody made by hand, or wanted to.
func (j journal) asked(c admin.Change) {
	level := zapcore.WarnLevel
	if c.Result == "done" && (c.Action == "sign_in" || c.Action == "sign_out") {
		level = zapcore.InfoLevel
	}
	j.log.Log(level, "admin", zap.String("action", c.Action), zap.String("subject", c.Subject), zap.String("detail", c.Detail),
		zap.String("by", c.By), zap.String("peer", c.Peer), zap.String("user_agent", c.UserAgent), zap.String("result", c.Result),
		zap.Int("status", c.Status), zap.String("error", c.Text), zap.Int("count", c.Count))
}

// admin tells of errors of the operators' listener.
func (j journal) admin(err error) { j.log.Warn("admin", zap.Error(err)) }

// certificate tells what became of the files of certificates.
func (j journal) certificate(e certs.Event) {
	fields := []zap.Field{zap.String("file", e.File)}
	if len(e.Names) > 0 {
		fields = append(fields, zap.Strings("names", e.Names))
	}
	if !e.NotAfter.IsZero() {
		fields = append(fields, zap.Time("not_after", e.NotAfter))
	}
	switch e.Kind {
	case certs.Failed:
		j.log.Error("certificate can't be used", append(fields, zap.Error(e.Err))...)
	case certs.Expiring:
		j.log.Warn("certificate expires", fields...)
	case certs.Exposed:
		j.log.Warn("everybody on this machine may read a private key", fields...)
	case certs.Recovered:
		j.log.Info("certificate can be used again", fields...)
	default:
		j.log.Info("certificate loaded", fields...)
	}
}
