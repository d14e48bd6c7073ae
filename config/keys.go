package config

import "time"

// The least and the most that a duration may be, where nothing else forbids
// more: less than a millisecond is never meant, and a day is for ever.
const (
	shortestTime = time.Millisecond
	longestTime  = 24 * time.Hour
)

func serverFields(s *Server) fields {
	return fields{
		"listen":                 list(&s.Listen, listenAddress, 0, 256),
		"tls_listen":             list(&s.TLSListen, listenAddress, 1, 256),
		"proxy_protocol":         list(&s.ProxyProtocol, listenAddress, 0, 512),
		"certificates":           certificates(s),
		"client_ca":              clientCA(&s.ClientCA),
		"https_redirect":         boolean(&s.HTTPSRedirect),
		"h2c":                    boolean(&s.H2C),
		"request_header_timeout": duration(&s.RequestHeaderTimeout, shortestTime, longestTime),
		"idle_timeout":           duration(&s.IdleTimeout, shortestTime, longestTime),
		"body_idle_timeout":      duration(&s.BodyIdleTimeout, shortestTime, longestTime),
		"max_header_bytes":       integer(&s.MaxHeaderBytes, 1<<10, 1<<20),
		"max_connections":        integer(&s.MaxConnections, 0, 10_000_000),
		"trusted_proxies":        list(&s.TrustedProxies, cidr, 0, 10_000),
		"drain_timeout":          duration(&s.DrainTimeout, 0, longestTime),
		"proxy_status":           boolean(&s.ProxyStatus),
		"watch":                  boolean(&s.Watch),
		"state":                  statePath(&s.State),
		"encoded_slash":          choice(&s.EncodedSlash, EncodedSlashReject, EncodedSlashKeep),
	}
}

func logFields(l *Log) fields {
	return fields{
		"level":  choice(&l.Level, "debug", "info", "warn", "error"),
		"format": choice(&l.Format, "json", "console"),
		"access": boolean(&l.Access),
		"output": logOutput(&l.Output),
	}
}

func originFields(o *Origin) fields {
	return fields{
		"url":                     originURL(o),
		"host":                    hostField(&o.Host),
		"sni":                     serverName(&o.ServerName),
		"ca":                      filled(&o.CA, "the path of a PEM file"),
		"connect_timeout":         duration(&o.ConnectTimeout, shortestTime, longestTime),
		"response_header_timeout": duration(&o.ResponseHeaderTimeout, shortestTime, longestTime),
		"max_connections":         integer(&o.MaxConnections, 0, 10_000_000),
		"health": subTable("[origins.NAME.health]", func() fields {
			h := defaultHealth()
			o.Health = &h
			return healthFields(o.Health)
		}),
	}
}

func healthFields(h *Health) fields {
	return fields{
		"path":          requestPath(&h.Path),
		"interval":      duration(&h.Interval, 10*time.Millisecond, longestTime),
		"timeout":       duration(&h.Timeout, shortestTime, longestTime),
		"fall":          integer(&h.Fall, 1, 100),
		"rise":          integer(&h.Rise, 1, 100),
		"fast_interval": duration(&h.FastInterval, 10*time.Millisecond, longestTime),
		"expect_status": statusRanges(&h.ExpectStatus),
		"expect_body":   textUpTo(&h.ExpectBody, 5120),
	}
}

func groupFields(g *Group) fields {
	return fields{
		"primary":           filled(&g.Primary, "the name of an origin"),
		"secondary":         filled(&g.Secondary, "the name of an origin, or remove the line for a plain proxy"),
		"failover_methods":  list(&g.FailoverMethods, failoverMethod, 0, 3),
		"failover_statuses": list(&g.FailoverStatuses, failoverStatus, 0, 200),
		"unsafe":            choice(&g.Unsafe, UnsafePark, UnsafeUnsent, UnsafeNever),
		"park_timeout":      duration(&g.ParkTimeout, shortestTime, longestTime),
		"failback":          choice(&g.Failback, FailbackAuto, FailbackManual),
		"failback_after":    duration(&g.FailbackAfter, 0, longestTime),
		"min_hold":          duration(&g.MinHold, 0, maxHold),
		"both_down":         choice(&g.BothDown, BothDownFailOpen, BothDownStay, BothDownFailFast),
		"ttl":               wholeSeconds(&g.TTL, longestTime),
		"dns_name":          relativeName(&g.DNSName),
		"dns_answer":        choice(&g.DNSAnswer, DNSAnswerAddress, DNSAnswerCNAME),
		"follow":            follow(&g.Follow),
	}
}

func routeFields(r *Route) fields {
	return fields{
		"name":           routeName(&r.Name),
		"match":          filled(&r.Match, `a pattern such as "/" or "GET /product/{id}"`),
		"group":          filled(&r.Group, "the name of a group"),
		"max_body_bytes": integer(&r.MaxBodyBytes, 0, 1<<62),
		"timeout":        duration(&r.Timeout, shortestTime, longestTime),
		"bulkhead":       subTable("[routes.bulkhead]", func() fields { return bulkheadFields(&r.Bulkhead) }),
		"breaker":        subTable("[routes.breaker]", func() fields { return breakerFields(&r.Breaker) }),
	}
}

func bulkheadFields(b *Bulkhead) fields {
	return fields{
		"max_concurrent": integer(&b.MaxConcurrent, 1, 1_000_000),
		"max_queue":      integer(&b.MaxQueue, 0, 1_000_000),
		"queue_timeout":  duration(&b.QueueTimeout, shortestTime, longestTime),
	}
}

func breakerFields(b *Breaker) fields {
	return fields{
		"consecutive_failures": integer(&b.ConsecutiveFailures, 0, 1_000_000),
		"open_for":             duration(&b.OpenFor, shortestTime, longestTime),
		"half_open_trials":     integer(&b.HalfOpenTrials, 1, 1_000),
	}
}
