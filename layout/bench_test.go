package layout

import (
	"path/filepath"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

func BenchmarkPutBlob(b *testing.B) {
	const size = 64 << 20
	inOrder := counted("", noise(3, size))
	for name, blob := range map[string]content.Blob{
		"in order":     inOrder,
		"in any order": &scattered{countedBlob: inOrder, answers: []func([]byte, int) int{comes}},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				l := closed(b)(Create(filepath.Join(b.TempDir(), "layout")))
				if got, err := l.PutBlob(b.Context(), blob); got != content.Stored || err != nil {
					b.Fatal(got, err)
				}
			}
		})
	}
}
