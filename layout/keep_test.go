package layout

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// Two that both found a tag free replaced each other's.
func TestOfManyWhoWantAFreeNameOneGetsIt(t *testing.T) {
	l := created(t)
	var got atomic.Value
	var g errgroup.Group
	for i := range 8 {
		other := closed(t)(Create(l.disk.path))
		im := anImage(t, fmt.Sprint(i))
		put(t, other, im)
		g.Go(func() error {
			kept, err := other.PutNewNames(t.Context(), im.m, "v1")
			if len(kept) == 0 && err == nil && got.Swap(im.m.Digest()) != nil {
				err = errors.New("two have got the name")
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if d, err := l.Resolve(t.Context(), "v1"); err != nil || d.Digest != got.Load() {
		t.Errorf("v1 = %s, %v; want %v", d.Digest, err, got.Load())
	}
	if n := strings.Count(indexOf(t, l), `"digest"`); n != 1 {
		t.Errorf("index.json has %d entries", n)
	}
}

func TestTheTagBesideAFullReferenceIsHeldToo(t *testing.T) {
	l := created(t)
	a, b := anImage(t, "a"), anImage(t, "b")
	put(t, l, a)
	put(t, l, b)
	rewrite(t, l, indexWith(entryOf(t, a.m, "v1", "docker.io/library/a:v1")))
	before := indexOf(t, l)
	names := []string{"v1", "a:v1", "docker.io/library/a:v1"}
	if kept, err := l.PutNewNames(t.Context(), b.m, names...); err != nil || !slices.Equal(kept, names) {
		t.Errorf("kept %q, %v", kept, err)
	}
	if after := indexOf(t, l); after != before {
		t.Errorf("index.json was\n%s, is\n%s", before, after)
	}
}

func TestADirThatHasAnImageKeepsIt(t *testing.T) {
	a, b := anImage(t, "a"), anImage(t, "b")
	d, path := createdDir(t)
	put(t, d, a, a.m.Digest().String())
	if kept, err := d.PutNewNames(t.Context(), a.m, "v1"); err != nil || kept != nil {
		t.Errorf("its own image: kept %q, %v", kept, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	later := closedDir(t)(CreateDir(path))
	put(t, later, b)
	sig := aReferrer(t, a.m, "application/vnd.example.signature")
	put(t, later, sig)
	tag := "sha256-" + a.m.Digest().Encoded() + ".sig"
	for _, step := range []struct {
		m           content.Manifest
		names, kept []string
	}{
		{b.m, []string{"v2"}, []string{"v2"}},
		{b.m, []string{b.m.Digest().String()}, []string{b.m.Digest().String()}},
		{a.m, []string{"v1"}, []string{"v1"}},
		{sig.m, []string{"sig"}, nil},
		{sig.m, []string{tag}, nil},
		{b.m, []string{tag}, []string{tag}},
	} {
		if kept, err := later.PutNewNames(t.Context(), step.m, step.names...); err != nil || !slices.Equal(kept, step.kept) {
			t.Errorf("PutNewNames(%q) keeps %q, %v; want %q", step.names, kept, err, step.kept)
		}
	}
	for ref, want := range map[string]digest.Digest{"": a.m.Digest(), tag: sig.m.Digest()} {
		if got, err := later.Resolve(t.Context(), ref); err != nil || got.Digest != want {
			t.Errorf("%q = %s, %v; want %s", ref, got.Digest, err, want)
		}
	}
}

func TestNothingIsHeldInAFolderThatIsNotMade(t *testing.T) {
	im := anImage(t, "a")
	for kind, open := range places {
		p, err := open(filepath.Join(t.TempDir(), "new"))
		if err != nil {
			t.Fatal(err)
		}
		keeper, ok := content.As[content.NameKeeper](p)
		if !ok {
			t.Fatalf("a %s keeps no names", kind)
		}
		if d, err := keeper.Holder(t.Context(), "v1"); !errors.Is(err, content.ErrNotFound) || d.Digest != "" {
			t.Errorf("%s: Holder = %s, %v", kind, d.Digest, err)
		}
		for _, b := range append(im.blobs, bytesOf(ocispec.MediaTypeImageLayer, "x")) {
			if _, err := p.PutBlob(t.Context(), b); err != nil {
				t.Error(err)
			}
		}
		if kept, err := keeper.PutNewNames(t.Context(), im.m, "v1"); err != nil || kept != nil {
			t.Errorf("%s: kept %q, %v", kind, kept, err)
		}
		if err := p.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	}
}
