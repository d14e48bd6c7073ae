package nameserver

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/dnswire"
)

// Each mistake is an error that names the field, and all of them are told at
// once.
func TestMistakesInTheConfig(t *testing.T) {
	tests := []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"no zone", func(c *Config) { c.Zone = "" }, "zone: a name is missing"},
		{"the root", func(c *Config) { c.Zone = "." }, "zone: the root can't be"},
		{"a zone that is no name", func(c *Config) { c.Zone = "a..b" }, `zone: "a..b" is no DNS name`},
		{"a label that is too long", func(c *Config) { c.Zone = strings.Repeat("a", 64) + ".example." }, "is no DNS name"},
		{"no nameserver", func(c *Config) { c.NS = nil }, "ns: the name of at least one"},
		{"a nameserver without a name", func(c *Config) { c.NS = []string{"ns.example.", ""} }, "ns: a name is missing"},
		{"the same nameserver twice", func(c *Config) { c.NS = append(c.NS, "NS1.failover.example") }, "has the name NS1.failover.example. already"},
		{"an address that is nobody's", func(c *Config) { c.NSAddresses = addrsOf("0.0.0.0") }, "ns addresses: 0.0.0.0"},
		{"no address", func(c *Config) { c.NSAddresses = make([]netip.Addr, 1) }, "ns addresses: invalid IP"},
		{"half a mailbox", func(c *Config) { c.Admin = "@example." }, `admin: "@example." is no mailbox`},
		{"a mailbox that is no name", func(c *Config) { c.Admin = "a..b" }, `admin: "a..b" is no DNS name`},
		{"no port", func(c *Config) { c.Listen = "127.0.0.1" }, "listen: address 127.0.0.1: missing port"},
		{"a negative rate", func(c *Config) { c.RateLimit = -1 }, "rate limit: -1 is negative"},
		{"a group without a name", func(c *Config) { c.Groups[0].Name = "" }, `group "": dns name`},
		{"a group whose name is no name", func(c *Config) { c.Groups[0].Name = "a..b" }, `group "a..b": dns name`},
		{"a group with the zone's name", func(c *Config) { c.Groups[0].Name = "." }, `group ".": dns name`},
		{"a negative ttl", func(c *Config) { c.Groups[0].TTL = -1 }, `group "shop": ttl: -1ns is negative`},
		{"no pointer", func(c *Config) { c.Groups[0].Pointer = nil }, `group "shop": pointer`},
		{"two groups of one name", func(c *Config) { c.Groups[1].Name = "SHOP" }, `group "SHOP": group "shop" has the name SHOP.failover.example. already`},
		{"a group with an origin's name", func(c *Config) { c.Groups[1].Name = "eu.shop" }, `origin "eu" of group "shop" has the name eu.shop.failover.example. already`},
		{"two origins of one name", func(c *Config) { c.Groups[0].Origins[1].Name = "EU" }, `origin "EU" of group "shop": origin "eu" of group "shop" has the name`},
		{"a group with a nameserver's name", func(c *Config) { c.Groups[0].Name = "ns1" }, `group "ns1": ns "ns1.failover.example." has the name`},
		{"an origin with a nameserver's name", func(c *Config) { c.NS[1] = "eu.shop.failover.example" }, `origin "eu" of group "shop": ns "eu.shop.failover.example" has the name`},
		{"an origin of two labels", func(c *Config) { c.Groups[0].Origins[0].Name = "a.b" }, `group "shop": origin "a.b": its name must be one DNS label`},
		{"an origin without a name", func(c *Config) { c.Groups[0].Origins[0].Name = "" }, "one DNS label"},
		{"an origin with a dot", func(c *Config) { c.Groups[0].Origins[0].Name = "eu." }, "one DNS label"},
		{"a host that is no name", func(c *Config) { c.Groups[1].Origins[0].Host = "a..b" }, `group "web.cdn": origin "eu": host: "a..b" is no DNS name`},
		{"a host in the zone", func(c *Config) { c.Groups[1].Origins[0].Host = "shop.failover.example" }, "its CNAME would lead back here"},
		{"names that get too long", func(c *Config) { c.Groups[0].Name = strings.Repeat("a123456.", 29) + "ab" }, "is longer than a DNS name can be"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := newWorld().config()
			tt.edit(&cfg)
			_, err := New(cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	cfg := newWorld().config()
	cfg.NS, cfg.RateLimit, cfg.Groups[0].TTL, cfg.Groups[1].Pointer = nil, -1, -1, nil
	if _, err := New(cfg); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("four mistakes are told as: %v", err)
	}
}

// Where the nameservers' names in the zone point, and who is responsible.
func TestTheZonesOwnRecords(t *testing.T) {
	tests := []struct {
		name       string
		edit       func(*Config)
		wantNS     string
		wantPerson string
	}{
		{"as listened", func(c *Config) { c.Listen = "192.0.2.53:53" }, "192.0.2.53", `dns\.admin.failover.example.`},
		{"as given", func(c *Config) { c.NSAddresses = addrsOf("203.0.113.1", "203.0.113.2") }, "203.0.113.1 203.0.113.2", `dns\.admin.failover.example.`},
		{"unknown", func(c *Config) { c.Listen = ":53" }, "", `dns\.admin.failover.example.`},
		{"nobody is named", func(c *Config) { c.Admin = "" }, "127.0.0.1", "hostmaster.failover.example."},
		{"a name", func(c *Config) { c.Admin = "ops.example" }, "127.0.0.1", "ops.example."},
		{"the zone is a nameserver itself", func(c *Config) { c.NS = []string{"failover.example."}; c.Groups = nil }, "127.0.0.1", `dns\.admin.failover.example.`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newWorld().server(t, tt.edit)
			soa := ask(t, s, question("failover.example.", dnswire.TypeSOA), start)
			if got := soa.Answer[0].SOA.Mailbox; got != tt.wantPerson {
				t.Errorf("mailbox %s, want %s", got, tt.wantPerson)
			}
			var got []string
			ns := ask(t, s, question(soa.Answer[0].SOA.NS, dnswire.TypeA), start)
			for _, r := range ns.Answer {
				got = append(got, r.Addr.String())
			}
			if strings.Join(got, " ") != tt.wantNS {
				t.Errorf("the nameserver is at %v, want %s", got, tt.wantNS)
			}
		})
	}
}

// A TTL that no message could carry is the longest one that can.
func TestAVeryLongTTL(t *testing.T) {
	s := newWorld().server(t, func(c *Config) { c.Groups[0].TTL = 1<<63 - 1 })
	m := ask(t, s, question("shop.failover.example.", dnswire.TypeTXT), start)
	if got := time.Duration(m.Answer[0].TTL) * time.Second; got != (1<<31-1)*time.Second {
		t.Errorf("got %v", got)
	}
}
