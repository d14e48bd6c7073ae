package dnswire_test

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/fairlead/fairlead/internal/dnswire"
)

func whole() dnswire.Message {
	return dnswire.Message{
		ID: 4711, Response: true, Authoritative: true, RecursionDesired: true, CheckingDisabled: true,
		Rcode:     dnswire.RcodeBadVers,
		Questions: []dnswire.Question{{Name: "Shop.example.", Type: dnswire.TypeA, Class: dnswire.ClassIN}},
		Answer: []dnswire.Record{
			{Name: "Shop.example.", Type: dnswire.TypeA, Class: dnswire.ClassIN, TTL: 5, Addr: netip.MustParseAddr("192.0.2.1")},
			{Name: "shop.example.", Type: dnswire.TypeAAAA, Class: dnswire.ClassIN, TTL: 5, Addr: netip.MustParseAddr("2001:db8::1")},
			{Name: "www.example.", Type: dnswire.TypeCNAME, Class: dnswire.ClassIN, Target: "shop.example."},
			{Name: "shop.example.", Type: dnswire.TypeTXT, Class: dnswire.ClassIN, Text: []string{"target=eu", "a \"quote\", a \\, \x00 and \xff", ""}},
			{Name: "shop.example.", Type: dnswire.TypeHINFO, Class: dnswire.ClassIN, Text: []string{"RFC8482", ""}},
		},
		Authority: []dnswire.Record{
			{Name: "example.", Type: dnswire.TypeNS, Class: dnswire.ClassIN, TTL: 1 << 31, Target: "ns1.example."},
			{Name: "example.", Type: dnswire.TypeSOA, Class: dnswire.ClassIN, SOA: dnswire.SOA{
				NS: "ns1.example.", Mailbox: "hostmaster.example.", Serial: 7, Refresh: 1, Retry: 2, Expire: 3, Minimum: 4,
			}},
		},
		EDNS: dnswire.EDNS{Version: 1, UDPSize: 1232, DO: true, Cookie: []byte("01234567abcdefgh")},
		OPTs: 1,
	}
}

// Every field comes back as it went in, bytes that need escaping included, and
// a code above 15 by way of the OPT record.
func TestAMessageSurvivesTheWire(t *testing.T) {
	want := whole()
	prefix := []byte("prefix")
	b, err := want.Append(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if string(b[:len(prefix)]) != "prefix" {
		t.Error("Append did not append")
	}
	var got dnswire.Message
	for range 2 { // the second time into used memory
		if err := dnswire.Parse(b[len(prefix):], &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

// A message that ends early is an error at every length, and its header is
// still told, so that it can be answered.
func TestACutMessageIsAnError(t *testing.T) {
	m := whole()
	b, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		var got dnswire.Message
		if err := dnswire.Parse(b[:n], &got); err == nil {
			t.Errorf("%d of %d bytes: no error", n, len(b))
		}
		if n >= dnswire.HeaderLen && got.ID != m.ID {
			t.Errorf("%d bytes: id %d, want %d", n, got.ID, m.ID)
		}
	}
}

func TestRecordsWithoutTheirDataAreRefused(t *testing.T) {
	for _, r := range []dnswire.Record{
		{Name: "a.", Type: dnswire.TypeA},
		{Name: "a.", Type: dnswire.TypeA, Addr: netip.MustParseAddr("::1")},
		{Name: "a.", Type: dnswire.TypeAAAA, Addr: netip.MustParseAddr("127.0.0.1")},
		{Name: "a.", Type: dnswire.TypeHINFO},
		{Name: "a.", Type: 65280},
	} {
		m := dnswire.Message{Answer: []dnswire.Record{r}}
		if b, err := m.Append([]byte("x")); err == nil || string(b) != "x" {
			t.Errorf("%v: %q, %v; want an error and the buffer as it was", r, b, err)
		}
	}
}

func TestNames(t *testing.T) {
	if !dnswire.Within("EU.Shop.example.", "shop.EXAMPLE.") || dnswire.Within("workshop.example.", "shop.example.") {
		t.Error("Within looks at labels, whatever the case")
	}
	if dnswire.Canonical("Shop.Example") != "shop.example." || dnswire.Absolute("a.b") != "a.b." {
		t.Error("Canonical or Absolute")
	}
	if dnswire.IsName("a..b") || !dnswire.IsName("a.b") || dnswire.Labels("a.b.") != 2 || dnswire.Labels(".") != 0 {
		t.Error("IsName or Labels")
	}
}

func FuzzParse(f *testing.F) {
	m := whole()
	b, err := m.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:dnswire.HeaderLen])
	f.Fuzz(func(t *testing.T, b []byte) {
		var m dnswire.Message
		if dnswire.Parse(b, &m) != nil {
			return
		}
		if _, err := m.Append(nil); err != nil {
			return // types that don't come through whole
		}
	})
}
