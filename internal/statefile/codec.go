package statefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxSize bounds a state file, in bytes. It has room for ten thousand groups.
const MaxSize = 16 << 20

// What may be wrong with a state file. The first two say that it is ours and may
// be replaced, the last two that it must be left alone.
var (
	// ErrEmpty says that the file has no byte.
	ErrEmpty = errors.New("it is empty")

	// ErrDamaged says that the file is ours, but was cut off or changed.
	ErrDamaged = errors.New("it is damaged")

	// ErrForeign says that the file does not begin as a state file does, or can be
	// none: it is somebody else's.
	ErrForeign = errors.New("it is no state file of fairlead")

	// ErrVersion says that the file was written by a newer version.
	ErrVersion = errors.New("it was written by a newer version of fairlead")
)

const (
	magic   = "fairlead-state "
	version = 1
)

// Encode returns the file that holds s. Times are written in UTC. What is no
// UTF-8 in a name becomes U+FFFD. The error says that a time lies outside the
// years 0 to 9999, or that the file would be larger than MaxSize.
func Encode(s Snapshot) ([]byte, error) {
	s.Groups = slices.Clone(s.Groups)
	if s.Groups == nil {
		s.Groups = []Group{}
	}
	if err := normalize(&s); err != nil {
		return nil, err
	}
	body, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, err
	}
	data := seal(version, append(body, '\n'))
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%d groups take %d bytes, more than %d", len(s.Groups), len(data), MaxSize)
	}
	return data, nil
}

// Decode is the reverse of Encode. It believes no byte: whatever it is given,
// it returns what Encode was given, or an error that wraps ErrEmpty, ErrDamaged,
// ErrForeign or ErrVersion.
func Decode(data []byte) (Snapshot, error) {
	body, err := open(data)
	if err != nil {
		return Snapshot{}, err
	}
	var s Snapshot
	if err := json.Unmarshal(body, &s); err != nil {
		return Snapshot{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := normalize(&s); err != nil {
		return Snapshot{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return s, nil
}

// normalize puts all times into UTC, and refuses those that JSON can't hold.
func normalize(s *Snapshot) error {
	for _, t := range s.times() {
		*t = t.Round(0).UTC() // without the monotonic clock, which means nothing elsewhere
		if y := t.Year(); y < 0 || y > 9999 {
			return fmt.Errorf("year %d is not within 0 to 9999", y)
		}
	}
	return nil
}

// seal puts the first line before body.
func seal(version int, body []byte) []byte {
	return append([]byte(header(version, body)), body...)
}

// header is the first line of a file of that version with that body.
func header(version int, body []byte) string {
	counted := fmt.Sprintf("%d %d", version, len(body))
	h := sha256.New()
	h.Write([]byte(counted + "\n"))
	h.Write(body)
	return fmt.Sprintf("%s%s %x\n", magic, counted, h.Sum(nil))
}

// open checks the first line and returns what comes after it. The line must be
// the one that seal would write, to the letter.
func open(data []byte) (body []byte, err error) {
	switch {
	case len(data) == 0:
		return nil, ErrEmpty
	case len(data) < len(magic) && strings.HasPrefix(magic, string(data)):
		return nil, fmt.Errorf("%w: it ends within its first line", ErrDamaged)
	case !bytes.HasPrefix(data, []byte(magic)):
		return nil, ErrForeign
	}
	line, body, ok := bytes.Cut(data, []byte("\n"))
	if !ok {
		return nil, fmt.Errorf("%w: it ends within its first line", ErrDamaged)
	}
	number, _, _ := strings.Cut(string(line[len(magic):]), " ")
	v, err := strconv.Atoi(number)
	if err != nil || v < 1 || header(v, body) != string(line)+"\n" {
		return nil, fmt.Errorf("%w: its checksum or length is another one", ErrDamaged)
	}
	if v > version {
		return nil, fmt.Errorf("%w: its format is version %d, this program knows %d", ErrVersion, v, version)
	}
	return body, nil
}
