package config_test

import (
	"errors"
	"fmt"

	"github.com/fairlead/fairlead/config"
)

func ExampleParse() {
	file := `
[origins.app]
url = "http://127.0.0.1:9101"

[groups.app]
primary = "app"

[[routes]]
name = "app"
match = "/"
group = "app"

[routes.bulkhead]
max_concurrent = 100
`
	cfg, err := config.Parse("fairlead.toml", []byte(file), config.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range cfg.Routes {
		fmt.Println(r.Match, "to", cfg.Origin(cfg.Group(r.Group).Primary).Address, "within", r.Timeout)
	}
	// Output: / to 127.0.0.1:9101 within 30s
}

func ExampleProblems() {
	file := `[server]
listen = "127.0.0.1:8080"
idle_timout = "75s"

[origins.app]
url = "127.0.0.1:9101"
connect_timeout = 1
`
	_, err := config.Parse("fairlead.toml", []byte(file), config.Options{})
	if problems, ok := errors.AsType[config.Problems](err); ok {
		for _, p := range problems {
			fmt.Println(p)
		}
	}
	// Output:
	// fairlead.toml:1:1: there is no [[routes]] table, so nothing would be served; write one with name, match, group and [routes.bulkhead]
	// fairlead.toml:2:10: server: listen = "127.0.0.1:8080": a list is needed, not a string; write ["127.0.0.1:8080"]
	// fairlead.toml:3:1: server: idle_timout is an unknown key; did you mean idle_timeout?
	// fairlead.toml:6:7: origin "app": url = "127.0.0.1:9101": not an origin's address; write "http://127.0.0.1:9101"
	// fairlead.toml:7:19: origin "app": connect_timeout = 1: a duration is a string with its unit; write "1s" if seconds are meant
}
