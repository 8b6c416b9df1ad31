package render

import (
	"io"
	"runtime"
	"strconv"
	"testing"

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
