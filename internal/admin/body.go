package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

const bodyBytes = 64 << 10

// read takes the request's document. Nothing but a JSON object of fields that
// are known gets through; a body that is empty is an object without fields.
//
// The content type is asked for, since a form of another site's page can't have
// it without the browser asking first.
func (c *call) read(document any) *Refused {
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return &Refused{Code: "unsupported_media_type", Text: "send Content-Type: application/json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, bodyBytes))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return &Refused{Code: "too_large", Text: fmt.Sprintf("the body is longer than %d bytes", bodyBytes)}
		}
		return badRequest("the body can't be read: " + err.Error())
	}
	body = bytes.Trim(body, " \t\r\n") // the white space of JSON, and no other
	if len(body) == 0 {
		return nil
	}
	if body[0] != '{' {
		return badRequest("the body must be one JSON object")
	}
	return decode(body, document)
}

func decode(body []byte, document any) *Refused {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(document); err != nil {
		text := strings.TrimPrefix(err.Error(), "json: ")
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			field := wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:] // without the struct that holds it
			text = fmt.Sprintf("%q can't be a %s", field, wrong.Value)
		}
		return badRequest("the body: " + printable(text, 256))
	}
	if _, err := d.Token(); err != io.EOF {
		return badRequest("the body has something behind its JSON object")
	}
	return nil
}
