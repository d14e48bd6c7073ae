package handover

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// matches reports whether a socket that systemd opened, bound at an address and
// named by its unit, is the one that the configuration calls by this address.
//
// An empty host means every address, and is matched by a socket of either
// family. No name is looked up: a host name is matched by the socket's name
// only.
func matches(address string, bound net.Addr, name string) bool {
	if name != "" && (name == address || name == unitName(address)) {
		return true
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		a, ok := bound.(*net.UnixAddr)
		return ok && a.Name != "" && filepath.Clean(a.Name) == filepath.Clean(path)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	at := addrPort(bound)
	if !at.IsValid() || at.Port() == 0 || strconv.Itoa(int(at.Port())) != port {
		return false
	}
	ip := at.Addr().Unmap()
	if host == "" {
		return ip.IsUnspecified()
	}
	want, err := netip.ParseAddr(host)
	return err == nil && want.Unmap() == ip
}

// unitName is an address as FileDescriptorName= of a socket unit can have it,
// which takes no colon: "localhost-8080" for "localhost:8080".
func unitName(address string) string { return strings.ReplaceAll(address, ":", "-") }

// addrPort is invalid for what is not of the Internet.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort()
	case *net.UDPAddr:
		return a.AddrPort()
	}
	return netip.AddrPort{}
}
