package route_test

import (
	"fmt"

	"github.com/fairlead/fairlead/internal/route"
)

func ExampleTable_Match() {
	patterns := []string{"/", "GET /product/{id}", "admin.example.com/"}
	table, err := route.NewTable(patterns)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, path := range []string{"/product/7", "/product/7/photos"} {
		i := table.Match([]byte("HEAD"), []byte("example.com:8080"), []byte(path))
		fmt.Println(path, "belongs to", patterns[i])
	}
	// Output:
	// /product/7 belongs to GET /product/{id}
	// /product/7/photos belongs to /
}

func ExampleNewTable_conflict() {
	_, err := route.NewTable([]string{"/{section}/latest", "/news/{id}"})
	fmt.Println(err)
	// Output:
	// pattern 1: "/news/{id}" and "/{section}/latest" both match "/news/latest", but neither is more specific
}
