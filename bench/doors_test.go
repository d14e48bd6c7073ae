package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"
)

// someDoors is a result in which fairlead meets one goal and misses another.
func someDoors() []doorResult {
	result := func(d door, own, nginx float64) doorResult {
		p := []proxyResult{
			{Key: "fairlead", Label: "Fairlead", CPU: []float64{own, own + 1, own - 1}},
			{Key: "nginx", Label: "nginx", CPU: []float64{nginx, nginx + 1, nginx - 1}},
		}
		if !d.Fresh {
			p[0].Throughput, p[0].Core = []float64{50000}, []float64{0.8}
			p[1].Throughput, p[1].Core = []float64{40000}, []float64{0.97}
		}
		return doorResult{d, p}
	}
	return []doorResult{result(doors[0], 19, 20), result(doors[1], 10, 20), result(doors[3], 500, 400)}
}

func TestTheDoorsAreSetAgainstNginxAndTheGoals(t *testing.T) {
	text := doorsReport(someDoors(), "1.52.0").text()
	wantParts(t, text,
		"HTTP/2, 64 connections, 10 streams  Fairlead        10.0 µs  0.50 (0.47–0.52)      50,000  80 %\n",
		"HTTP/1.1, new connections           Fairlead         500 µs  1.25 (1.25–1.25)           –     –\n",
		"Budget, CPU a request over TLS, HTTP/1.1, 64 connections, to nginx: at most 0.90, measured 0.95, missed.\n",
		"Budget, CPU a request over TLS, HTTP/2, 64 connections, 10 streams, to nginx: at most 0.75, measured 0.50, met.\n",
		"Full TLS 1.3 handshakes in a second of CPU, with one request on each connection: Fairlead 2,000, nginx 2,500.\n",
		"Not the proxy was the limit of requests/s, but the load, the origin or another program on the machine, for Fairlead at HTTP/1.1, 64 connections (80 %), ",
		"The load is h2load 1.52.0; TLSv1.3, ",
	)
}

func TestWithoutNginxTheDoorsHaveNoVerdict(t *testing.T) {
	results := someDoors()
	for i := range results {
		results[i].Proxies = results[i].Proxies[:1]
	}
	if text := doorsReport(results, "1.52.0").text(); strings.Contains(text, "Budget") || strings.Contains(text, "NaN") {
		t.Errorf("got\n%s", text)
	}
}

func TestEveryConnectionSendsAsManyRequests(t *testing.T) {
	for _, d := range doors {
		for _, rate := range []float64{0, 1, 12345, 1e6} {
			n := d.requests(rate, time.Second)
			if n < 1 || n%d.Connections != 0 || !d.Fresh && n%10 != 0 || float64(n) > max(rate, float64(10*d.Connections*d.Streams)) {
				t.Errorf("%s: %d requests at a rate of %v", d.Name, n, rate)
			}
		}
	}
}

func TestTheCertificateIsGoodForTheHost(t *testing.T) {
	file, err := writeCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	if pair.Leaf.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("the key is for %v", pair.Leaf.PublicKeyAlgorithm)
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	for _, name := range []string{hostName, "127.0.0.1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v: its key is for its owner", info.Mode(), err)
	}
}
