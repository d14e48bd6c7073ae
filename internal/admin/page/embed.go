// Package page is the dashboard of the admin listener: HTML, CSS and ES modules
// as they stand in this folder, embedded. There is no build step and nothing is
// fetched from elsewhere.
//
// The page asks the API by relative addresses (v1/live, v1/history, ...), so it
// works wherever the folder of index.html is served beside /v1/. Everything in
// it holds under the policy "default-src 'self'": no inline script, no inline
// style, no data: address. None of the files is a secret, so they may be served
// to a browser that has not signed in; the page then shows its sign-in form,
// because v1/history answers 401.
package page

import (
	"embed"
	"io/fs"
)

//go:embed index.html page.css *.js *.svg
var files embed.FS

// Files holds index.html and what it refers to, all in one flat folder. It is
// read-only and safe for concurrent use.
var Files fs.FS = files
