package config

import (
	"slices"
	"strings"
)

// checkProxyProtocol applies the rules that join proxy_protocol, the listeners
// and who is trusted.
func (d *decoder) checkProxyProtocol() {
	t := d.root.get("server")
	if t == nil || t.kind != kindTable || t.get("proxy_protocol") == nil || !sound(t, "proxy_protocol") {
		return
	}
	n, server := t.get("proxy_protocol"), &d.cfg.Server
	at := value{n, scope{owner: "server"}, "proxy_protocol"}
	if listeners := slices.Concat(server.Listen, server.TLSListen); sound(t, "listen", "tls_listen") {
		for i, a := range server.ProxyProtocol {
			if slices.Contains(listeners, a) {
				continue
			}
			instead := "write it as it stands there"
			if meant := closest(a, listeners); meant != "" {
				instead = "did you mean " + show(meant) + "?"
			}
			d.reject(value{n.items[i], at.scope, at.key}, "neither listen nor tls_listen has this address; %s", instead)
		}
	}
	// Who reaches a unix socket is trusted by that.
	byNetwork := slices.ContainsFunc(server.ProxyProtocol, func(a string) bool { return !strings.HasPrefix(a, "unix:") })
	if byNetwork && len(server.TrustedProxies) == 0 && sound(t, "trusted_proxies") {
		d.reject(at, "without trusted_proxies no header would ever be believed; write the balancer's addresses there, or remove this line")
	}
}
