package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/internal/adminapi"
)

// schema is as much of a JSON schema as the document uses.
type schema struct {
	Ref         string             `json:"$ref"`
	Type        string             `json:"type"`
	Format      string             `json:"format"`
	Description string             `json:"description"`
	Minimum     *int               `json:"minimum"`
	Maximum     *int               `json:"maximum"`
	Items       *schema            `json:"items"`
	Properties  map[string]*schema `json:"properties"`
	Required    []string           `json:"required"`
	// Additional says whether there may be other fields; nil: yes.
	Additional *bool `json:"additionalProperties"`
}

type content map[string]struct {
	Schema *schema `json:"schema"`
}

type operation struct {
	ID          string            `json:"operationId"`
	Tags        []string          `json:"tags"`
	Summary     string            `json:"summary"`
	Description string            `json:"description"`
	Security    *[]map[string]any `json:"security"`
	Parameters  []parameter       `json:"parameters"`
	Body        *struct {
		Required bool
		Content  content
	} `json:"requestBody"`
	Responses map[string]struct {
		Ref         string  `json:"$ref"`
		Description string  `json:"description"`
		Content     content `json:"content"`
	} `json:"responses"`
}

type parameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"`
	Required    bool    `json:"required"`
	Explode     bool    `json:"explode"`
	Description string  `json:"description"`
	Schema      *schema `json:"schema"`
}

// apiDocument is openapi.json. What it doesn't know is an error.
type apiDocument struct {
	OpenAPI    string           `json:"openapi"`
	Info       map[string]any   `json:"info"`
	Servers    []map[string]any `json:"servers"`
	Security   []map[string]any `json:"security"`
	Tags       []map[string]any `json:"tags"`
	Paths      map[string]map[string]operation
	Components struct {
		Security  map[string]any     `json:"securitySchemes"`
		Responses map[string]any     `json:"responses"`
		Schemas   map[string]*schema `json:"schemas"`
	} `json:"components"`
}

func readDocument(t *testing.T) apiDocument {
	t.Helper()
	var d apiDocument
	decoder := json.NewDecoder(strings.NewReader(string(openapi)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

// documents are what each operation takes and gives; nil: nothing that is JSON
// of ours.
var documents = map[string]struct{ takes, gives any }{
	"GET /v1/status":                   {nil, adminapi.Status{}},
	"GET /v1/history":                  {nil, adminapi.History{}},
	"GET /v1/events":                   {nil, []adminapi.Event{}},
	"GET /v1/live":                     {nil, nil},
	"GET /v1/explain":                  {nil, adminapi.Explanation{}},
	"GET /v1/requests":                 {nil, []adminapi.Request{}},
	"GET /v1/config":                   {nil, nil},
	"GET /v1/openapi.json":             {nil, nil},
	"POST /v1/groups/{group}/pin":      {adminapi.PinRequest{}, adminapi.Group{}},
	"POST /v1/groups/{group}/unpin":    {adminapi.Change{}, adminapi.Group{}},
	"POST /v1/groups/{group}/failback": {adminapi.Change{}, adminapi.Group{}},
	"POST /v1/groups/{group}/drill":    {adminapi.DrillRequest{}, adminapi.Group{}},
	"DELETE /v1/groups/{group}/drill":  {nil, adminapi.Group{}},
	"POST /v1/origins/{origin}/drain":  {adminapi.Change{}, adminapi.Origin{}},
	"POST /v1/origins/{origin}/ready":  {adminapi.Change{}, adminapi.Origin{}},
	"POST /v1/reload":                  {nil, adminapi.ReloadResult{}},
	"POST /v1/session":                 {adminapi.SessionRequest{}, nil},
	"DELETE /v1/session":               {nil, nil},
	"GET /metrics":                     {nil, nil},
	"GET /healthz":                     {nil, nil},
	"GET /readyz":                      {nil, nil},
}

func TestTheDocumentHasEachRouteAndNoOther(t *testing.T) {
	r := newRig(t, nil)
	defer r.server.Close()
	d := readDocument(t)
	left := make(map[string]operation)
	for path, operations := range d.Paths {
		for method, o := range operations {
			left[strings.ToUpper(method)+" "+path] = o
		}
	}
	ids := make(map[string]bool)
	for _, route := range r.server.routes {
		name := route.method + " " + route.pattern
		o, there := left[name]
		if !there {
			t.Errorf("%s is not in the document", name)
			continue
		}
		delete(left, name)
		if ids[o.ID] || o.ID == "" || o.Summary == "" || len(o.Tags) != 1 {
			t.Errorf("%s: its operationId %q, its summary or its tag is missing or taken", name, o.ID)
		}
		ids[o.ID] = true
		checkOperation(t, name, route, o)
	}
	for name := range left {
		t.Errorf("%s is in the document and not in the routes", name)
	}
}

// checkOperation holds parameters, documents and security against the route.
func checkOperation(t *testing.T, name string, route route, o operation) {
	var query, path []string
	for _, p := range o.Parameters {
		if p.Description == "" || p.Schema == nil {
			t.Errorf("%s: the parameter %s lacks its description or schema", name, p.Name)
		}
		if p.In == "query" {
			query = append(query, p.Name)
		} else {
			path = append(path, "{"+p.Name+"}")
		}
	}
	known := slices.DeleteFunc(slices.Clone(route.query), func(s string) bool { return s == "*" })
	slices.Sort(known)
	if slices.Sort(query); !slices.Equal(query, known) {
		t.Errorf("%s: the document has the parameters %v, the route %v", name, query, known)
	}
	for segment := range strings.SplitSeq(route.pattern, "/") {
		if strings.HasPrefix(segment, "{") != slices.Contains(path, segment) {
			t.Errorf("%s: the path has %s and its parameters are %v", name, segment, path)
		}
	}
	if open := o.Security != nil; open != route.open {
		t.Errorf("%s: open in the document: %v", name, open)
	}
	if o.Responses["default"].Ref != "#/components/responses/Error" {
		t.Errorf("%s: its default response is no Error", name)
	}
	want, listed := documents[name]
	if !listed {
		t.Errorf("%s: the test doesn't know its documents", name)
	}
	if want.gives != nil {
		checkType(t, name+" gives", reflect.TypeOf(want.gives), o.Responses["200"].Content["application/json"].Schema)
	}
	if want.takes != nil {
		checkType(t, name+" takes", reflect.TypeOf(want.takes), o.Body.Content["application/json"].Schema)
	}
	if needs := route.method == http.MethodPost; needs != (o.Body != nil) {
		t.Errorf("%s: there is a body: %v", name, o.Body != nil)
	}
}

// checkType compares a schema with a Go type, one step deep.
func checkType(t *testing.T, where string, typ reflect.Type, s *schema) {
	t.Helper()
	want := schemaOf(typ)
	if s == nil || s.Ref != want.Ref || s.Type != want.Type || s.Format != want.Format {
		t.Errorf("%s: the document says %+v, the type %s is %+v", where, s, typ, want)
		return
	}
	if want.Items != nil {
		checkType(t, where+"[]", typ.Elem(), s.Items)
	}
}

func schemaOf(typ reflect.Type) schema {
	if typ == reflect.TypeFor[time.Time]() {
		return schema{Type: "string", Format: "date-time"}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return schemaOf(typ.Elem())
	case reflect.Slice:
		items := schemaOf(typ.Elem())
		return schema{Type: "array", Items: &items}
	case reflect.Struct:
		return schema{Ref: "#/components/schemas/" + typ.Name()}
	case reflect.String:
		return schema{Type: "string"}
	case reflect.Bool:
		return schema{Type: "boolean"}
	case reflect.Int64:
		return schema{Type: "integer", Format: "int64"}
	case reflect.Int, reflect.Uint64:
		return schema{Type: "integer"}
	case reflect.Float64:
		return schema{Type: "number"}
	}
	return schema{Type: "of no kind that the API uses: " + typ.String()}
}

// types are all structs of the API, by name: those of documents, of streams and
// of errors, and what they hold.
func types() map[string]reflect.Type {
	all := make(map[string]reflect.Type)
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() || all[typ.Name()] != nil {
			return
		}
		all[typ.Name()] = typ
		for f := range fields(typ) {
			visit(f.Type)
		}
	}
	for _, d := range documents {
		for _, v := range []any{d.takes, d.gives} {
			if v != nil {
				visit(reflect.TypeOf(v))
			}
		}
	}
	visit(reflect.TypeFor[adminapi.Sample]())
	visit(reflect.TypeFor[adminapi.Error]())
	return all
}

// fields are those of a struct as JSON has them, embedded ones too.
func fields(typ reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(typ) {
			if !f.Anonymous && !yield(f) {
				return
			}
		}
	}
}

func TestTheDocumentHasEachFieldAndNoOther(t *testing.T) {
	d := readDocument(t)
	all := types()
	for name, typ := range all {
		s := d.Components.Schemas[name]
		if s == nil || s.Type != "object" || s.Description == "" {
			t.Errorf("%s is not in the document, or without a description", name)
			continue
		}
		_, takes := map[string]bool{"PinRequest": true, "DrillRequest": true, "Change": true, "SessionRequest": true}[name]
		if takes != (s.Additional != nil && !*s.Additional) {
			t.Errorf("%s: additionalProperties must be false for what is taken, and for nothing else", name)
		}
		var required []string
		left := make(map[string]bool)
		for field := range s.Properties {
			left[field] = true
		}
		for f := range fields(typ) {
			field, option, _ := strings.Cut(f.Tag.Get("json"), ",")
			delete(left, field)
			if p := s.Properties[field]; p == nil {
				t.Errorf("%s.%s is not in the document", name, field)
			} else {
				checkType(t, name+"."+field, f.Type, p)
			}
			if option != "omitempty" {
				required = append(required, field)
			}
		}
		for field := range left {
			t.Errorf("%s.%s is in the document and not in the type", name, field)
		}
		slices.Sort(required)
		if have := slices.Sorted(slices.Values(s.Required)); !slices.Equal(have, required) {
			t.Errorf("%s: the document says that %v are always there, the type %v", name, have, required)
		}
	}
	for name := range d.Components.Schemas {
		if all[name] == nil {
			t.Errorf("%s is in the document and no type of the API", name)
		}
	}
}

// TestWhatIsServedIsWhatTheDocumentSays validates real answers.
func TestWhatIsServedIsWhatTheDocumentSays(t *testing.T) {
	r := start(t, nil)
	r.backend.sample(1)
	r.fill(2)
	r.journal.Add(adminapi.Event{Kind: "verdict", Origin: "eu", Route: "all", From: "a", To: "b", Generation: 1, Cause: "c", By: "b", Evidence: []adminapi.Probe{{Status: 1}}})
	d := readDocument(t)
	for _, route := range r.server.routes {
		name := route.method + " " + route.pattern
		operation := d.Paths[route.pattern][strings.ToLower(route.method)]
		path := strings.NewReplacer("{group}", "shop", "{origin}", "eu").Replace(route.pattern)
		body := map[bool]string{true: `{"target":"us"}`, false: `{}`}[strings.HasSuffix(path, "/pin")]
		switch {
		case strings.HasSuffix(path, "/explain"):
			path += "?url=/"
		case path == "/v1/live":
			continue // a stream; the next test
		}
		g := r.ask(route.method, path, body)
		said, known := operation.Responses[fmt.Sprint(g.status)]
		if !known {
			t.Errorf("%s: %d is not in the document: %s", name, g.status, g.body)
			continue
		}
		contentType, _, _ := strings.Cut(g.header.Get("Content-Type"), ";")
		c, known := said.Content[contentType]
		if !known && g.body != "" {
			t.Errorf("%s: %s is not in the document", name, contentType)
			continue
		}
		if contentType == "application/json" {
			validate(t, d, name, c.Schema, []byte(g.body))
		}
	}
	for _, g := range []got{r.ask("GET", "/v1/none", ""), r.ask("POST", "/v1/groups/shop/pin", `{"target":"eu","generation":1}`)} {
		validate(t, d, "an error", d.Components.Schemas["Error"], []byte(g.body))
	}
}

func TestWhatIsStreamedIsWhatTheDocumentSays(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.backend.sample(1)
	r.fill(1)
	d := readDocument(t)
	s := r.stream("/v1/live?since=0")
	schemas := map[string]string{"status": "Status", "event": "Event", "sample": "Sample"}
	for second := 2; len(schemas) > 0; second++ {
		r.backend.sample(second)
		m := s.any()
		if name := schemas[m.event]; name != "" {
			validate(t, d, m.event, d.Components.Schemas[name], []byte(m.data))
			delete(schemas, m.event)
		}
	}
}

// validate checks a value against a schema, to its depth.
func validate(t *testing.T, d apiDocument, where string, s *schema, value []byte) {
	t.Helper()
	if name, isRef := strings.CutPrefix(s.Ref, "#/components/schemas/"); isRef {
		s = d.Components.Schemas[name]
	}
	var err error
	switch s.Type {
	case "object":
		var have map[string]json.RawMessage
		if err = json.Unmarshal(value, &have); err == nil && have != nil && s.Properties != nil {
			validateObject(t, d, where, s, have)
		}
	case "array":
		var have []json.RawMessage
		if err = json.Unmarshal(value, &have); err == nil && string(value) == "null" {
			err = fmt.Errorf("null is no array")
		}
		for _, v := range have {
			validate(t, d, where+"[]", s.Items, v)
		}
	case "string":
		if err = json.Unmarshal(value, new(string)); s.Format == "date-time" {
			err = json.Unmarshal(value, new(time.Time))
		}
	case "integer":
		err = json.Unmarshal(value, new(int64))
	case "number":
		err = json.Unmarshal(value, new(float64))
	case "boolean":
		err = json.Unmarshal(value, new(bool))
	default:
		err = fmt.Errorf("the document has a type %q", s.Type)
	}
	if err != nil {
		t.Errorf("%s: %s: %v", where, value, err)
	}
}

func validateObject(t *testing.T, d apiDocument, where string, s *schema, have map[string]json.RawMessage) {
	t.Helper()
	for _, field := range s.Required {
		if have[field] == nil {
			t.Errorf("%s lacks %s", where, field)
		}
	}
	for field, v := range have {
		p := s.Properties[field]
		if p == nil {
			t.Errorf("%s.%s is not in the document", where, field)
		} else {
			validate(t, d, where+"."+field, p, v)
		}
	}
}

func TestTheErrorCodesAreThoseOfTheDocument(t *testing.T) {
	text := readDocument(t).Components.Schemas["Error"].Properties["code"].Description
	for code := range statuses {
		if !strings.Contains(text, `"`+code+`"`) {
			t.Errorf("the document doesn't name %q", code)
		}
	}
	if n := strings.Count(text, `"`) / 2; n != len(statuses) {
		t.Errorf("the document names %d codes, and there are %d", n, len(statuses))
	}
}
