package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong in a file, at its place.
type Problem struct {
	// File is the name that was given to Load or Parse.
	File string
	// Line and Column count from 1. A column is a character, not a byte.
	Line, Column int
	// Msg names the key and its value, says what is wrong and what to write
	// instead. It is one line and holds no control character.
	Msg string
}

// String returns "file:line:column: message", which editors and terminals
// know how to open.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Msg)
}

// Problems is everything that is wrong in one file, by position. As an error
// of Load or Parse it is never empty; find it with errors.As.
type Problems []Problem

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// finding is a Problem whose place is still a byte offset.
type finding struct {
	at  int
	msg string
}

// place sorts findings and turns offsets into lines and columns, in one walk
// over the source, so that a file full of problems costs no more than a good one.
func place(name string, source []byte, findings []finding) Problems {
	slices.SortStableFunc(findings, func(a, b finding) int { return a.at - b.at })
	problems := make(Problems, 0, len(findings))
	line, column, at := 1, 1, 0
	for _, f := range findings {
		for at < f.at {
			if source[at] == '\n' {
				line, column, at = line+1, 1, at+1
				continue
			}
			_, size := utf8.DecodeRune(source[at:])
			column, at = column+1, at+size
		}
		problems = append(problems, Problem{File: name, Line: line, Column: column, Msg: f.msg})
	}
	return problems
}
