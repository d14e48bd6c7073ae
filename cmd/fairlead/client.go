package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// client asks the admin API of a running fairlead. Whatever answers there may be
// another program, or a hostile one: answers are bounded in size and time, and
// what they say can't write to a terminal but in plain characters.
type client struct {
	address string // as the operator writes it: host:port or unix:/path
	source  string // who said so
	token   string
	// tokenSource is where the token comes from, "" without one.
	tokenSource string
	http        *http.Client
	base        string
	patience    time.Duration // for a whole answer
	limit       int64         // of an answer and of a message of a stream, in bytes
}

const (
	// clientPatience is for answers, reloadPatience for a reload, which looks up
	// names and reads certificates.
	clientPatience = 10 * time.Second
	reloadPatience = time.Minute
	// clientLimit has room for ten thousand routes and origins.
	clientLimit = 64 << 20
	// errorLimit is for answers that say what is wrong.
	errorLimit = 1 << 20
)

// newClient makes a client for an address. It connects to nothing yet. Who has
// it calls close.
func newClient(address string) (*client, error) {
	network, dial, host, err := dialAddress(address)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{ // no Proxy: what http_proxy names has no business here
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, dial)
		},
		ResponseHeaderTimeout:  reloadPatience,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{
		address: address, base: "http://" + host, patience: clientPatience, limit: clientLimit,
		http: &http.Client{Transport: transport, CheckRedirect: stay},
	}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// dialAddress is how an address is dialled and what stands in the field Host.
// An address to listen on that means all of the machine's is dialled at its
// loopback.
func dialAddress(address string) (network, dial, host string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return "", "", "", errors.New("the path of the socket is missing: write unix:/path")
		}
		return "unix", path, "localhost", nil
	}
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", "", "", fmt.Errorf("%q is no address: write host:port, such as 127.0.0.1:9900, or unix:/path", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", "", fmt.Errorf("%q has no port that can be connected to: write the number that the log says", address)
	}
	ip, ipErr := netip.ParseAddr(name)
	switch {
	case ipErr != nil && strings.ContainsAny(name, " /@?#%\\"):
		return "", "", "", fmt.Errorf("%q is no address: write host:port, such as 127.0.0.1:9900, or unix:/path", address)
	case name == "", ip == netip.IPv4Unspecified():
		name = "127.0.0.1"
	case ip == netip.IPv6Unspecified():
		name = "::1"
	}
	host = net.JoinHostPort(name, port)
	return "tcp", host, host, nil
}

// status asks for the status, or for the part of it that into has.
func (c *client) status(ctx context.Context, into any) error {
	raw, err := c.get(ctx, "/v1/status", nil)
	if err != nil {
		return err
	}
	return c.decode(raw, into)
}

// get asks for a document and returns it as it came.
func (c *client) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	res, err := c.send(ctx, http.MethodGet, path, query, nil, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return c.read(res, c.limit)
}

// post asks for a change. An error that may have come after the change says so.
func (c *client) post(ctx context.Context, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.change(ctx, http.MethodPost, path, text, into)
}

// remove asks for the end of something. Its errors are those of post.
func (c *client) remove(ctx context.Context, path string, into any) error {
	return c.change(ctx, http.MethodDelete, path, nil, into)
}

func (c *client) change(ctx context.Context, method, path string, text []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, max(c.patience, reloadPatience))
	defer cancel()
	res, err := c.send(ctx, method, path, nil, text, nil)
	if err != nil {
		return uncertain(err)
	}
	defer res.Body.Close()
	raw, err := c.read(res, c.limit)
	if err == nil {
		err = c.decode(raw, into)
	}
	return uncertain(err)
}

// uncertain adds to an error of a change what it leaves open: nothing where the
// API refused it or was never reached.
func uncertain(err error) error {
	refused, _ := errors.AsType[*apiError](err)
	dial, _ := errors.AsType[*net.OpError](err)
	if err == nil || refused != nil || dial != nil && dial.Op == "dial" {
		return err
	}
	return fmt.Errorf("%w\nThe change may have been made all the same: look with \"fairlead status\"", err)
}

// send sends a request, and returns a response that is neither an error nor of
// somebody else. The caller closes its body.
func (c *client) send(ctx context.Context, method, path string, query url.Values, body []byte, fields http.Header) (*http.Response, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, fields)
	req.Header.Set("User-Agent", userAgent())
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	return nil, c.refused(res)
}

// userAgent says who asks, for the log of the one who is asked.
func userAgent() string {
	name := "fairlead/" + strings.Map(fieldCharacter, strings.TrimSpace(strings.SplitN(buildVersion(), " ", 2)[0]))
	if u, err := user.Current(); err == nil {
		name += " user=" + strings.Map(fieldCharacter, u.Username)
	}
	return name
}

// fieldCharacter keeps what may stand in a field of HTTP and in a log.
func fieldCharacter(r rune) rune {
	if r > ' ' && r < 0x7f {
		return r
	}
	return '_'
}

// read reads an answer in JSON to its end.
func (c *client) read(res *http.Response, limit int64) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, c.stranger(fmt.Sprintf("it answers with %s and %.60q", res.Status, res.Header.Get("Content-Type")))
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, c.unreachable(err)
	case int64(len(raw)) > limit:
		return nil, c.stranger(fmt.Sprintf("its answer is longer than %d bytes", limit))
	}
	return raw, nil
}

// decode takes a document apart. Its strings are made plain.
func (c *client) decode(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return c.stranger(plain(err.Error()))
	}
	makePlain(into)
	return nil
}

// apiError is what the API refused, in its own words.
type apiError struct {
	status int
	said   adminapi.Error
	hint   string // what else to do
}

func (e *apiError) Error() string {
	lines := append([]string{e.said.Text}, e.said.Problems...)
	if e.hint != "" {
		lines = append(lines, e.hint)
	}
	return strings.Join(lines, "\n")
}

// refused is the error of a response that is one.
func (c *client) refused(res *http.Response) error {
	raw, err := c.read(res, errorLimit)
	if err != nil {
		return err
	}
	e := &apiError{status: res.StatusCode}
	if err := c.decode(raw, &e.said); err != nil {
		return err
	}
	if e.said.Code == "" || e.said.Text == "" {
		return c.stranger("it answers with " + strconv.Itoa(res.StatusCode) + " and no reason")
	}
	if res.StatusCode == http.StatusUnauthorized {
		e.hint = "No token was sent. Name its file with --token-file or FAIRLEAD_TOKEN_FILE, or the configuration with -c."
		if c.tokenSource != "" {
			e.hint = "The token that was sent is that of " + c.tokenSource + ". Is it the file that admin.token_file names?"
		}
	}
	return e
}

// unreachable says what an operator can do about a connection that failed.
func (c *client) unreachable(err error) error {
	at := c.address
	if c.source != "" {
		at += " (" + c.source + ")"
	}
	const advice = "Is fairlead running, and does its configuration have [admin] with this listen?\n" +
		"Another address is given by --admin or FAIRLEAD_ADMIN, or read from the configuration by -c FILE."
	network, timed := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return errInterruptedAsking
	case timed && network.Timeout():
		return fmt.Errorf("%s gives no answer in time (%w)\nThe process may hang, or something between here and there drops packets. Its log says more", at, bare(err))
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s (%w)\n%s", at, bare(err), advice)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no socket at %s (%w)\n%s", at, bare(err), advice)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("this user may not open %s (%w)\nRun the command as a user who may, or change who owns the socket and its folder", at, bare(err))
	}
	return fmt.Errorf("can't talk to %s (%w)\n%s", at, bare(err), advice)
}

// errInterruptedAsking: the operator has stopped a command before its answer.
var errInterruptedAsking = errors.New("stopped before the answer came")

// bare is an error of the HTTP client without the URL in front of it.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// stranger is the error of an answer that Fairlead doesn't give.
func (c *client) stranger(why string) error {
	return fmt.Errorf("what answers at %s is not the admin API of fairlead: %s\n"+
		"Does another program listen there, or a proxy in between? The right address is admin.listen of the configuration", c.address, why)
}
