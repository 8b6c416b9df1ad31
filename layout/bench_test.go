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

// A pull of many small blobs looks for each, stores it, and writes the manifest.
func BenchmarkPutSmallBlobs(b *testing.B) {
	const blobs = 200
	var small []content.Blob
	for i := range blobs {
		small = append(small, counted("", noise(uint64(i), 1<<10)))
	}
	for name, before := range map[string]func(l *Layout){
		"that are new":   func(*Layout) {},
		"that are there": func(l *Layout) { putMissing(b, l, small) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				path := filepath.Join(b.TempDir(), "layout")
				l := closed(b)(Create(path))
				before(l)
				l = closed(b)(Create(path))
				b.StartTimer()
				putMissing(b, l, small)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*blobs), "µs/blob")
		})
	}
}

// putMissing stores blobs that are not there.
func putMissing(b *testing.B, l *Layout, blobs []content.Blob) {
	b.Helper()
	for _, blob := range blobs {
		has, err := l.Has(b.Context(), blob.Descriptor())
		if err == nil && !has {
			_, err = l.PutBlob(b.Context(), blob)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
