package health

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestStatusRangesAreReadAsWritten(t *testing.T) {
	tests := []struct {
		give string
		want []StatusRange
	}{
		{"200-399", []StatusRange{{200, 399}}},
		{"204", []StatusRange{{204, 204}}},
		{"200,204,301-303", []StatusRange{{200, 200}, {204, 204}, {301, 303}}},
		{" 200 , 204 ", []StatusRange{{200, 200}, {204, 204}}},
		{"100-599", []StatusRange{{100, 599}}},
		{"500-500", []StatusRange{{500, 500}}},
	}
	for _, tt := range tests {
		t.Run(tt.give, func(t *testing.T) {
			got, err := ParseStatusRanges(tt.give)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestBadStatusRangesSayWhatToWrite(t *testing.T) {
	const shape = ": write a status like 204 or a range like 200-399"
	tests := []struct{ give, want string }{
		{"", `status ""` + shape},
		{"ok", `status "ok"` + shape},
		{"2xx", `status "2xx"` + shape},
		{"200,", `status ""` + shape},
		{"200,,204", `status ""` + shape},
		{"20-30", `status "20-30"` + shape},
		{"200-", `status "200-"` + shape},
		{"-200", `status "-200"` + shape},
		{"200-300-400", `status "200-300-400"` + shape},
		{"200 - 399", `status "200 - 399"` + shape},
		{"+20", `status "+20"` + shape},
		{"\t200", `status "\t200"` + shape},
		{"099", "status 99: must lie in 100-599"},
		{"200-600", "status 200-600: must lie in 100-599"},
		{"399-200", "status 399-200: the range is upside down, write 200-399"},
	}
	for _, tt := range tests {
		t.Run(tt.give, func(t *testing.T) {
			got, err := ParseStatusRanges(tt.give)
			if err == nil || err.Error() != tt.want || got != nil {
				t.Errorf("got %v, error %v; want error %s", got, err, tt.want)
			}
		})
	}
}

func TestStatusRangesSurviveBeingWrittenAndRead(t *testing.T) {
	ranges := rapid.Custom(func(t *rapid.T) StatusRange {
		from := rapid.IntRange(100, 599).Draw(t, "from")
		return StatusRange{from, rapid.IntRange(from, 599).Draw(t, "to")}
	})
	rapid.Check(t, func(t *rapid.T) {
		give := rapid.SliceOfN(ranges, 1, 8).Draw(t, "ranges")
		got, err := ParseStatusRanges(joinStatusRanges(give))
		if err != nil || !slices.Equal(got, give) {
			t.Fatalf("%s came back as %v, %v", joinStatusRanges(give), got, err)
		}
	})
}
