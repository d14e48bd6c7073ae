package resolver

import (
	"slices"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// A chain follows aliases from a name to records of a type, through one answer
// or several.
type chain struct {
	want    dnswire.Type
	name    string   // where the chain has come to, canonical
	been    []string // the names before it
	ttl     uint32   // the least of all records that belong to the chain
	records []dnswire.Record
}

func newChain(name string, want dnswire.Type) *chain {
	return &chain{want: want, name: dnswire.Canonical(name), ttl: 1<<32 - 1}
}

// duration is the TTL of the whole chain.
func (c *chain) duration() time.Duration { return time.Duration(c.ttl) * time.Second }

// read takes an answer to the question for c.name. It is done if there are
// records; an error says that there are none to be had. Neither means that
// c.name, which moved, is to be asked for.
//
// Only records that belong to the chain count, whatever else the server put
// into its answer.
func (c *chain) read(m *dnswire.Message) (done bool, err *Error) {
	owners := make([]string, len(m.Answer))
	for i := range m.Answer {
		owners[i] = dnswire.Canonical(m.Answer[i].Name)
	}
	from := c.name
	for {
		target := ""
		for i := range m.Answer {
			rec := &m.Answer[i]
			if rec.Class != dnswire.ClassIN || owners[i] != c.name {
				continue
			}
			switch {
			case rec.Type == c.want:
				c.count(rec)
				c.records = append(c.records, *rec)
			case rec.Type == dnswire.TypeCNAME && rec.Target != "" && target == "":
				target = dnswire.Canonical(rec.Target)
				c.count(rec)
			}
		}
		if len(c.records) > 0 {
			return true, nil
		}
		if target == "" {
			break
		}
		if err := c.step(target); err != nil {
			return false, err
		}
	}
	return false, c.end(m, from)
}

// step goes on to an alias's target.
func (c *chain) step(target string) *Error {
	c.been = append(c.been, c.name)
	switch {
	case slices.Contains(c.been, target):
		return &Error{Kind: Malformed, Err: errLoop}
	case len(c.been) > maxLinks:
		return &Error{Kind: Malformed, Err: errTooLong}
	}
	c.name = target
	return nil
}

// end says what it means that an answer's chain ended without a record.
func (c *chain) end(m *dnswire.Message, from string) *Error {
	if m.Rcode == dnswire.RcodeNameError {
		return &Error{Kind: NotFound, Err: errNoName} // of the last name: RFC 6604, section 3
	}
	denied := slices.ContainsFunc(m.Authority, func(rec dnswire.Record) bool {
		return rec.Type == dnswire.TypeSOA && dnswire.Within(c.name, rec.Name) // RFC 2308, section 2.2
	})
	if denied || c.name == from {
		return &Error{Kind: NoAddress, Err: errNoAddress}
	}
	return nil
}

// count makes the chain's TTL no greater than rec's. One with the top bit set
// counts as 0 (RFC 2181, section 8).
func (c *chain) count(rec *dnswire.Record) {
	ttl := rec.TTL
	if ttl >= 1<<31 {
		ttl = 0
	}
	c.ttl = min(c.ttl, ttl)
}
