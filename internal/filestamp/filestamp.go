// Package filestamp tells whether files have changed, without reading them.
//
// Files are compared by size, time and identity, through symbolic links. There
// is no watch of the kernel's: that breaks with each way of replacing a file
// that its author did not think of. A look costs a system call a file.
package filestamp

import (
	"os"
	"slices"
)

// Stamps are what files were when they were looked at. The zero value is that of
// no files.
type Stamps []stamp

// stamp is nil for a file that is not there, or can't be looked at.
type stamp struct{ info os.FileInfo }

// Of looks at the files.
func Of(paths ...string) Stamps {
	all := make(Stamps, len(paths))
	for i, p := range paths {
		if info, err := os.Stat(p); err == nil {
			all[i] = stamp{info}
		}
	}
	return all
}

// Same reports whether nothing has happened to the files in between. Both must
// be of the same paths, in the same order.
func (s Stamps) Same(o Stamps) bool { return slices.EqualFunc(s, o, stamp.same) }

func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime()) && os.SameFile(s.info, o.info)
}
