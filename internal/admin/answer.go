package admin

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// Nothing that is served here is ever part of another site's page, and the page
// runs no script and no style but its own files.
const contentPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// shield sets what every answer carries.
func shield(h http.Header) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// answer writes a document.
func (c *call) answer(status int, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		c.server.fault(err)
		status = http.StatusInternalServerError
		body, _ = json.Marshal(adminapi.Error{Code: "internal", Text: "the answer can't be written as JSON: " + err.Error()})
	}
	c.write(status, "application/json", append(body, '\n'))
}

func (c *call) write(status int, contentType string, body []byte) {
	c.w.Header().Set("Content-Type", contentType)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // the client is gone, and nobody is left to tell
}

// refuse answers with an error.
func (c *call) refuse(e *Refused) {
	status, code := statuses[e.Code], e.Code
	if status == 0 {
		status, code = http.StatusInternalServerError, "internal"
	}
	c.answer(status, adminapi.Error{Code: code, Text: e.Text, Problems: e.Problems, Generation: e.Generation})
}

func badRequest(text string) *Refused { return &Refused{Code: "bad_request", Text: text} }
