package config

import (
	"fmt"
	"strings"
	"testing"
)

// manyRoutes is a file with n good routes.
func manyRoutes(n int) []byte {
	var b strings.Builder
	b.WriteString("[origins.eu]\nurl = \"http://127.0.0.1:9101\"\n[groups.shop]\nprimary = \"eu\"\n")
	for i := range n {
		fmt.Fprintf(&b, "[[routes]]\nname = \"r%d\"\nmatch = \"/r%d/{id}\"\ngroup = \"shop\"\n[routes.bulkhead]\nmax_concurrent = 10\n", i, i)
	}
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		source := manyRoutes(n)
		b.Run(fmt.Sprintf("%d routes", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(source)))
			for b.Loop() {
				if _, err := Parse("a.toml", source, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParseProblems shows that a file full of mistakes is not a way to
// keep a program busy: positions and suggestions stay linear.
func BenchmarkParseProblems(b *testing.B) {
	source := []byte(strings.ReplaceAll(string(manyRoutes(10_000)), "\ngroup", "\ngruop"))
	b.ReportAllocs()
	b.SetBytes(int64(len(source)))
	for b.Loop() {
		if _, err := Parse("a.toml", source, Options{}); err == nil {
			b.Fatal("no problem found")
		}
	}
}
