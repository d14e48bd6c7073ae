package dnsfault

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Mode is what a nameserver does about a query. It is made by this package's functions and never changes; the zero value
// is of no use.
type Mode struct {
	Name  string // "servfail"
	Text  string // what the server does, in one sentence without a full stop
	Fails bool   // nobody gets an address from it

	delay  time.Duration
	answer func(query) []byte // nil: nothing is sent; empty: the connection is closed
}

// Modes returns one of each mode, the good one first. The caller may change the slice.
func Modes() []Mode {
	return []Mode{OK(), ServFail(), NXDomain(), Refused(), Timeout(), Truncated(), TruncatedNoTCP(), WrongID(), WrongQuestion(),
		Garbage(), Slow(300 * time.Millisecond), Empty(), Lame(), TTLZero(), CNAMELoop(), CNAMEChain(3), CNAMEEndless()}
}

// ModeByName returns the mode of that name in [Modes]; false if there is none.
func ModeByName(name string) (Mode, bool) {
	all := Modes()
	i := slices.IndexFunc(all, func(m Mode) bool { return m.Name == name })
	if i < 0 {
		return Mode{}, false
	}
	return all[i], true
}

// OK answers what the zone holds: addresses of the type, none, or that there is no such name.
func OK() Mode {
	return Mode{Name: "ok", Text: "it answers", answer: func(q query) []byte { return q.zone().pack() }}
}

// zone is the right answer.
func (q query) zone() *response {
	r := &response{query: q, flags: flagRecursive}
	if !q.known {
		r.code = codeNXDomain
	}
	r.records = q.addresses(q.name, q.entry.ttl)
	return r
}

// addresses are those of the type that was asked for, under a name.
func (q query) addresses(name string, ttl uint32) []record {
	var all []record
	for _, addr := range q.entry.addrs {
		if typ := typeOf(addr.Is4()); typ == q.typ {
			all = append(all, record{name: name, typ: typ, ttl: ttl, addr: addr})
		}
	}
	return all
}

func typeOf(is4 bool) uint16 {
	if is4 {
		return typeA
	}
	return typeAAAA
}

func coded(name, text string, code uint16) Mode {
	return Mode{Name: name, Text: text, Fails: true, answer: func(q query) []byte {
		return (&response{query: q, code: code, flags: flagRecursive}).pack()
	}}
}

// ServFail answers that the server failed.
func ServFail() Mode { return coded("servfail", "it answers SERVFAIL", codeServFail) }

// NXDomain answers that there is no such name.
func NXDomain() Mode { return coded("nxdomain", "it answers that there is no such name", codeNXDomain) }

// Refused answers that the server does not want to.
func Refused() Mode { return coded("refused", "it answers REFUSED", codeRefused) }

// Empty answers that the name has no address.
func Empty() Mode { return coded("empty", "it answers that the name has no address", 0) }

// Lame answers with nothing, and that it neither has the answer nor looks for it.
func Lame() Mode {
	return Mode{Name: "lame", Text: "it answers with nothing and asks nobody else", Fails: true, answer: func(q query) []byte {
		return (&response{query: q}).pack()
	}}
}

// Timeout takes every query and answers none, over TCP neither.
func Timeout() Mode {
	return Mode{Name: "timeout", Text: "it never answers", Fails: true, answer: func(query) []byte { return nil }}
}

// Slow answers after d.
func Slow(d time.Duration) Mode {
	m := OK()
	m.Name, m.Text, m.delay = "slow", fmt.Sprintf("it answers after %v", d), d
	return m
}

// truncated is an answer without its records that says so.
func (q query) truncated() []byte {
	return (&response{query: q, flags: flagRecursive | flagTruncated}).pack()
}

// Truncated answers over UDP that the answer does not fit, and over TCP in full.
func Truncated() Mode {
	return Mode{Name: "truncated", Text: "its answers fit into TCP only", answer: func(q query) []byte {
		if q.tcp {
			return q.zone().pack()
		}
		return q.truncated()
	}}
}

// TruncatedNoTCP answers over UDP that the answer does not fit, and closes connections.
func TruncatedNoTCP() Mode {
	return Mode{Name: "truncated_no_tcp", Text: "its answers fit into TCP only, and it closes connections", Fails: true,
		answer: func(q query) []byte {
			if q.tcp {
				return []byte{}
			}
			return q.truncated()
		}}
}

// WrongID answers with another query's id.
func WrongID() Mode {
	return Mode{Name: "wrong_id", Text: "its answers bear another query's id", Fails: true, answer: func(q query) []byte {
		q.id++
		return q.zone().pack()
	}}
}

// WrongQuestion answers another name's question.
func WrongQuestion() Mode {
	return Mode{Name: "wrong_question", Text: "it answers another name's question", Fails: true, answer: func(q query) []byte {
		q.name = "wrong.invalid"
		q.question = append(appendName(nil, q.name), q.question[len(q.question)-4:]...)
		return q.zone().pack()
	}}
}

// Garbage answers with the right id and bytes of no message behind it.
func Garbage() Mode {
	return Mode{Name: "garbage", Text: "it answers with bytes that are no message", Fails: true, answer: func(q query) []byte {
		return append([]byte{byte(q.id >> 8), byte(q.id), 0x81, 0x80}, strings.Repeat("\xff\xc0\x0c garbage", 5)...)
	}}
}

// TTLZero answers as OK, with a TTL of nothing.
func TTLZero() Mode {
	return Mode{Name: "ttl_zero", Text: "its answers hold for no time at all", answer: func(q query) []byte {
		q.entry.ttl = 0
		return q.zone().pack()
	}}
}

func (q query) aliases(names ...string) []record {
	var all []record
	for i := range len(names) - 1 {
		all = append(all, record{name: names[i], typ: typeCNAME, ttl: q.entry.ttl, target: names[i+1]})
	}
	return all
}

// CNAMELoop answers that the name is an alias of another, and that one of the first.
func CNAMELoop() Mode {
	return Mode{Name: "cname_loop", Text: "the name is an alias of an alias of itself", Fails: true, answer: func(q query) []byte {
		r := &response{query: q, flags: flagRecursive, records: q.aliases(q.name, "loop."+q.name, q.name)}
		return r.pack()
	}}
}

// CNAMEChain answers as OK, behind so many aliases.
func CNAMEChain(links int) Mode {
	return Mode{Name: "cname_chain", Text: fmt.Sprintf("the name has its addresses behind %d aliases", links), answer: func(q query) []byte {
		names := []string{q.name}
		for i := range links {
			names = append(names, fmt.Sprintf("alias%d.invalid", i+1))
		}
		r := q.zone()
		r.records = append(q.aliases(names...), q.addresses(names[links], q.entry.ttl)...)
		return r.pack()
	}}
}

// endless stands between an alias's number and the name that it began with.
const endless = ".endless."

// CNAMEEndless answers each name with an alias that has to be asked for in turn.
func CNAMEEndless() Mode {
	return Mode{Name: "cname_endless", Text: "each alias leads to another, without an end", Fails: true, answer: func(q query) []byte {
		number, base, found := strings.Cut(q.name, endless)
		if !found {
			number, base = "0", q.name
		}
		n, _ := strconv.Atoi(number)
		r := &response{query: q, flags: flagRecursive, records: q.aliases(q.name, strconv.Itoa(n+1)+endless+base)}
		return r.pack()
	}}
}
