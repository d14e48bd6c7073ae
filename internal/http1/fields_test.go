package http1

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNoTwoKnownNamesShareASlot(t *testing.T) {
	taken := map[uint8]string{}
	for id, name := range fieldNames {
		if name == "" {
			continue
		}
		s := slot([]byte(name))
		if other, ok := taken[s]; ok {
			t.Errorf("%s and %s share slot %d", name, other, s)
		}
		taken[s] = name
		if got := lookup([]byte(name)); got != FieldID(id) {
			t.Errorf("%s is looked up as %d, want %d", name, got, id)
		}
	}
	if fieldCount > 64 {
		t.Errorf("%d names do not fit a fieldSet", fieldCount)
	}
}

func TestEveryNameIsKnownInWhateverCase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.IntRange(0, int(fieldCount)-1).Filter(func(id int) bool { return fieldNames[id] != "" }).Draw(t, "id")
		name := []byte(fieldNames[id])
		for i := range name {
			if rapid.Bool().Draw(t, "upper") {
				name[i] = bytes.ToUpper(name[i : i+1])[0]
			}
		}
		if got := lookup(name); got != FieldID(id) {
			t.Fatalf("%s is looked up as %d, want %d", name, got, id)
		}
	})
}

func TestOtherNamesAreNotTakenForKnownOnes(t *testing.T) {
	tests := []struct {
		give string
		want FieldID
	}{
		{"X", FieldOther},
		{"Hosts", FieldOther},
		{"Hos", FieldOther},
		{"Content_Length", FieldOther},
		{"Content-Lengtx", FieldOther},
		{"X-Forwarded", FieldOther},
		{"X-Forwarded-", FieldXForwardedOther},
		{"x-forwarded-port", FieldXForwardedOther},
		{"X-FORWARDED-SERVER", FieldXForwardedOther},
		{"X-Forwarded-For", FieldXForwardedFor},
	}
	for _, tt := range tests {
		if got := lookup([]byte(tt.give)); got != tt.want {
			t.Errorf("%s is looked up as %d, want %d", tt.give, got, tt.want)
		}
	}
}

// Changing one byte of a known name to any other token character, but for the
// case of a letter, makes it another name.
func TestAKnownNameWithOneByteChangedIsUnknown(t *testing.T) {
	for id, name := range fieldNames {
		for i := range name {
			for c := range 256 {
				if nameClass[c] == nameStop || lower(byte(c)) == name[i] {
					continue
				}
				changed := []byte(name)
				changed[i] = byte(c)
				if got := lookup(changed); got == FieldID(id) {
					t.Fatalf("%s is taken for %s", changed, name)
				}
			}
		}
	}
}

func TestNamesThatDifferInPunctuationAreTwins(t *testing.T) {
	for _, give := range []string{"content_length", "Transfer_Encoding", "Transfer.Encoding", "X_Forwarded_For", "x-forwarded_for",
		"X_FORWARDED_ANYTHING_AT_ALL_HOWEVER_LONG_IT_IS", "X_Real-IP", "CDN_Loop", "X_Request_Id", "failover~attempt"} {
		if !isTwin([]byte(give)) {
			t.Errorf("%s passes", give)
		}
	}
	for _, give := range []string{"my_field", "Content_Type", "_", "ContentLength", "X_Forwarded", strings.Repeat("a_", 40)} {
		if isTwin([]byte(give)) {
			t.Errorf("%s is taken for a twin", give)
		}
	}
}
