//go:build !unix

package proxy

// count knows no limit here that could be asked for.
func (d *descriptors) count() { d.boundless() }

// taken is never so where there is no limit.
func (d *descriptors) taken() bool { return false }
