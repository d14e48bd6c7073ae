package drill

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// seconds prints a time as people say it.
func seconds(m Millis) string {
	if d := time.Duration(m); d < 100*time.Millisecond {
		return milliseconds(m)
	}
	return fmt.Sprintf("%.1f s", time.Duration(m).Seconds())
}

func milliseconds(m Millis) string {
	return fmt.Sprintf("%d ms", time.Duration(m).Round(time.Millisecond).Milliseconds())
}

// short prints a setting as the file writes it, without the zeros that Duration.String adds to whole minutes.
func short(d time.Duration) string {
	s := d.Round(10 * time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func number(rate float64) string { return strconv.FormatFloat(rate, 'f', -1, 64) }

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func were(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// requestsWere begins a sentence about n requests.
func requestsWere(n int) string { return count(n, "request") + " " + were(n) }
