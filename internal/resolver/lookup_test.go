package resolver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// once makes a bubble with a Resolver for one script.
func once(t *testing.T, cfg Config, answer func(query) reply, check func(t *testing.T, r *Resolver, s *script)) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, answer)
		check(t, start(t, s, cfg), s)
	})
}

// Each row is what a server answers, with the expected addresses, the TTL, the
// last name and the number of questions for each family.
func TestAliasesAreFollowed(t *testing.T) {
	const host = "www.shop.example."
	for _, give := range []struct {
		name    string
		answer  func(query) reply
		want    string // addresses or the error
		left    time.Duration
		last    string
		queries int
	}{
		{
			"within an answer, whatever the order and case",
			func(q query) reply {
				return q.records(addr("edge.CDN.example.", 50, "192.0.2.1"), alias("a.cdn.example.", 20, "Edge.cdn.example."),
					alias("WWW.shop.example.", 40, "A.cdn.example."))
			},
			"[192.0.2.1]", 20 * time.Second, "edge.cdn.example.", 1,
		},
		{
			"what doesn't belong to the chain doesn't count",
			func(q query) reply {
				return q.records(addr("evil.example.", 1, "192.0.2.66"), alias(host, 40, "edge.example."), addr("edge.example.", 50, "192.0.2.1"),
					alias("evil.example.", 1, "edge.example."))
			},
			"[192.0.2.1]", 40 * time.Second, "edge.example.", 1,
		},
		{
			"out of an answer, with new questions",
			func(q query) reply {
				switch q.Name {
				case host:
					return q.records(alias(host, 40, "a.example."))
				case "a.example.":
					return q.records(alias("a.example.", 30, "b.example."))
				}
				return q.records(addr(q.Name, 60, "192.0.2.1"), addr(q.Name, 60, "2001:db8::1"))
			},
			"[2001:db8::1 192.0.2.1]", 30 * time.Second, "b.example.", 3,
		},
		{
			"to a name that is denied",
			func(q query) reply {
				m := q.respond()
				m.Rcode = dnswire.RcodeNameError
				m.Answer = []dnswire.Record{alias(host, 40, "gone.example.")}
				return sends(m)
			},
			"resolve www.shop.example.: nameserver 192.0.2.53:53: no such name", 0, "", 1,
		},
		{
			"to a name without addresses, which isn't asked for again",
			func(q query) reply {
				m := q.respond()
				m.Answer = []dnswire.Record{alias(host, 40, "a.example.")}
				m.Authority = []dnswire.Record{soa("example.")}
				return sends(m)
			},
			"resolve www.shop.example.: nameserver 192.0.2.53:53: no usable address", 0, "", 1,
		},
		{
			"in a loop within an answer",
			func(q query) reply {
				return q.records(alias(host, 40, "a.example."), alias("a.example.", 40, host))
			},
			"resolve www.shop.example.: nameserver 192.0.2.53:53: a loop of aliases", 0, "", 1,
		},
		{
			"in a loop over answers",
			func(q query) reply {
				if q.Name == host {
					return q.records(alias(host, 40, "a.example."))
				}
				return q.records(alias("a.example.", 40, strings.ToUpper(host)))
			},
			"resolve www.shop.example.: nameserver 192.0.2.53:53: a loop of aliases", 0, "", 2,
		},
		{
			"to itself",
			func(q query) reply { return q.records(alias(host, 40, host)) },
			"resolve www.shop.example.: nameserver 192.0.2.53:53: a loop of aliases", 0, "", 1,
		},
		{"8 links", links(8), "[192.0.2.1]", 60 * time.Second, "n8.example.", 1},
		{"9 links", links(9), "resolve www.shop.example.: nameserver 192.0.2.53:53: more than 8 aliases", 0, "", 1},
		{
			"without end, one a question",
			func(q query) reply { return q.records(alias(q.Name, 40, "a."+q.Name)) },
			"resolve www.shop.example.: nameserver 192.0.2.53:53: more than 8 aliases", 0, "", 9,
		},
		{
			"a record of another class is none",
			func(q query) reply {
				m := q.respond()
				m.Answer = []dnswire.Record{{Name: host, Type: dnswire.TypeA, Class: 3, TTL: 60, Addr: netip.MustParseAddr("192.0.2.66")}}
				m.Authority = []dnswire.Record{soa("example.")}
				return sends(m)
			},
			"resolve www.shop.example.: nameserver 192.0.2.53:53: no usable address", 0, "", 1,
		},
	} {
		t.Run(give.name, func(t *testing.T) {
			once(t, Config{}, give.answer, func(t *testing.T, r *Resolver, s *script) {
				addrs, err := r.Lookup(t.Context(), host)
				got := ips(addrs)
				if err != nil {
					got = err.Error()
				}
				if got != give.want {
					t.Errorf("got  %s\nwant %s", got, give.want)
				}
				if a, _ := r.Peek(host); a.Name != give.last || a.Left != give.left {
					t.Errorf("name %q for %s, want %q for %s", a.Name, a.Left, give.last, give.left)
				}
				if n := s.count(func(q query) bool { return q.Type == dnswire.TypeA }); n != give.queries {
					t.Errorf("%d questions, want %d", n, give.queries)
				}
			})
		})
	}
}

func links(n int) func(query) reply {
	return func(q query) reply {
		records := []dnswire.Record{alias("www.shop.example.", 60, "n1.example.")}
		for i := 1; i < n; i++ {
			records = append(records, alias(fmt.Sprintf("n%d.example.", i), 60, fmt.Sprintf("n%d.example.", i+1)))
		}
		return q.records(append(records, addr(fmt.Sprintf("n%d.example.", n), 60, "192.0.2.1"))...)
	}
}

// byFamily answers each family in its own way.
func byFamily(v4, v6 func(query) reply) func(query) reply {
	return func(q query) reply {
		if q.Type == dnswire.TypeA {
			return v4(q)
		}
		return v6(q)
	}
}

func later(d time.Duration, f func(query) reply) func(query) reply {
	return func(q query) reply {
		r := f(q)
		r.after = d
		return r
	}
}

// One family that can't be had doesn't cost the other one.
func TestOneFamilyIsEnough(t *testing.T) {
	ok := has(60, "192.0.2.1", "2001:db8::1")
	for _, give := range []struct {
		name   string
		answer func(query) reply
		want   string
		took   time.Duration
	}{
		{"AAAA fails", byFamily(ok, coded(dnswire.RcodeServerFailure)), "192.0.2.1", 0},
		{"A fails", byFamily(coded(dnswire.RcodeServerFailure), ok), "2001:db8::1", 0},
		{"AAAA is denied", byFamily(ok, coded(dnswire.RcodeNameError)), "192.0.2.1", 0},
		{"AAAA hangs", byFamily(ok, silent), "192.0.2.1", resolutionDelay},
		{"A hangs", byFamily(silent, ok), "2001:db8::1", resolutionDelay},
		{"AAAA is late", byFamily(later(20*time.Millisecond, ok), later(500*time.Millisecond, ok)), "192.0.2.1", 500 * time.Millisecond},
	} {
		t.Run(give.name, func(t *testing.T) {
			once(t, Config{}, give.answer, func(t *testing.T, r *Resolver, s *script) {
				before := time.Now()
				wantAddrs(t, r, "shop.example", give.want)
				if took := time.Since(before); took > give.took {
					t.Errorf("took %s, want at most %s", took, give.took)
				}
			})
		})
	}
}

// What comes after the delay is added, and told.
func TestALateFamilyIsAddedWhenItComes(t *testing.T) {
	ok := has(60, "192.0.2.1", "2001:db8::1")
	once(t, Config{}, byFamily(ok, later(500*time.Millisecond, ok)), func(t *testing.T, r *Resolver, s *script) {
		told := make(chan string, 4)
		defer r.Watch("shop.example", func(addrs []netip.Addr) { told <- ips(addrs) })()
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		time.Sleep(time.Second)
		wantAddrs(t, r, "shop.example", "2001:db8::1", "192.0.2.1")
		if first, second := <-told, <-told; first != "[192.0.2.1]" || second != "[2001:db8::1 192.0.2.1]" {
			t.Errorf("told %s, then %s", first, second)
		}
		if n := s.total(); n != 2 {
			t.Errorf("%d queries, want 2", n)
		}
	})
}

// A family that fails in a refresh keeps its addresses, and that is no episode
// while the other one answers.
func TestAFailedFamilyKeepsItsAddresses(t *testing.T) {
	var events eventLog
	ok := has(10, "192.0.2.1", "2001:db8::1")
	once(t, Config{OnEvent: events.add, StaleMax: 10 * time.Minute}, ok, func(t *testing.T, r *Resolver, s *script) {
		defer r.Watch("shop.example", func([]netip.Addr) {})()
		wantAddrs(t, r, "shop.example", "2001:db8::1", "192.0.2.1")
		s.set(byFamily(silent, has(10, "2001:db8::2")))
		time.Sleep(10 * time.Minute)
		wantAddrs(t, r, "shop.example", "2001:db8::2", "192.0.2.1")
		s.set(byFamily(coded(dnswire.RcodeServerFailure), has(10, "2001:db8::2")))
		time.Sleep(time.Minute)
		wantAddrs(t, r, "shop.example", "2001:db8::2")
		wantLines(t, events.take(), "dns_changed [] -> [2001:db8::1 192.0.2.1]",
			"dns_changed [2001:db8::1 192.0.2.1] -> [2001:db8::2 192.0.2.1]", "dns_changed [2001:db8::2 192.0.2.1] -> [2001:db8::2]")
	})
}

// A server that denies the whole name where it only lacks IPv6 must not
// withdraw the IPv4 addresses while A times out.
func TestADenialBesideAFailureWithdrawsNothing(t *testing.T) {
	once(t, Config{}, byFamily(has(10, "192.0.2.1"), coded(dnswire.RcodeNameError)), func(t *testing.T, r *Resolver, s *script) {
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		s.set(byFamily(silent, coded(dnswire.RcodeNameError)))
		time.Sleep(10 * time.Second)
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		time.Sleep(10 * time.Second)
		wantAddrs(t, r, "shop.example", "192.0.2.1")
		wantKind(t, r, "other.example", NotFound)
	})
}

func TestAddressesAreCleanedAndBounded(t *testing.T) {
	t.Run("odd ones", func(t *testing.T) {
		once(t, Config{}, has(60, "0.0.0.0", "192.0.2.1", "224.0.0.1", "127.0.0.1", "192.0.2.1", "::", "ff02::1", "::1"), func(t *testing.T, r *Resolver, _ *script) {
			wantAddrs(t, r, "shop.example", "::1", "192.0.2.1", "127.0.0.1")
		})
	})
	t.Run("mapped", func(t *testing.T) {
		mapped := func(q query) reply {
			return q.records(dnswire.Record{Name: q.Name, Type: dnswire.TypeAAAA, TTL: 60, Addr: netip.MustParseAddr("::ffff:192.0.2.9")})
		}
		once(t, Config{}, mapped, func(t *testing.T, r *Resolver, _ *script) {
			wantAddrs(t, r, "shop.example", "192.0.2.9")
		})
	})
	many := func(q query) reply {
		if q.network == "udp" {
			m := q.respond()
			m.Truncated = true
			return sends(m)
		}
		var records []dnswire.Record
		for i := range 500 {
			records = append(records, addr(q.Name, 60, fmt.Sprintf("198.51.%d.%d", i/250, i%250)), addr(q.Name, 60, fmt.Sprintf("2001:db8::%x", i)))
		}
		return q.records(records...)
	}
	t.Run("500 of both", func(t *testing.T) {
		once(t, Config{}, many, func(t *testing.T, r *Resolver, s *script) {
			addrs, err := r.Lookup(t.Context(), "shop.example")
			if err != nil || len(addrs) != maxAddrs || addrs[0] != netip.MustParseAddr("2001:db8::") || addrs[maxAddrs/2] != netip.MustParseAddr("198.51.0.0") {
				t.Errorf("%v, %v", addrs, err)
			}
			if n := s.count(func(q query) bool { return q.network == "tcp" }); n != 2 {
				t.Errorf("%d queries over TCP, want 2", n)
			}
		})
	})
	t.Run("500 of one", func(t *testing.T) {
		once(t, Config{}, byFamily(many, has(60)), func(t *testing.T, r *Resolver, _ *script) {
			addrs, err := r.Lookup(t.Context(), "shop.example")
			if err != nil || len(addrs) != maxAddrs || addrs[maxAddrs-1] != netip.MustParseAddr("198.51.0.63") {
				t.Errorf("%v, %v", addrs, err)
			}
		})
	})
}

// A server that can't answer is passed over, and the next lookup begins with
// the one that could.
func TestServersStandInForEachOther(t *testing.T) {
	ok := has(60, "192.0.2.1")
	for name, broken := range map[string]func(query) reply{
		"SERVFAIL": coded(dnswire.RcodeServerFailure),
		"REFUSED":  coded(dnswire.RcodeRefused),
		"silent":   silent,
		"closed":   func(query) reply { return reply{err: errPortClosed} },
		"lame": func(q query) reply {
			m := q.respond()
			m.RecursionAvailable = false
			m.Authority = []dnswire.Record{{Name: ".", Type: dnswire.TypeNS, Target: "a.root.example."}}
			return sends(m)
		},
		"truncated over TCP": func(q query) reply {
			m := q.respond()
			m.Truncated = true
			return sends(m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			once(t, Config{Servers: []string{ns1, ns2}}, func(q query) reply {
				if q.server == ns1 {
					return broken(q)
				}
				return ok(q)
			}, func(t *testing.T, r *Resolver, s *script) {
				wantAddrs(t, r, "shop.example", "192.0.2.1")
				s.forget()
				before := time.Now()
				wantAddrs(t, r, "other.example", "192.0.2.1")
				if n := s.count(func(q query) bool { return q.server == ns1 }); n != 0 || time.Since(before) != 0 {
					t.Errorf("%d queries to the broken server, %s", n, time.Since(before))
				}
			})
		})
	}
}

// With all servers dead a lookup ends after two rounds.
func TestTwoRoundsAreAll(t *testing.T) {
	once(t, Config{Servers: []string{ns1, ns2}, Timeout: 300 * time.Millisecond}, silent, func(t *testing.T, r *Resolver, s *script) {
		before := time.Now()
		wantKind(t, r, "shop.example", Timeout)
		if took := time.Since(before); took != 1200*time.Millisecond {
			t.Errorf("took %s, want 4 times 300 ms", took)
		}
		if n := s.total(); n != 8 {
			t.Errorf("%d queries, want 8", n)
		}
	})
}

// What doesn't match the query is as if it had not come.
func TestOnlyTheAnswerIsBelieved(t *testing.T) {
	wrong := map[string]func(*dnswire.Message){
		"id":             func(m *dnswire.Message) { m.ID++ },
		"a query":        func(m *dnswire.Message) { m.Response = false },
		"opcode":         func(m *dnswire.Message) { m.Opcode = 4 },
		"name":           func(m *dnswire.Message) { m.Questions[0].Name = "evil.example." },
		"type":           func(m *dnswire.Message) { m.Questions[0].Type = dnswire.TypeTXT },
		"class":          func(m *dnswire.Message) { m.Questions[0].Class = 3 },
		"no question":    func(m *dnswire.Message) { m.Questions = nil },
		"two questions":  func(m *dnswire.Message) { m.Questions = append(m.Questions, m.Questions[0]) },
		"an odd failure": func(m *dnswire.Message) { m.ID++; m.Rcode = dnswire.RcodeNameError },
	}
	for name, spoil := range wrong {
		t.Run(name, func(t *testing.T) {
			forge := func(q query) dnswire.Message {
				q.Questions = append([]dnswire.Question{}, q.Questions...)
				m := has(60, "192.0.2.66", "2001:db8::66")(q).msgs[0]
				spoil(&m)
				return m
			}
			t.Run("and then the answer", func(t *testing.T) {
				once(t, Config{}, func(q query) reply {
					good := has(60, "192.0.2.1")(q).msgs[0]
					good.Questions = []dnswire.Question{{Name: strings.ToUpper(q.Name), Type: q.Type, Class: q.Class}}
					return reply{msgs: []dnswire.Message{forge(q), forge(q), good}}
				}, func(t *testing.T, r *Resolver, _ *script) { wantAddrs(t, r, "shop.example", "192.0.2.1") })
			})
			t.Run("and nothing else", func(t *testing.T) {
				once(t, Config{}, func(q query) reply { return sends(forge(q)) },
					func(t *testing.T, r *Resolver, _ *script) { wantKind(t, r, "shop.example", Timeout) })
			})
		})
	}
}

// A server from before EDNS is asked again without it, at once.
func TestOldServersAreAskedWithoutEDNS(t *testing.T) {
	for _, code := range []dnswire.Rcode{dnswire.RcodeFormatError, dnswire.RcodeNotImplemented} {
		for _, bare := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s bare=%t", code, bare), func(t *testing.T) {
				once(t, Config{}, func(q query) reply {
					if q.OPTs == 0 {
						return has(60, "192.0.2.1")(q)
					}
					if q.EDNS.UDPSize != dnswire.MaxUDPSize || q.EDNS.Version != 0 {
						t.Errorf("odd EDNS: %+v", q.EDNS)
					}
					m := q.respond()
					m.Rcode, m.OPTs = code, 0
					if bare {
						m.Questions = nil
					}
					return sends(m)
				}, func(t *testing.T, r *Resolver, s *script) {
					before := time.Now()
					wantAddrs(t, r, "shop.example", "192.0.2.1")
					if n := s.total(); n != 4 || time.Since(before) != 0 {
						t.Errorf("%d queries in %s, want 4", n, time.Since(before))
					}
				})
			})
		}
	}
	t.Run("even then it refuses", func(t *testing.T) {
		once(t, Config{}, coded(dnswire.RcodeFormatError), func(t *testing.T, r *Resolver, s *script) {
			wantKind(t, r, "shop.example", ServerFailure)
		})
	})
}

// Ids don't repeat in a way that could be guessed.
func TestIDsAreRandom(t *testing.T) {
	once(t, Config{}, has(1, "192.0.2.1"), func(t *testing.T, r *Resolver, s *script) {
		for i := range 500 {
			wantAddrs(t, r, fmt.Sprintf("n%d.example", i), "192.0.2.1")
		}
		ids := make(map[uint16]bool)
		steps := make(map[uint16]int)
		last := uint16(0)
		for _, q := range s.asked {
			ids[q.ID] = true
			steps[q.ID-last]++
			last = q.ID
		}
		if len(ids) < 950 {
			t.Errorf("%d ids in 1000 queries", len(ids))
		}
		for step, n := range steps {
			if n > 5 {
				t.Errorf("the id grew by %d %d times", step, n)
			}
		}
	})
}

// The TXT record of one given server, and its TTL as it is.
func TestTextAsksOneServer(t *testing.T) {
	text := func(name string, ttl uint32, texts ...string) dnswire.Record {
		return dnswire.Record{Name: name, Type: dnswire.TypeTXT, TTL: ttl, Text: texts}
	}
	t.Run("answers", func(t *testing.T) {
		once(t, Config{}, func(q query) reply {
			if q.Name != "shop.failover.example." {
				return q.records(text(q.Name, 7200, "tar", "get=eu"), text(q.Name, 7200, "other"))
			}
			return q.records(alias(q.Name, 9000, "x.failover.example."))
		}, func(t *testing.T, r *Resolver, s *script) {
			texts, ttl, err := r.Text(t.Context(), ns2, "shop.failover.example")
			if err != nil || strings.Join(texts, "|") != "target=eu|other" || ttl != 2*time.Hour {
				t.Errorf("%q for %s, %v", texts, ttl, err)
			}
			if n := s.count(func(q query) bool { return q.server != ns2 || q.Type != dnswire.TypeTXT }); n != 0 {
				t.Errorf("%d queries to others", n)
			}
		})
	})
	for _, give := range []struct {
		name   string
		answer func(query) reply
		want   string
	}{
		{"none", func(q query) reply { return q.records() }, "resolve shop.example: nameserver 192.0.2.54:53: no record of this type"},
		{"no name", coded(dnswire.RcodeNameError), "resolve shop.example: nameserver 192.0.2.54:53: no such name"},
		{"silence", silent, "resolve shop.example: nameserver 192.0.2.54:53: no answer within 1s"},
	} {
		t.Run(give.name, func(t *testing.T) {
			once(t, Config{}, give.answer, func(t *testing.T, r *Resolver, _ *script) {
				if _, _, err := r.Text(t.Context(), ns2, "shop.example"); err == nil || err.Error() != give.want {
					t.Errorf("got  %v\nwant %s", err, give.want)
				}
			})
		})
	}
}
