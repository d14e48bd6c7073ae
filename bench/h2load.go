package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// h2loadName is the program that makes the load over TLS; Debian has it in the package nghttp2-client.
const h2loadName = "h2load"

// What everybody has to agree on in a handshake, so that nobody encrypts with something cheaper.
const (
	tlsVersion = "TLSv1.3"
	tlsCipher  = "TLS_AES_128_GCM_SHA256"
	tlsGroup   = "X25519"
)

// The window is from about the first of these progress reports to the second. Before, connections are made; after,
// connections that were served faster than others have ended.
const (
	windowFrom = 20 // percent
	windowTo   = 90
)

// h2loadArgs make h2load send requests over TLS as the plain load sends them, the same number on each connection.
func h2loadArgs(d door, addr, path string, requests int) []string {
	args := []string{
		"-n", strconv.Itoa(requests), "-c", strconv.Itoa(d.Connections), "-m", strconv.Itoa(d.Streams),
		"--connect-to=" + addr, "--tls13-ciphers=" + tlsCipher, "--groups=" + tlsGroup,
		"-H", "user-agent: " + clientName, "-H", "accept: */*",
	}
	if d.HTTP2 {
		args = append(args, "--npn-list="+d.protocol())
	} else {
		args = append(args, "--h1")
	}
	return append(args, "https://"+hostName+path)
}

// progressOf reads the percentage off a line of h2load's progress, "progress: 20% done".
func progressOf(line string) (percent int, ok bool) {
	n, err := fmt.Sscanf(line, "progress: %d%% done", &percent)
	return percent, n == 1 && err == nil
}

// summary is what h2load says at its end.
type summary struct {
	Agreed                                     []string // version, cipher, protocol
	Total, Started, Done, Succeeded            int
	Failed, Errored, TimedOut                  int
	Status2xx, Status3xx, Status4xx, Status5xx int
	Data                                       int64 // bytes of body
}

var bodyBytes = regexp.MustCompile(`\((\d+)\) data$`)

// parseSummary reads h2load's whole output. It is an error if a line that counts is not there.
func parseSummary(output string) (summary, error) {
	var s summary
	var requests, codes, traffic bool
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "TLS Protocol", "Cipher", "Application protocol":
			s.Agreed = append(s.Agreed, value)
		case "requests":
			_, err := fmt.Sscanf(value, "%d total, %d started, %d done, %d succeeded, %d failed, %d errored, %d timeout",
				&s.Total, &s.Started, &s.Done, &s.Succeeded, &s.Failed, &s.Errored, &s.TimedOut)
			requests = err == nil
		case "status codes":
			_, err := fmt.Sscanf(value, "%d 2xx, %d 3xx, %d 4xx, %d 5xx", &s.Status2xx, &s.Status3xx, &s.Status4xx, &s.Status5xx)
			codes = err == nil
		case "traffic":
			if m := bodyBytes.FindStringSubmatch(value); m != nil {
				n, err := strconv.ParseInt(m[1], 10, 64)
				s.Data, traffic = n, err == nil
			}
		}
	}
	if !requests || !codes || !traffic {
		return s, errors.New("h2load ended without its summary")
	}
	return s, nil
}

// check verifies that every request was answered well and whole, by the protocol that was to be measured.
func (s summary) check(d door, requests int) error {
	good := summary{Total: requests, Started: requests, Done: requests, Succeeded: requests, Status2xx: requests}
	if s.counts() != good.counts() {
		return fmt.Errorf("h2load: want a response of 200 to each of %d requests, got %s", requests, s.counts())
	}
	if want := int64(requests) * d.size(); s.Data != want {
		return fmt.Errorf("h2load: response of another length: %d bytes of body instead of %d", s.Data, want)
	}
	want := []string{tlsVersion, tlsCipher, d.protocol()}
	if got := strings.Join(s.Agreed, ", "); got != strings.Join(want, ", ") {
		return fmt.Errorf("h2load: agreed on %s instead of %s", got, strings.Join(want, ", "))
	}
	return nil
}

func (s summary) counts() string {
	return fmt.Sprintf("%d requests, %d started, %d done, %d succeeded, %d failed, %d errored, %d timed out; %d 2xx, %d 3xx, %d 4xx, %d 5xx",
		s.Total, s.Started, s.Done, s.Succeeded, s.Failed, s.Errored, s.TimedOut, s.Status2xx, s.Status3xx, s.Status4xx, s.Status5xx)
}
