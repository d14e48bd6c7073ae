package admin

import (
	"context"
	"net/http"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// Backend is what the server asks. Its methods are called from any goroutine,
// often at the same time, and must not wait for clients or origins; Reload may,
// within its context.
//
// Status and History are called once a second while a dashboard is open, however
// many there are. Slices that they give should not be nil: a null in the JSON says
// "unknown" to nobody.
type Backend interface {
	Status() adminapi.Status
	History() adminapi.History
	// Explain says what would happen to a request for target, the path and query
	// as a client would send them. Host is "" where nobody named one. An error
	// says what is wrong with the question.
	Explain(method, host, target string) (adminapi.Explanation, error)
	// Requests gives the last decisions, newest first, at most limit. Route ""
	// means all of them; failed, those that did not just go well. An error says
	// that there is no such route, and which there are.
	Requests(route string, failed bool, limit int) ([]adminapi.Request, error)
	// Config is the configuration at work, to be marshalled to JSON, without
	// secrets.
	Config() any

	// The changes. By says who asks, in a few words. The error is a *Refused
	// where the asker can do something about it, and anything else is a fault of
	// ours.
	Pin(group string, r adminapi.PinRequest, by string) (adminapi.Group, error)
	Unpin(group string, c adminapi.Change, by string) (adminapi.Group, error)
	Failback(group string, c adminapi.Change, by string) (adminapi.Group, error)
	// StartDrill gets a request whose numbers are in their ranges, its defaults
	// filled in.
	StartDrill(group string, r adminapi.DrillRequest, by string) (adminapi.Group, error)
	StopDrill(group, by string) (adminapi.Group, error)
	Drain(origin string, c adminapi.Change, by string) (adminapi.Origin, error)
	Ready(origin string, c adminapi.Change, by string) (adminapi.Origin, error)
	Reload(ctx context.Context, by string) (adminapi.ReloadResult, error)

	// Serving is nil while clients are served, and says what is missing
	// otherwise. The state of the origins is no part of it.
	Serving() error
}

// Refused is an answer of 400 or above: what adminapi.Error says.
type Refused struct {
	// Code is one of the list in adminapi.Error. Any other counts as "internal".
	Code string
	// Text says what is wrong and what to do.
	Text string
	// Generation is the present one, where Code is "stale".
	Generation uint64
	// Problems are those of a configuration, one each.
	Problems []string
}

// Error is the text.
func (r *Refused) Error() string { return r.Text }

// statuses are the codes of adminapi.Error and what they are answered with.
var statuses = map[string]int{
	"bad_request":            http.StatusBadRequest,
	"unauthorized":           http.StatusUnauthorized,
	"forbidden":              http.StatusForbidden,
	"not_found":              http.StatusNotFound,
	"method_not_allowed":     http.StatusMethodNotAllowed,
	"stale":                  http.StatusConflict,
	"no_healthy_origin":      http.StatusConflict,
	"pinned":                 http.StatusConflict,
	"following":              http.StatusConflict,
	"primary_down":           http.StatusConflict,
	"drill_runs":             http.StatusConflict,
	"not_on_primary":         http.StatusConflict,
	"bad_config":             http.StatusUnprocessableEntity,
	"too_large":              http.StatusRequestEntityTooLarge,
	"unsupported_media_type": http.StatusUnsupportedMediaType,
	"busy":                   http.StatusServiceUnavailable,
	"internal":               http.StatusInternalServerError,
}
