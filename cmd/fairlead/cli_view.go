package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// view is what is known of the place where text will stand.
type view struct {
	width, height int  // 0: as much as it takes
	paint         bool // colours are wanted
	all           bool // every row, even if they don't fit
	zone          *time.Location
}

// viewOf looks at where out leads. A pipe gets whole lines and all rows, unless
// COLUMNS and LINES say otherwise, as watch(1) has them do.
func viewOf(out io.Writer) view {
	v := view{paint: colours(out), zone: time.Local}
	if f, ok := out.(*os.File); ok {
		v.width, v.height = terminalSize(f)
	}
	if v.width <= 0 {
		v.width = positive(os.Getenv("COLUMNS"))
		v.height = positive(os.Getenv("LINES"))
	}
	return v
}

// positive is a number of the environment, 0 for what is none.
func positive(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<16 {
		return 0
	}
	return n
}

// say prints lines. Its error is that of the writer: whoever reads is gone.
func say(out io.Writer, lines ...string) error {
	_, err := fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}
