package main

import (
	"crypto/x509"
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/fairlead/fairlead/config"
)

// effective is a configuration with every default filled in, for JSON: its tables
// and keys are called as in the file. There is no secret in a configuration: it
// has paths of keys and tokens, not their contents.
func effective(cfg *config.Config) map[string]any {
	tables := map[string]any{
		"server": plainValue(reflect.ValueOf(cfg.Server)), "log": plainValue(reflect.ValueOf(cfg.Log)),
		"resolver": plainValue(reflect.ValueOf(cfg.Resolver)), "routes": plainValue(reflect.ValueOf(cfg.Routes)),
	}
	if cfg.Nameserver != nil {
		tables["nameserver"] = plainValue(reflect.ValueOf(*cfg.Nameserver))
	}
	if cfg.Admin != nil {
		tables["admin"] = plainValue(reflect.ValueOf(*cfg.Admin))
	}
	origins, groups := map[string]any{}, map[string]any{}
	for i := range cfg.Origins {
		origins[cfg.Origins[i].Name] = plainNamed(reflect.ValueOf(cfg.Origins[i]))
	}
	for i := range cfg.Groups {
		groups[cfg.Groups[i].Name] = plainNamed(reflect.ValueOf(cfg.Groups[i]))
	}
	tables["origins"], tables["groups"] = origins, groups
	return tables
}

// derived are fields that no key has: the parts of an origin's URL, and what was
// read from files.
var derived = map[string]bool{"Scheme": true, "Network": true, "Address": true, "Authority": true, "RootCAs": true}

// keyNames are fields whose keys are called otherwise than they look.
var keyNames = map[string]string{"ServerName": "sni", "NSAddresses": "ns_addresses", "HTTPSRedirect": "https_redirect", "H2C": "h2c", "DNSName": "dns_name", "DNSAnswer": "dns_answer"}

// plainValue is a value of the configuration as JSON should have it.
func plainValue(v reflect.Value) any {
	if v.CanInterface() {
		switch x := v.Interface().(type) {
		case time.Duration:
			return x.String()
		case *x509.CertPool:
			return nil
		case fmt.Stringer:
			if v.Kind() != reflect.Pointer || !v.IsNil() {
				return x.String()
			}
			return nil
		case encoding.TextMarshaler:
			if text, err := x.MarshalText(); err == nil {
				return string(text)
			}
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plainValue(v.Elem())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plainValue(v.Index(i))
		}
		return list
	case reflect.Struct:
		return plainTable(v)
	}
	return v.Interface()
}

// plainNamed is a table whose name stands in its header and is no key.
func plainNamed(v reflect.Value) map[string]any {
	table := plainTable(v)
	delete(table, "name")
	return table
}

func plainTable(v reflect.Value) map[string]any {
	table := make(map[string]any)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if derived[field.Name] {
			continue
		}
		if value := plainValue(v.Field(i)); value != nil {
			table[keyOf(field.Name)] = value
		}
	}
	return table
}

// keyOf is the key of a field: MaxHeaderBytes is max_header_bytes, TTL is ttl.
func keyOf(field string) string {
	if key := keyNames[field]; key != "" {
		return key
	}
	var b strings.Builder
	runes := []rune(field)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
