package suite

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// admin asks the proxy's admin listener, which is a unix socket.
type admin struct{ client *http.Client }

func newAdmin(socket string) *admin {
	return &admin{&http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

func (a *admin) get(path string) (*http.Response, error) {
	r, err := a.client.Get("http://127.0.0.1" + path)
	if err != nil {
		return nil, err
	}
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 1000))
		_ = r.Body.Close()
		return nil, fmt.Errorf("%s: %s: %s", path, r.Status, text)
	}
	return r, nil
}

// status is the whole state.
func (a *admin) status() (*adminapi.Status, error) {
	r, err := a.get("/v1/status")
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Body.Close() }()
	s := &adminapi.Status{}
	return s, json.NewDecoder(r.Body).Decode(s)
}

// post asks for a change.
func (a *admin) post(path string) error {
	r, err := a.client.Post("http://127.0.0.1"+path, "application/json", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 1000))
		return fmt.Errorf("%s: %s: %s", path, r.Status, text)
	}
	return nil
}

// metrics are the samples of a scrape, summed up over their labels.
func (a *admin) metrics() (map[string]float64, error) {
	r, err := a.get("/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Body.Close() }()
	sums := make(map[string]float64)
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 {
			name, value = lines.Text()[:i], lines.Text()[i+1:]
		}
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		name, _, _ = strings.Cut(name, "{")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			sums[name] += v
		}
	}
	return sums, lines.Err()
}
