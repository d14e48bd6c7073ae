package admin

import (
	_ "embed"
	"net/http"
)

// openapi describes all of this. Tests hold it against the routes and the types.
//
//go:embed openapi.json
var openapi []byte

func (s *Server) openAPI(c *call) { c.write(http.StatusOK, "application/json", openapi) }
