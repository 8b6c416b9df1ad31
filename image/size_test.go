package image_test

import (
	"archive/tar"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/image"
)

// documents returns the contents of a layer as they are in real images: twenty
// entries a folder, paths of some sixty bytes, no two files the same.
func documents(n int) *image.Contents {
	entries := make([]image.Entry, n)
	for i := range entries {
		e := image.Entry{Path: fmt.Sprintf("usr/share/doc/some-library/package-%06d-documentation", i/20), Type: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(1_700_000_000, 0)}
		if i%20 > 0 {
			e.Path += fmt.Sprintf("/file-%02d.html", i%20)
			e.Type, e.Mode, e.Size, e.Digest = tar.TypeReg, 0o644, 1000, sumOf(fmt.Sprint(i))
		}
		entries[i] = e
	}
	return image.NewContents(entries...)
}

// retained returns how many bytes what of makes takes.
func retained[T any](of func() T) (T, int64) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	made := of()
	return made, heap() - before
}

// An image of two million entries is looked into: what one takes decides whether
// that goes well.
func TestEntriesTakeLittleMemory(t *testing.T) {
	const n = 20_000
	contents, took := retained(func() *image.Contents { return documents(n) })
	if took > 80*n {
		t.Errorf("contents take %d bytes an entry", took/n)
	}
	tree, took := retained(func() *image.Tree {
		tree, err := image.Merge([]*image.Contents{contents})
		must(err)
		return tree
	})
	if took > 120*n {
		t.Errorf("a tree takes %d bytes an entry", took/n)
	}
	if f, err := tree.Lookup("usr/share/doc/some-library/package-000999-documentation/file-19.html"); err != nil || f.Entry.Size != 1000 {
		t.Errorf("got %+v, %v", f, err)
	}
}

func BenchmarkTree(b *testing.B) {
	const n = 100_000
	contents, took := retained(func() *image.Contents { return documents(n) })
	b.ReportMetric(float64(took)/n, "contents-bytes/entry")
	for b.Loop() {
		_, took = retained(func() *image.Tree {
			tree, err := image.Merge([]*image.Contents{contents})
			must(err)
			return tree
		})
	}
	b.ReportMetric(float64(took)/n, "tree-bytes/entry")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}
