//go:build !linux

package chaos

// openFiles knows nothing here.
func openFiles() map[string]int { return nil }
