package render

import (
	"bytes"
	"io"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/term"
)

// An image may have hundreds of thousands of annotations.
func TestATableOfVeryManyRowsIsNotKept(t *testing.T) {
	const many, most = 200_000, 4 << 20
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, after := heap(), uint64(0)
	table := Table{Header: []string{"KEY", "VALUE"}, Rows: func(yield func([]string) bool) {
		for i := range many {
			if !yield([]string{strconv.Itoa(i), "value"}) {
				return
			}
		}
		after = heap()
	}}
	if err := (Printer{Out: term.Output{Writer: io.Discard}}).Print(Result{Tables: []Table{table}}); err != nil {
		t.Fatal(err)
	}
	if after > before+most {
		t.Errorf("%d bytes are held when all is written, want at most %d", after-before, most)
	}
}

func TestDigestsAreShortWhereATableIsTooWide(t *testing.T) {
	whole := digest.FromString("x").String()
	short := whole[:len("sha256:")+12] + "…"
	rows := [][]string{{"v1", whole, "1MB"}, {"a digest that ends a line", whole}, {"v2", "sha256:none", "2MB"}}
	for _, tt := range []struct {
		name string
		out  term.Output
		want string // the digest of the first row, which is not its last cell
	}{
		{"there is room", term.Output{TTY: true, Width: 105}, whole},
		{"there is none", term.Output{TTY: true, Width: 104}, short},
		{"nobody knows", term.Output{TTY: true}, whole},
		{"through a pipe", term.Output{}, whole},
	} {
		var out bytes.Buffer
		tt.out.Writer = &out
		table := Table{Rows: slices.Values(rows), Records: slices.Values(rows)}
		if err := (Printer{Out: tt.out}).Print(Result{Tables: []Table{table}}); err != nil {
			t.Fatal(err)
		}
		lines := slices.Collect(bytes.Lines(out.Bytes()))
		if !bytes.Contains(lines[0], []byte(tt.want)) || !bytes.Contains(lines[1], []byte(whole)) {
			t.Errorf("%s: %s", tt.name, out.String())
		}
	}
}

func TestAHeaderThatIsWiderThanItsRowsTakesRoom(t *testing.T) {
	whole := digest.FromString("x").String()
	short := whole[:len("sha256:")+12] + "…"
	table := Table{Header: []string{"TAG", "DIGEST", "A HEADER WIDER THAN ITS ROWS"}, Rows: slices.Values([][]string{{"v1", whole, "1MB"}})}
	for width, want := range map[int]string{108: whole, 107: short} {
		var out bytes.Buffer
		if err := (Printer{Out: term.Output{Writer: &out, TTY: true, Width: width}}).Print(Result{Tables: []Table{table}}); err != nil {
			t.Fatal(err)
		}
		lines := slices.Collect(bytes.Lines(out.Bytes()))
		if len(lines) != 2 || !bytes.Contains(lines[1], []byte("v1    "+want+"   1MB")) {
			t.Errorf("%d columns: %s", width, out.String())
		}
	}
}
