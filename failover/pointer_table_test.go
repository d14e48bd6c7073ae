package failover

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// TestTheTableInTheDocCommentIsTrue reads the table from next's comment and
// holds every state that the table distinguishes against it.
func TestTheTableInTheDocCommentIsTrue(t *testing.T) {
	rows := docTable(t)
	used := make([]bool, len(rows))
	for _, x := range everySituation() {
		i := slices.IndexFunc(rows, x.fits)
		if i < 0 {
			t.Fatalf("no row for %+v", x)
		}
		used[i] = true

		got := next(x.s, x.e, epoch, &x.c)
		wantTarget, wantReason := rows[i]["→ target"], rows[i]["reason"]
		switch wantTarget {
		case "r":
			wantTarget = x.s.Pin.String()
			if x.s.Pin == RoleNone {
				wantTarget = x.s.Lead.String()
			}
		case "the same":
			wantTarget = x.s.Target.String()
		}
		if got.Target.String() != wantTarget {
			t.Errorf("row %d, %+v: target %v, want %s", i, x, got.Target, wantTarget)
		}
		if got.Target == x.s.Target && got != x.s {
			t.Errorf("row %d, %+v: the target stays, yet the state became %+v", i, x, got)
		}
		if got.Target != x.s.Target && got.Reason.String() != wantReason {
			t.Errorf("row %d, %+v: reason %v, want %s", i, x, got.Reason, wantReason)
		}
	}
	for i, ok := range used {
		if !ok {
			t.Errorf("row %d is never reached: %v", i, rows[i])
		}
	}
}

// situation is one input of next, whose event says nothing new.
type situation struct {
	s      State
	e      event
	c      PointerConfig
	waited bool // both waits for a failback are over
}

// everySituation counts through all values of all the fields that next looks at.
func everySituation() []situation {
	var all []situation
	for n := range 3 * 3 * 3 * 2 * 2 * 2 * 3 * 2 * 3 * 2 {
		digit := func(base int) int {
			d := n % base
			n /= base
			return d
		}
		x := situation{c: shopPointer}
		x.s = State{Target: Role(digit(3)), Pin: Role(digit(3)), Lead: Role(digit(3)), Generation: 7, Hold: x.c.MinHold}
		x.s.Primary.Down = digit(2) == 1
		x.s.Secondary.Down = digit(2) == 1
		x.c.HasSecondary = digit(2) == 1
		x.c.BothDown = BothDown(digit(3))
		x.c.Failback = Failback(digit(2))

		x.s.Since = epoch.Add(-x.c.MinHold)
		x.s.Primary.Since = epoch.Add(-x.c.FailbackAfter)
		switch digit(3) {
		case 0:
			x.waited = true
		case 1:
			x.s.Since = x.s.Since.Add(1)
		case 2:
			x.s.Primary.Since = x.s.Primary.Since.Add(1)
		}
		if digit(2) == 1 {
			x.e = failback
		}
		all = append(all, x)
	}
	return all
}

// fits reports whether a row of the table is about x.
func (x situation) fits(row map[string]string) bool {
	is := func(cell string, yes bool) bool {
		return cell == "any" || (cell == "yes") == yes
	}
	and := map[string]bool{
		"":                       true,
		"fail_open":              x.c.BothDown == BothDownFailOpen,
		"stay, nowhere":          x.c.BothDown == BothDownStay && !x.c.has(x.s.Target),
		"stay":                   x.c.BothDown == BothDownStay,
		"fail_fast":              x.c.BothDown == BothDownFailFast,
		"an operator's failback": x.e.kind == eventFailback,
		"auto, waits over":       x.c.Failback == FailbackAuto && x.waited,
	}
	return (row["target"] == "any" || row["target"] == x.s.Target.String()) &&
		(row["pinned"] == "to r") == (x.s.Pin != RoleNone) &&
		(row["led"] == "any" || (row["led"] == "to r") == (x.s.Lead != RoleNone)) &&
		is(row["P"], !x.s.Primary.Down) &&
		is(row["S"], !x.s.Secondary.Down && x.c.HasSecondary) &&
		and[row["and"]]
}

// docTable returns the rows of the table in next's comment, by column title. The
// line of dashes says where the columns are.
func docTable(t *testing.T) []map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "pointer.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "next" {
			lines = strings.Split(f.Doc.Text(), "\n")
		}
	}
	dashes := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "---") })
	if dashes < 1 {
		t.Fatal("next's comment has no table")
	}
	titles := cells(lines[dashes-1], lines[dashes])
	var rows []map[string]string
	for _, l := range lines[dashes+1:] {
		if strings.TrimSpace(l) == "" {
			break
		}
		row := make(map[string]string)
		for i, cell := range cells(l, lines[dashes]) {
			row[titles[i]] = cell
		}
		rows = append(rows, row)
	}
	return rows
}

// cells cuts line where dashes has a new run of dashes.
func cells(line, dashes string) []string {
	text := []rune(line)
	var out []string
	for i := range dashes {
		if dashes[i] != '-' || i > 0 && dashes[i-1] == '-' {
			continue
		}
		end := i + strings.IndexByte(dashes[i:]+" ", ' ')
		out = append(out, strings.TrimSpace(string(text[min(i, len(text)):min(end, len(text))])))
	}
	return out
}
