package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// ReadToken reads a token from a file that holds nothing else. White space
// around it is left out. Exposed says that everybody on this machine may read
// the file, which is worth a warning.
func ReadToken(path string) (token string, exposed bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", false, fmt.Errorf("token_file: %w", err)
	}
	defer f.Close()
	const most = 4 << 10
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", false, fmt.Errorf("token_file: %w", err)
	}
	if len(text) > most {
		return "", false, fmt.Errorf("token_file: %s has more than %d bytes; it should hold a token and nothing else", path, most)
	}
	token = strings.TrimSpace(string(text))
	if err := checkToken(token); err != nil {
		return "", false, fmt.Errorf("token_file: %s: %w", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return "", false, fmt.Errorf("token_file: %w", err)
	}
	exposed = runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0
	return token, exposed, nil
}

// secret compares tokens without telling by its time how much of one is right.
// The zero value is no token at all.
type secret struct {
	sum [sha256.Size]byte
	set bool
}

func newSecret(token string) secret {
	return secret{sum: sha256.Sum256([]byte(token)), set: token != ""}
}

func (s secret) is(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return s.set && subtle.ConstantTimeCompare(sum[:], s.sum[:]) == 1
}

// brake slows those who show wrong tokens: each answer waits for delay. Whoever
// has the right one never waits and is never locked out. At most most of them
// wait at a time; others are cut off unanswered, so that they take no seats from
// operators.
type brake struct {
	delay   time.Duration
	most    int64
	waiting atomic.Int64
	count   atomic.Uint64 // wrong tokens ever
}

// hold waits, or until the asker has left or the server ends. It reports whether there is to be an answer.
func (b *brake) hold(left, ending <-chan struct{}) bool {
	b.count.Add(1)
	defer b.waiting.Add(-1)
	if b.waiting.Add(1) > b.most {
		return false
	}
	timer := time.NewTimer(b.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-left:
	case <-ending:
	}
	return false
}
