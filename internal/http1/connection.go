package http1

// options are the connection options that mean something here.
type options struct{ close, keepAlive, upgrade bool }

// maxOptions bounds the work of looking up every option among all fields.
const maxOptions = 64

// connectionOptions reads the Connection fields and marks the fields that
// they name as hop-by-hop, but for those that may not be removed (RFC 9110,
// 7.6.1).
func connectionOptions(fields []Field) (o options, err error) {
	count := 0
	for i := range fields {
		if fields[i].ID != FieldConnection {
			continue
		}
		option, rest := element(fields[i].Value)
		for ; len(option) > 0; option, rest = element(rest) {
			if count++; count > maxOptions {
				return o, ErrConnection
			}
			switch {
			case equalFold(option, "keep-alive"):
				o.keepAlive = true
			case equalFold(option, "close"):
				o.close = true
			case equalFold(option, "upgrade"):
				o.upgrade = true
			case !isToken(option):
				return o, ErrConnection
			default:
				markHop(fields, option)
			}
		}
	}
	return o, nil
}

func markHop(fields []Field, name []byte) {
	id := lookup(name)
	if keptFields.has(id) {
		return
	}
	for i := range fields {
		f := &fields[i]
		if f.ID == id && (id != FieldOther || sameName(f.Name, name)) {
			f.Hop = true
		}
	}
}

func sameName(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// mayUpgrade reports whether an Upgrade value may be sent to an origin. A
// tunnel of HTTP/2 or TLS would carry requests past routes, permits and
// everything else here, so those are never asked for.
func mayUpgrade(value []byte) bool {
	protocol, rest := element(value)
	if len(protocol) == 0 {
		return false
	}
	for ; len(protocol) > 0; protocol, rest = element(rest) {
		for _, refused := range [...]string{"h2", "http/", "tls/"} {
			if hasPrefixFold(protocol, refused) {
				return false
			}
		}
	}
	return true
}
