package statefile

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 123456789, time.UTC)

// outage is what is written in the middle of one.
func outage() Snapshot {
	return Snapshot{
		Saved: noon,
		Groups: []Group{
			{
				Name: "shop", Primary: "eu", Secondary: "us", Target: "us", Generation: 4,
				Since: noon.Add(-time.Minute), Reason: "primary_down", Hold: 2 * time.Minute,
				PrimaryVerdict:   Verdict{Down: true, Since: noon.Add(-time.Minute)},
				SecondaryVerdict: Verdict{Since: noon.Add(-time.Hour)},
				Pin:              "us", PinUntil: noon.Add(time.Hour), Lead: "eu",
			},
			{
				Name: "blog", Primary: "eu", Target: "eu", Generation: 1, Since: noon, Reason: "start",
				PrimaryVerdict: Verdict{Since: noon},
			},
		},
	}
}

func encoded(t testing.TB, s Snapshot) []byte {
	t.Helper()
	data, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheFormatIsAsDocumentedAndReadable(t *testing.T) {
	line, body, _ := strings.Cut(string(encoded(t, outage())), "\n")
	const wantBody = `{
  "saved": "2026-01-01T12:00:00.123456789Z",
  "groups": [
    {
      "name": "shop",
      "primary": "eu",
      "secondary": "us",
      "target": "us",
      "generation": 4,
      "since": "2026-01-01T11:59:00.123456789Z",
      "reason": "primary_down",
      "primary_verdict": {
        "down": true,
        "since": "2026-01-01T11:59:00.123456789Z"
      },
      "secondary_verdict": {
        "down": false,
        "since": "2026-01-01T11:00:00.123456789Z"
      },
      "pin": "us",
      "pin_until": "2026-01-01T13:00:00.123456789Z",
      "lead": "eu",
      "hold": "2m0s"
    },
    {
      "name": "blog",
      "primary": "eu",
      "target": "eu",
      "generation": 1,
      "since": "2026-01-01T12:00:00.123456789Z",
      "reason": "start",
      "primary_verdict": {
        "down": false,
        "since": "2026-01-01T12:00:00.123456789Z"
      },
      "hold": "0s"
    }
  ]
}
`
	if body != wantBody {
		t.Errorf("the body is\n%s\nwant\n%s", body, wantBody)
	}
	// printf '1 %d\n' LENGTH | cat - BODY | sha256sum
	want := fmt.Sprintf("fairlead-state 1 %d ", len(wantBody))
	if !strings.HasPrefix(line, want) || len(line) != len(want)+64 {
		t.Errorf("the first line is %q, want %q and a SHA-256", line, want)
	}
}

// drawSnapshot returns any Snapshot that Encode takes.
func drawSnapshot(t *rapid.T) Snapshot {
	at := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		// From the year 0 to the year 9999.
		sec := rapid.Int64Range(-62167219200, 253402300799).Draw(t, "seconds")
		return time.Unix(sec, rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
	})
	name := rapid.String()
	verdict := rapid.Custom(func(t *rapid.T) Verdict {
		return Verdict{rapid.Bool().Draw(t, "down"), at.Draw(t, "verdict since")}
	})
	group := rapid.Custom(func(t *rapid.T) Group {
		return Group{
			Name: name.Draw(t, "name"), Primary: name.Draw(t, "primary"), Secondary: name.Draw(t, "secondary"),
			Target: name.Draw(t, "target"), Generation: rapid.Uint64().Draw(t, "generation"), Since: at.Draw(t, "since"),
			Reason: name.Draw(t, "reason"), Hold: time.Duration(rapid.Int64().Draw(t, "hold")),
			PrimaryVerdict: verdict.Draw(t, "primary verdict"), SecondaryVerdict: verdict.Draw(t, "secondary verdict"),
			Pin: name.Draw(t, "pin"), PinUntil: at.Draw(t, "pin until"),
			Lead:      name.Draw(t, "lead"),
			PinReason: name.Draw(t, "pin reason"), PinBy: name.Draw(t, "pin by"),
		}
	})
	s := Snapshot{Saved: at.Draw(t, "saved"), Groups: rapid.SliceOfN(group, 0, 4).Draw(t, "groups")}
	if rapid.Bool().Draw(t, "any drained") {
		s.Drained = rapid.SliceOfN(name, 1, 4).Draw(t, "drained")
	}
	return s
}

func TestWhatIsDecodedIsWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		give := drawSnapshot(t)
		data, err := Encode(give)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(data)
		if err != nil || !reflect.DeepEqual(got, give) {
			t.Fatalf("%+v became %+v, %v", give, got, err)
		}
	})
}

func TestTimesLoseTheirPlaceAndNothingElse(t *testing.T) {
	s := Snapshot{Saved: time.Now().In(time.FixedZone("elsewhere", 3600))}
	got, err := Decode(encoded(t, s))
	if err != nil || !got.Saved.Equal(s.Saved) || got.Saved.Location() != time.UTC {
		t.Errorf("%v became %v, %v", s.Saved, got.Saved, err)
	}
}

func TestWhatCantBeWrittenIsRefused(t *testing.T) {
	tests := []struct {
		name string
		give Snapshot
	}{
		{"a year of six digits", Snapshot{Saved: noon.AddDate(100000, 0, 0)}},
		{"a year before Christ", Snapshot{Groups: []Group{{Since: noon.AddDate(-3000, 0, 0)}}}},
		{"a pin for ever and ever", Snapshot{Groups: []Group{{PinUntil: time.Unix(math.MaxInt64/2, 0)}}}},
		{"more than Load would read", Snapshot{Groups: []Group{{Name: strings.Repeat("x", MaxSize)}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if data, err := Encode(tt.give); err == nil {
				t.Errorf("%d bytes and no error", len(data))
			}
		})
	}
}

func TestACutAtAnyLengthIsNoticed(t *testing.T) {
	whole := encoded(t, outage())
	for n := range whole {
		_, err := Decode(whole[:n])
		want := ErrDamaged
		if n == 0 {
			want = ErrEmpty
		}
		if !errors.Is(err, want) {
			t.Errorf("cut at %d of %d bytes: %v, want %v", n, len(whole), err, want)
		}
	}
	if _, err := Decode(append(whole, '\n')); !errors.Is(err, ErrDamaged) {
		t.Errorf("one byte more: %v, want ErrDamaged", err)
	}
}

func TestAnyFlippedBitIsNoticed(t *testing.T) {
	whole := encoded(t, outage())
	for i := range whole {
		for bit := range 8 {
			whole[i] ^= 1 << bit
			_, err := Decode(whole)
			whole[i] ^= 1 << bit
			want := ErrDamaged
			if i < len(magic) {
				want = ErrForeign // who can tell
			}
			if !errors.Is(err, want) {
				t.Errorf("bit %d of byte %d: %v, want %v", bit, i, err, want)
			}
		}
	}
}

func TestEachErrorSaysWhoseTheFileIs(t *testing.T) {
	body := []byte(`{"saved":"2026-01-01T12:00:00Z","groups":[]}`)
	sealed := func(body string) string { return string(seal(version, []byte(body))) }
	tests := []struct {
		name string
		give string
		want error
	}{
		{"nothing", "", ErrEmpty},
		{"an operator's notes", "fairlead restarts at noon\n", ErrForeign},
		{"a configuration", "[server]\nlisten = [\"127.0.0.1:8080\"]\n", ErrForeign},
		{"a line break", "\n", ErrForeign},
		{"our first word alone", "fairlead-state", ErrDamaged},
		{"our first line in another spelling", strings.Replace(sealed(string(body)), " 1 ", " 01 ", 1), ErrDamaged},
		{"a newer version", string(seal(version+1, []byte("\x00\x01"))), ErrVersion},
		{"a newer version, damaged", string(seal(version+1, []byte("x"))) + "y", ErrDamaged},
		{"a version that never was", string(seal(0, body)), ErrDamaged},
		{"a negative version", string(seal(-1, body)), ErrDamaged},
		{"a body that is no JSON", sealed("groups"), ErrDamaged},
		{"a hold that is no duration", sealed(`{"groups":[{"hold":"soon"}]}`), ErrDamaged},
		{"a generation that is negative", sealed(`{"groups":[{"generation":-1}]}`), ErrDamaged},
		{"a time before the year 0 in UTC", sealed(`{"saved":"0000-01-01T00:00:00+23:00"}`), ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if s, err := Decode([]byte(tt.give)); !errors.Is(err, tt.want) {
				t.Errorf("%+v, %v; want %v", s, err, tt.want)
			}
		})
	}
}

func TestFieldsOfLaterVersionsAreIgnored(t *testing.T) {
	body := `{"saved":"2026-01-01T12:00:00Z","colour":{"a":[1]},"groups":[{"name":"shop","weight":3,"primary_verdict":{"down":true,"by":"eu"}}]}`
	got, err := Decode(seal(version, []byte(body)))
	want := Snapshot{
		Saved:  time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
		Groups: []Group{{Name: "shop", PrimaryVerdict: Verdict{Down: true}}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// FuzzDecode gives its input once as a file and once as the body of an intact
// one, since no fuzzer finds a checksum.
func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, outage()))
	f.Add(encoded(f, Snapshot{}))
	f.Add(encoded(f, outage())[:200])
	f.Add(seal(version+1, []byte("{}")))
	f.Add([]byte("fairlead-state 1 2 \n{}"))
	f.Add([]byte("fairlead-state of the union"))
	f.Add([]byte(`{"groups":[null,{"hold":"-1h"},{"hold":null,"pin":7}]}`))
	f.Add([]byte(`{"saved":"9999-12-31T23:59:59-23:59","groups":[{"Name":"a","name":"b"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, give := range [][]byte{data, seal(version, data)} {
			s, err := Decode(give)
			if err != nil {
				if !errors.Is(err, ErrEmpty) && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrVersion) {
					t.Fatalf("an error of no kind: %v", err)
				}
				continue
			}
			if s.Groups == nil {
				s.Groups = []Group{}
			}
			again, err := Decode(encoded(t, s))
			if err != nil || !reflect.DeepEqual(again, s) {
				t.Fatalf("%+v became %+v, %v", s, again, err)
			}
		}
	})
}
