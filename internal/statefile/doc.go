// Package statefile keeps in a file what a pointer must not forget when the
// process ends: where it is, since when, why, what an operator fixed, and where
// it was led.
//
//	s, err := statefile.Load("/var/lib/fairlead/state")
//	switch {
//	case errors.Is(err, fs.ErrNotExist):
//		// the first start
//	case errors.Is(err, statefile.ErrForeign), errors.Is(err, statefile.ErrVersion):
//		// not ours to replace; Save refuses it too
//	case err != nil:
//		// empty or damaged; the next Save replaces it
//	}
//	err = statefile.Save("/var/lib/fairlead/state", s)
//
// The format is one line and then JSON, to be read with cat:
//
//	fairlead-state VERSION LENGTH SHA256
//	{
//	  "saved": "2026-01-01T00:00:00Z",
//	  "groups": [ ... ]
//	}
//
// LENGTH counts the bytes after that line, SHA256 is the checksum of the version,
// a space, the length, a line feed and those bytes. The first line has this form
// in every version, so that a newer file is told from a damaged one. Fields are
// added without a new version, and unknown ones are ignored; a new version is
// what an older program would misunderstand.
//
// The package knows no pointer and believes no value: it says what stood in the
// file. It keeps no history, takes no lock and watches nothing.
package statefile
