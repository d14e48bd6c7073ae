package config

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Admin is the table [admin]: where operators and their tools ask what goes on,
// and say what is to happen.
type Admin struct {
	// Listen is "host:port" or "unix:/path". It is none of the addresses of
	// clients.
	Listen string
	// TokenFile is the path of a file that holds the token which everybody has to
	// show. It is there unless Listen is loopback or a unix socket. A relative path
	// in the file has been joined to the file's folder.
	TokenFile string
	// Hosts are names that a Host field may hold beside Listen's own host, in lower
	// case.
	Hosts []string
}

// minToken is how many bytes a token has at least: 16 hexadecimal digits are 64
// bits.
const minToken = 16

func defaultAdmin() Admin { return Admin{Listen: "127.0.0.1:9900"} }

func adminFields(a *Admin) fields {
	return fields{
		"listen":     adminListen(&a.Listen),
		"token_file": filled(&a.TokenFile, "the path of a file with a token"),
		"hosts":      list(&a.Hosts, adminHost, 0, 100),
	}
}

// admin reads the table [admin], which makes a difference by being there.
func (d *decoder) admin(v value) {
	if v.kind != kindTable {
		d.reject(v, "a table is needed, not %s; write [admin] and its keys below", v.kind)
		return
	}
	a, s := defaultAdmin(), scope{owner: "admin"}
	d.table(s, v.node, adminFields(&a))
	if a.TokenFile != "" {
		a.TokenFile = d.path(a.TokenFile)
		d.checkToken(value{v.node.get("token_file"), s, "token_file"}, a.TokenFile)
	}
	d.cfg.Admin = &a
}

// adminListen stores one address to listen on.
func adminListen(dst *string) setter {
	return func(d *decoder, v value) {
		if a, ok := listenAddress(d, v); ok {
			*dst = a
		}
	}
}

// adminHost is a name that is not the listener's own.
func adminHost(d *decoder, v value) (string, bool) {
	if !d.want(v, kindString, `a host name, such as "fairlead.internal"`) {
		return "", false
	}
	if _, err := netip.ParseAddr(v.text); err != nil && !validHost(v.text) {
		d.reject(v, `not a host name; write one without scheme and port, such as "fairlead.internal"`)
		return "", false
	}
	return strings.ToLower(v.text), true
}

// checkToken sees that a token can be read and is worth something.
func (d *decoder) checkToken(v value, path string) {
	token, err := d.readFile(v, path, "a file with a token")
	if err != nil {
		return
	}
	if len(bytes.TrimSpace(token)) < minToken {
		d.reject(v, "%s holds fewer than %d characters; write a token such as the output of: openssl rand -hex 32", showText(path), minToken)
	}
}

// checkAdmin keeps operators and clients apart.
func (d *decoder) checkAdmin() {
	t, a := d.root.get("admin"), d.cfg.Admin
	if t == nil || t.kind != kindTable || a == nil || !sound(t, "listen") {
		return
	}
	s := scope{owner: "admin"}
	at := t.get("listen")
	if at == nil {
		at = t
	}
	taken := slices.Concat(d.cfg.Server.Listen, d.cfg.Server.TLSListen)
	if d.cfg.Nameserver != nil {
		taken = append(taken, d.cfg.Nameserver.Listen)
	}
	for _, b := range taken {
		if claims(a.Listen, b) || claims(b, a.Listen) {
			d.reject(value{at, s, "listen"}, "clients are served on %s; write another port, or a unix socket", show(b))
			return
		}
	}
	for i := range d.cfg.Origins {
		if o := &d.cfg.Origins[i]; sound(d.origins[i], "url") && leadsTo(o, a.Listen) {
			d.reject(value{d.origins[i].get("url"), scope{owner: "origin " + show(o.Name)}, "url"}, "that is the admin API of this very file, and clients would reach it; write the address of a server")
			return
		}
	}
	if sound(t, "token_file") && a.TokenFile == "" && !local(a.Listen) {
		d.reject(value{at, s, "listen"}, "whoever reaches it could move traffic; write token_file, or an address of this machine alone such as \"127.0.0.1:9900\" or \"unix:/run/fairlead/admin.sock\"")
	}
}

// leadsTo reports whether an origin is a listener of this machine. Of an address
// that means every one, only loopback is surely this machine's.
func leadsTo(o *Origin, listen string) bool {
	if path, unix := strings.CutPrefix(listen, "unix:"); unix {
		return o.Network == "unix" && o.Address == path
	}
	if o.Network != "tcp" {
		return false
	}
	host, port, _ := net.SplitHostPort(listen)
	itsHost, itsPort, _ := net.SplitHostPort(o.Address)
	if port != itsPort || port == "0" {
		return false
	}
	every := host == "" || host == "::" || host == "0.0.0.0"
	return strings.EqualFold(host, itsHost) || (every || local(listen)) && local(o.Address)
}

// local reports whether only this machine reaches an address.
func local(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}
