//go:build !linux && !darwin

package statefile

// limitedSave is for systems that can limit the size of a file.
func limitedSave(path string) error { return Save(path, big(2)) }
