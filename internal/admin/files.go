package admin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// file is one of the page's, ready to be sent.
type file struct {
	contentType string
	etag        string
	body        []byte
}

// contentTypes are those of a page, by extension. The system's own table is not
// asked: the same page is the same everywhere.
var contentTypes = map[string]string{
	".html":        "text/html; charset=utf-8",
	".css":         "text/css; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".mjs":         "text/javascript; charset=utf-8",
	".svg":         "image/svg+xml",
	".png":         "image/png",
	".ico":         "image/x-icon",
	".json":        "application/json",
	".webmanifest": "application/manifest+json",
}

// readPage reads all files, by the path that they are asked for.
func readPage(page fs.FS) (map[string]*file, error) {
	files := make(map[string]*file)
	if page == nil {
		return files, nil
	}
	err := fs.WalkDir(page, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f := &file{contentType: contentTypes[path.Ext(name)]}
		if f.contentType == "" {
			return fmt.Errorf("%s is no kind of file that is served", name)
		}
		if f.body, err = fs.ReadFile(page, name); err != nil {
			return err
		}
		sum := sha256.Sum256(f.body)
		f.etag = `"` + hex.EncodeToString(sum[:16]) + `"`
		files["/"+name] = f
		return nil
	})
	if err != nil {
		return nil, err
	}
	if files["/"] = files["/index.html"]; files["/"] == nil {
		return nil, errors.New("there is no index.html")
	}
	return files, nil
}

// serveFile sends a file of the page. They hold no secret, so no token is asked
// for: without them nobody could sign in. A browser keeps them and asks each time
// whether they are still the same.
func (c *call) serveFile(f *file) {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		c.nothingThere([]string{http.MethodGet, http.MethodHead})
		return
	}
	h := c.w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(c.w, c.r, "", time.Time{}, bytes.NewReader(f.body))
}
