package main

import (
	"slices"
	"strings"
	"testing"
)

// goodOutput is what h2load 1.52 says of 6400 requests for 1 KiB that all went well.
const goodOutput = `starting benchmark...
spawning thread #0: 64 total client(s). 6400 total requests
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2
progress: 10% done
progress: 90% done
progress: 100% done

finished in 651.00ms, 9831.04 req/s, 10.77MB/s
requests: 6400 total, 6400 started, 6400 done, 6400 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 6400 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 6.73MB (7057408) total, 312.50KB (320000) headers (space savings 49.49%), 6.25MB (6553600) data
                     min         max         mean         sd        +/- sd
time for request:     3.74ms    250.90ms     31.73ms     21.08ms    88.98%
req/s           :     154.04      168.79      159.86        3.70    60.94%
`

var http2Door = door{Name: "HTTP/2", HTTP2: true, Connections: 64, Streams: 10}

func TestASummaryIsRead(t *testing.T) {
	s, err := parseSummary(goodOutput)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"TLSv1.3", "TLS_AES_128_GCM_SHA256", "h2"}; !slices.Equal(s.Agreed, want) {
		t.Errorf("agreed on %q, want %q", s.Agreed, want)
	}
	if s.Total != 6400 || s.Succeeded != 6400 || s.Status2xx != 6400 || s.Data != 6400<<10 {
		t.Errorf("got %+v", s)
	}
	if err := s.check(http2Door, 6400); err != nil {
		t.Error(err)
	}
}

func TestASummaryThatIsNotPerfectIsAnError(t *testing.T) {
	const requests = "6400 total, 6400 started, 6400 done, 6400 succeeded, 0 failed, 0 errored, 0 timeout"
	for _, tt := range []struct{ name, old, new, want string }{
		{"status", "6400 2xx, 0 3xx, 0 4xx, 0 5xx", "6399 2xx, 0 3xx, 0 4xx, 1 5xx", "want a response of 200 to each of 6400 requests"},
		{"broken off", requests, "6400 total, 6400 started, 6390 done, 6390 succeeded, 10 failed, 10 errored, 0 timeout", "10 failed, 10 errored"},
		{"timed out", requests, "6400 total, 6400 started, 6400 done, 6400 succeeded, 0 failed, 0 errored, 1 timeout", "1 timed out"},
		{"count", requests, "6390 total, 6390 started, 6390 done, 6390 succeeded, 0 failed, 0 errored, 0 timeout", "got 6390 requests"},
		{"length", "(6553600) data", "(6553599) data", "6553599 bytes of body instead of 6553600"},
		{"protocol", "Application protocol: h2", "Application protocol: http/1.1", "http/1.1 instead of TLSv1.3, TLS_AES_128_GCM_SHA256, h2"},
		{"version", "TLS Protocol: TLSv1.3", "TLS Protocol: TLSv1.2", "agreed on TLSv1.2"},
		{"no protocol", "Application protocol: h2\n", "", "agreed on TLSv1.3, TLS_AES_128_GCM_SHA256 instead"},
		{"no counts", "requests: ", "answers: ", "without its summary"},
		{"half a line", ", 0 4xx, 0 5xx", "", "without its summary"},
		{"no traffic", "traffic: ", "", "without its summary"},
		{"nothing", goodOutput, "", "without its summary"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			output := strings.Replace(goodOutput, tt.old, tt.new, 1)
			if output == goodOutput {
				t.Fatal("nothing was replaced")
			}
			s, err := parseSummary(output)
			if err == nil {
				err = s.check(http2Door, 6400)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want something with %q", err, tt.want)
			}
		})
	}
}

func TestProgressIsRead(t *testing.T) {
	for _, tt := range []struct {
		give string
		want int
		ok   bool
	}{
		{"progress: 20% done", 20, true},
		{"progress: 100% done", 100, true},
		{"progress: ", 0, false},
		{"finished in 1s", 0, false},
		{"", 0, false},
	} {
		if got, ok := progressOf(tt.give); got != tt.want || ok != tt.ok {
			t.Errorf("%q: got %d, %v, want %d, %v", tt.give, got, ok, tt.want, tt.ok)
		}
	}
}

func TestH2loadIsToldTheDoor(t *testing.T) {
	for _, tt := range []struct {
		door door
		want []string
	}{
		{doors[0], []string{"-n 640", "-c 64", "-m 1", "--h1", "--connect-to=127.0.0.1:443", "https://bench.example/1024"}},
		{doors[1], []string{"-n 640", "-c 64", "-m 10", "--npn-list=h2", "--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519"}},
	} {
		args := " " + strings.Join(h2loadArgs(tt.door, "127.0.0.1:443", "/1024", 640), " ") + " "
		for _, want := range tt.want {
			if !strings.Contains(args, " "+want+" ") {
				t.Errorf("%s: %q is missing in %s", tt.door.Name, want, args)
			}
		}
	}
}
