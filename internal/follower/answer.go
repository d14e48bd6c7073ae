package follower

import (
	"fmt"
	"strconv"
	"strings"
)

// answer is what a pointer's TXT record says.
type answer struct {
	target     string // an origin's name, or "none"
	generation uint64
	via        []string
}

// readAnswer reads the one record that is a pointer's: fields of the form
// key=value with spaces between. Other keys and other records are somebody
// else's.
func readAnswer(texts []string) (answer, error) {
	found := ""
	for _, text := range texts {
		if !strings.HasPrefix(text, "target=") {
			continue
		}
		if found != "" {
			return answer{}, fmt.Errorf("%w: there are two", ErrMalformed)
		}
		found = text
	}
	if found == "" {
		return answer{}, fmt.Errorf("%w: no TXT record begins with target=", ErrMalformed)
	}
	var a answer
	for field := range strings.FieldsSeq(found) {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "target":
			a.target = value
		case "generation":
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return answer{}, fmt.Errorf("%w: generation %q", ErrMalformed, value)
			}
			a.generation = n
		case "via":
			a.via = strings.Split(value, ",")
		}
	}
	return a, nil
}
