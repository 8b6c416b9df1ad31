package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// A place is what both kinds of folder are.
type place interface {
	content.Sink
	content.Source
	content.Resolver
	content.TagLister
	content.RandomSink
	io.Closer
}

// places opens a folder of either kind for writing.
var places = map[string]func(path string) (place, error){
	"layout": func(path string) (place, error) { return Create(path) },
	"dir":    func(path string) (place, error) { return CreateDir(path) },
}

// A lost blob cannot be read: at once, or from its first byte on.
type lost struct {
	memoryBlob
	late bool
}

var errLost = errors.New("lost")

func (b lost) Open(context.Context, content.Range) (io.ReadCloser, error) {
	if b.late {
		return io.NopCloser(lost{}), nil
	}
	return nil, errLost
}

func (lost) Read([]byte) (int, error) { return 0, errLost }

// A source that failed left an empty layout behind.
func TestNothingIsMadeBeforeThereIsSomethingToWrite(t *testing.T) {
	for kind, open := range places {
		for where, parts := range map[string][]string{"an empty folder": {"empty"}, "a new folder": {"a", "new", "one"}} {
			t.Run(kind+" in "+where, func(t *testing.T) {
				top := t.TempDir()
				if err := os.Mkdir(filepath.Join(top, "empty"), 0o755); err != nil {
					t.Fatal(err)
				}
				p, err := open(filepath.Join(top, filepath.Join(parts...)))
				if err != nil {
					t.Fatal(err)
				}
				nothingMade(t, top, p)
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// nothingMade wants p, below top, to be made by what can be written only.
func nothingMade(t *testing.T, top string, p place) {
	t.Helper()
	im := anImage(t, "a")
	for _, late := range []bool{false, true} {
		if got, err := p.PutBlob(t.Context(), lost{im.blobs[0], late}); !errors.Is(err, errLost) {
			t.Errorf("PutBlob = %v, %v", got, err)
		}
	}
	wantEmpty(t, p, im)
	if left := listing(t, top); left != "empty" || listing(t, filepath.Join(top, "empty")) != "" {
		t.Errorf("%s is there", left)
	}
	put(t, p, im, "v1")
	if m, err := p.Manifest(t.Context(), im.m.Digest().String()); err != nil || m.Digest() != im.m.Digest() {
		t.Errorf("after all: %s, %v", m.Digest(), err)
	}
}

// wantEmpty looks for im in a folder that is not made yet.
func wantEmpty(t *testing.T, p place, im testImage) {
	t.Helper()
	if has, err := p.Has(t.Context(), im.blobs[0].d); has || err != nil {
		t.Errorf("Has = %t, %v", has, err)
	}
	if err := p.PutManifest(t.Context(), im.m, "v1"); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("PutManifest without its blobs = %v", err)
	}
	for _, ref := range []string{"", "v1", im.m.Digest().String()} {
		if d, err := p.Resolve(t.Context(), ref); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("Resolve(%q) = %s, %v", ref, d.Digest, err)
		}
	}
	for name, err := range p.Tags(t.Context()) {
		t.Errorf("name %q, %v", name, err)
	}
	if d, ok := content.As[content.Deleter](p); ok {
		if err := d.Untag(t.Context(), "v1"); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("Untag = %v", err)
		}
	}
}

// A folder is taken away again by whoever has nothing to put into it, and must
// not be lost to those who have.
func TestWhoHasNothingToWriteLeavesTheOthersAlone(t *testing.T) {
	im := anImage(t, "a")
	for kind, open := range places {
		for round := range 10 {
			path := filepath.Join(t.TempDir(), "new", fmt.Sprint(round))
			var g errgroup.Group
			for i := range 8 {
				g.Go(func() error {
					err := putOrLose(t.Context(), open, path, im, i)
					for errors.Is(err, content.ErrConflict) {
						// Another goroutine has claimed the folder, and gives it up again.
						err = putOrLose(t.Context(), open, path, im, i)
					}
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
		}
	}
}

// putOrLose stores im at path for i == 0, else a blob that cannot be read.
func putOrLose(ctx context.Context, open func(path string) (place, error), path string, im testImage, i int) (err error) {
	p, err := open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if i > 0 {
		_, err := p.PutBlob(ctx, lost{im.blobs[0], i%2 == 0})
		if errors.Is(err, errLost) || errors.Is(err, content.ErrConflict) {
			return nil
		}
		return err
	}
	for _, b := range im.blobs {
		if _, err := p.PutBlob(ctx, b); err != nil {
			return err
		}
	}
	return p.PutManifest(ctx, im.m, "v1")
}
