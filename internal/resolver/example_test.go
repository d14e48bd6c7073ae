package resolver_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"github.com/fairlead/fairlead/internal/resolver"
)

// What /etc/hosts is for the system, another file is for a test.
func Example() {
	file, err := os.CreateTemp("", "hosts")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.Remove(file.Name())
	fmt.Fprintln(file, "192.0.2.1 origin.example")
	file.Close()

	r, err := resolver.New(resolver.Config{Hosts: file.Name()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()

	told := make(chan []netip.Addr, 1)
	stop := r.Watch("origin.example", func(addrs []netip.Addr) { told <- addrs })
	defer stop()
	fmt.Println("watched:", <-told)

	addrs, err := r.Lookup(context.Background(), "Origin.example")
	fmt.Println("looked up:", addrs, err)
	// Output:
	// watched: [192.0.2.1]
	// looked up: [192.0.2.1] <nil>
}
