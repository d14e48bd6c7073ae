package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/internal/drill"
)

// drillKey is a key that verdicts name, in all tables of one kind where they do.
type drillKey struct {
	table, rest string
	keys        []string            // whole ones, in the order of the verdicts
	faults      map[string][]string // by whole key
}

// drillKeys are the keys that the verdicts of a drill name because another setting
// would have done better, in the order of the verdicts.
func drillKeys(doc *drill.Document) []*drillKey {
	var all []*drillKey
	at := make(map[string]*drillKey)
	for i := range doc.Faults {
		r := &doc.Faults[i]
		if r.Busy() || r.Doubtful() {
			continue
		}
		for k := range r.Routes {
			v := &r.Routes[k].Verdict
			for _, f := range append([]drill.Finding{v.Finding}, v.Also...) {
				if f.Key == "" || !f.Outcome.Worse(drill.Unavoidable) {
					continue
				}
				table, _, rest := keyParts(f.Key)
				key := at[table+" "+rest]
				if key == nil {
					key = &drillKey{table: table, rest: rest, faults: make(map[string][]string)}
					at[table+" "+rest] = key
					all = append(all, key)
				}
				key.add(f.Key, r.Fault)
			}
		}
	}
	return all
}

func (k *drillKey) add(key, fault string) {
	faults := k.faults[key]
	if faults == nil {
		k.keys = append(k.keys, key)
	}
	if !slices.Contains(faults, fault) {
		k.faults[key] = append(faults, fault)
	}
}

// texts are the lines about the key: one for each table, or one for many.
func (k *drillKey) texts() []string {
	if len(k.keys) <= fewAlike {
		texts := make([]string, len(k.keys))
		for i, key := range k.keys {
			texts[i] = key + ": " + strings.Join(k.faults[key], ", ")
		}
		return texts
	}
	var faults []string
	for _, key := range k.keys {
		for _, fault := range k.faults[key] {
			if !slices.Contains(faults, fault) {
				faults = append(faults, fault)
			}
		}
	}
	return []string{fmt.Sprintf("%s.*.%s, of %d %s, such as %s: %s", k.table, k.rest, len(k.keys), k.table, k.keys[0], strings.Join(faults, ", "))}
}
