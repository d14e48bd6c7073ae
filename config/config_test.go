package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakePatterns stands for the check that belongs to another package: a
// pattern needs a slash, and no two may be equal.
func fakePatterns(patterns []string) []PatternProblem {
	var problems []PatternProblem
	for i, p := range patterns {
		if !strings.Contains(p, "/") {
			problems = append(problems, PatternProblem{Index: i, Other: -1, Msg: "a pattern needs a path; write \"/\" for every path"})
		}
		for j, q := range patterns[:i] {
			if p == q {
				problems = append(problems, PatternProblem{Index: i, Other: j, Msg: "the same requests match another route"})
			}
		}
	}
	return problems
}

// testOptions reads CA files only from testdata.
func testOptions() Options {
	return Options{
		Patterns: fakePatterns,
		ReadFile: func(path string) ([]byte, error) {
			if pem := madeFiles()[filepath.Base(path)]; pem != nil {
				return pem, nil
			}
			pem, err := os.ReadFile(filepath.Join("testdata", filepath.Base(path)))
			if err != nil {
				err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist} // reads the same on every system
			}
			return pem, err
		},
	}
}

// madeFiles are files that are made for the tests, since a private key has no
// place among sources: a site's certificate and key, and another key.
var madeFiles = sync.OnceValue(func() map[string][]byte {
	certPEM, keyPEM := makeCertificate()
	_, otherPEM := makeCertificate()
	return map[string][]byte{"site.pem": certPEM, "site.key": keyPEM, "other.key": otherPEM, "token": []byte("0123456789abcdef\n"), "short.token": []byte("  secret\n")}
})

func makeCertificate() (certPEM, keyPEM []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"site.example"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// wanted returns the problems that a file says of itself: lines that begin
// with "# want: ", the rest being line:column: message.
func wanted(source string) []string {
	var want []string
	for line := range strings.Lines(source) {
		if w, ok := strings.CutPrefix(line, "# want: "); ok {
			want = append(want, strings.TrimSpace(w))
		}
	}
	return want
}

func problemsOf(err error) []string {
	problems, _ := err.(Problems)
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Msg))
	}
	return got
}

// No checker of patterns can break a message into lines.
func TestAPatternProblemStaysOneLine(t *testing.T) {
	opt := Options{Patterns: func([]string) []PatternProblem {
		return []PatternProblem{{Index: 0, Other: -1, Msg: "bad\n\x1b[31m"}}
	}}
	_, err := Parse("a.toml", []byte(skeleton), opt)
	if got := problemsOf(err); len(got) != 1 || got[0] != "21:9: route \"all\": match = \"/\": bad\ufffd\ufffd[31m" {
		t.Errorf("got %q", got)
	}
}

func TestEachMistakeHasItsExactMessage(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := Parse(filepath.Base(file), source, testOptions())
			if cfg != nil {
				t.Error("a bad file gave a Config")
			}
			got := strings.Join(problemsOf(err), "\n# want: ")
			want := strings.Join(wanted(string(source)), "\n# want: ")
			if got != want {
				t.Errorf("got\n# want: %s\nwant\n# want: %s", got, want)
			}
		})
	}
}
