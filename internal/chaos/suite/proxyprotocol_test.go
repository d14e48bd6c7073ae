package suite

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/fairlead/fairlead/internal/chaos"
)

const (
	signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"
	proxied     = 0x21 // version 2, PROXY
	local       = 0x20 // version 2, LOCAL
	stranger    = "127.0.0.2"
)

// headerV2 is a header of the PROXY protocol, version 2. Without a source it
// names nobody.
func headerV2(command, family byte, source, destination string) string {
	var addresses []byte
	if source != "" {
		addresses = append(netip.MustParseAddr(source).AsSlice(), netip.MustParseAddr(destination).AsSlice()...)
		addresses = append(addresses, 0xc7, 0x38, 0x01, 0xbb)
	}
	return signatureV2 + string([]byte{command, family, 0, byte(len(addresses))}) + string(addresses)
}

// balanced are the headers of balancers. Requests behind each have a path of
// their own, and origins are to be told this client.
var balanced = []struct{ path, header, client string }{
	{"/v1-ipv4/", "PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n", "192.0.2.7"},
	{"/v1-ipv6/", "PROXY TCP6 2001:db8::7 2001:db8::1 51000 443\r\n", "2001:db8::7"},
	{"/v1-nobody/", "PROXY UNKNOWN\r\n", "127.0.0.1"},
	{"/v2-ipv4/", headerV2(proxied, 0x11, "192.0.2.8", "198.51.100.1"), "192.0.2.8"},
	{"/v2-ipv6/", headerV2(proxied, 0x21, "2001:db8::8", "2001:db8::1"), "2001:db8::8"},
	{"/v2-local/", headerV2(local, 0, "", ""), "127.0.0.1"},
}

var proxyProtocolScenarios = []Scenario{{
	Name: "proxy_protocol", Proves: []string{"proxy_protocol", "identity"}, Needs: []Need{Linux}, // for the address 127.0.0.2
	Text:  "Balancers pass on clients with headers of the PROXY protocol of both versions through an outage: origins are told the clients' addresses. Strangers who send such headers, and a balancer that sends none or a broken one, are refused in the midst of it; strangers without a header are served as who they are.",
	Setup: Setup{ProxyProtocol: true, Group: soonBack},
	Load:  balancedLoads(),
	Steps: Now(Served("eu", 30), Strangers(10), Unplug("eu"), PointerAt("us", 1000*ms), Strangers(10), Served("us", 40), Plug("eu"), PointerAt("eu", 5000*ms), Served("eu", 20)),
	Want:  []Expectation{CoveredServed(), Flips(2, 2), FailedOver(1), ToldClients(), OnlyOurs()},
}}

// balancedLoads are one behind each header, a new connection for each other request.
func balancedLoads() (all []chaos.Load) {
	for _, b := range balanced {
		all = append(all, ByPROXY(b.header, chaos.Load{Rate: 20, Mix: []chaos.Shot{{Path: b.path},
			{Path: b.path, Fields: []chaos.Field{{Name: "Connection", Value: "close"}, {Name: "X-Forwarded-For", Value: "192.0.2.66"}}}}}))
	}
	return all
}

// ToldClients claims that each request reached its origin with its client's address.
func ToldClients() Expectation {
	return Holds("origins are told the clients' addresses", func(o *Outcome) error {
		seen := make(map[string]int)
		for _, at := range o.Origins {
			for _, a := range at.AllArrivals() {
				for _, b := range balanced {
					if !strings.HasPrefix(a.Target, b.path) {
						continue
					}
					seen[b.path]++
					if got := strings.Join(a.Values("X-Forwarded-For"), " | "); got != b.client {
						return fmt.Errorf("%s saw X-Forwarded-For %q for %s", at.Name(), got, a.Target)
					}
				}
			}
		}
		if len(seen) != len(balanced) {
			return fmt.Errorf("only these came: %v", seen)
		}
		return nil
	})
}

// Strangers send headers that are not theirs to send, several times, and one
// balancer sends none.
func Strangers(times int) Action {
	const request = "GET /stolen HTTP/1.1\r\nHost: chaos.test\r\n\r\n"
	return Do("strangers send headers", func(s *Stage) error {
		var all []error
		for range times {
			for _, b := range balanced {
				want := "HTTP/1.1 400 "
				if strings.HasPrefix(b.path, "/v2") {
					want = ""
				}
				all = append(all, s.turnedAway(stranger, b.header+request, want))
			}
			all = append(all, s.turnedAway("127.0.0.1", request, ""), s.turnedAway("127.0.0.1", "PROXY TCP4 192.0.2.7\r\n"+request, ""))
		}
		return errors.Join(append(all, s.servedAs(stranger))...)
	})
}

// turnedAway sends something from an address, and wants the connection to end
// with an answer that begins so; "" is none at all.
func (s *Stage) turnedAway(from, send, want string) error {
	c, err := chaos.OpenFrom(from, s.listen, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Send(send); err != nil {
		return err
	}
	got, err := c.ReadAll() // a reset is an end too
	if isTimeout(err) || !strings.HasPrefix(got, want) || want == "" && got != "" {
		return fmt.Errorf("%s sent %.40q and got %.60q, %w", from, send, got, err)
	}
	return nil
}

func isTimeout(err error) bool {
	late, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && late.Timeout()
}

// servedAs sends a good request from an address, without a header: it is served,
// and its origin is told that address.
func (s *Stage) servedAs(from string) error {
	c, err := chaos.OpenFrom(from, s.listen, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	q := chaos.Request{ID: chaos.NewID(), Method: "GET"}
	q.Path = "/stranger/" + q.ID
	r, err := c.Do(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: chaos.test\r\n%s: %s\r\n\r\n", q.Path, chaos.FieldID, q.ID))
	if err != nil && !errors.Is(err, io.EOF) || r.Status != 200 {
		return fmt.Errorf("a stranger without a header got %d, %w", r.Status, err)
	}
	s.own.Add(chaos.Result{Request: q, Covered: true, Kind: chaos.Served, Status: 200, Origin: r.Get(chaos.FieldOrigin), Start: s.begun})
	arrived := s.origins[r.Get(chaos.FieldOrigin)].Arrivals(q.ID)
	if len(arrived) != 1 || arrived[0].Get("X-Forwarded-For") != from {
		return fmt.Errorf("the origin saw %d requests of %s", len(arrived), from)
	}
	return nil
}
