package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code: 0 done, 1 a failed measurement, 2 wrong usage. The benchmark starts itself again as the
// origin and as the ReverseProxy; then the first argument is a role.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var err error
	if len(args) > 0 && isRole(args[0]) {
		err = runRole(args[0], args[1:])
	} else {
		var o options
		o, err = parseOptions(args, stderr)
		switch {
		case errors.Is(err, errHelp):
			return 0
		case err != nil:
			return 2
		}
		err = measure(ctx, o, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}
