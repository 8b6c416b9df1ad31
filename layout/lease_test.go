package layout

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// leasedAt lists what runs that have not ended rely on at path, sorted.
func leasedAt(t *testing.T, path string) []digest.Digest {
	t.Helper()
	var found []digest.Digest
	for _, name := range heldLeases(t, path) {
		raw, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			found = append(found, digest.Digest(strings.TrimSuffix(line, "\n")))
		}
	}
	slices.Sort(found)
	return found
}

func TestWhatARunReliesOnStandsInItsLeaseUntilClose(t *testing.T) {
	im := anImage(t, "a")
	config, layer := im.blobs[0], im.blobs[1]
	verbs := map[string]struct {
		do   func(l *Layout) error
		want []digest.Digest
	}{
		"Has of a blob":           {func(l *Layout) error { return second(l.Has(t.Context(), config.d)) }, []digest.Digest{config.d.Digest}},
		"PutBlob":                 {func(l *Layout) error { return second(l.PutBlob(t.Context(), layer)) }, []digest.Digest{layer.d.Digest}},
		"PutManifest":             {func(l *Layout) error { return l.PutManifest(t.Context(), im.m) }, parts(im.m)},
		"PutManifest with a name": {func(l *Layout) error { return l.PutManifest(t.Context(), im.m, "v1") }, parts(im.m)},
		"PutNewNames":             {func(l *Layout) error { return second(l.PutNewNames(t.Context(), im.m, "v1")) }, parts(im.m)},
		"Ingest": {func(l *Layout) error {
			in, err := l.Ingest(t.Context(), layer.d)
			if err != nil {
				return err
			}
			return in.Close()
		}, []digest.Digest{layer.d.Digest}},
	}
	for name, verb := range verbs {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "layout")
			putAndClose(t, path, im)
			for range 2 {
				wantLeaseOf(t, path, verb.do, verb.want)
			}
		})
	}
}

// putAndClose stores im in the layout at path in a run of its own.
func putAndClose(t *testing.T, path string, im testImage, names ...string) {
	t.Helper()
	l, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, l, im, names...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantLeaseOf wants do to have want in a lease, once, until Close.
func wantLeaseOf(t *testing.T, path string, do func(l *Layout) error, want []digest.Digest) {
	t.Helper()
	l, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(do(l), do(l)); err != nil {
		t.Error(err)
	}
	if got := leasedAt(t, path); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("in leases stand %s, want %s", got, want)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left := strays(t, path); len(left) > 0 {
		t.Errorf("after Close there are %q", left)
	}
}

func TestWhoOnlyReadsHasNoLease(t *testing.T) {
	im := anImage(t, "a")
	path := filepath.Join(t.TempDir(), "layout")
	putAndClose(t, path, im, "v1")
	if err := os.RemoveAll(filepath.Join(path, ownDir)); err != nil {
		t.Fatal(err)
	}
	l := closed(t)(Open(path))
	has, err := l.Has(t.Context(), im.blobs[0].d)
	_, merr := l.Manifest(t.Context(), "v1")
	rc, oerr := l.Open(t.Context(), im.blobs[1].d, content.Range{})
	if err := errors.Join(err, merr, oerr, rc.Close()); !has || err != nil {
		t.Errorf("has %t, %v", has, err)
	}
	if _, err := os.Lstat(filepath.Join(path, ownDir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", ownDir, err)
	}
}

// A run that was to write and found all there had made a folder in a layout of
// another tool.
func TestOfALeaseNothingStays(t *testing.T) {
	im := anImage(t, "a")
	path := filepath.Join(t.TempDir(), "layout")
	putAndClose(t, path, im, "v1")
	if err := os.RemoveAll(filepath.Join(path, ownDir)); err != nil {
		t.Fatal(err)
	}
	before := listing(t, path)
	wantLeaseOf(t, path, func(l *Layout) error { return second(l.Has(t.Context(), im.blobs[0].d)) }, []digest.Digest{im.blobs[0].d.Digest})
	if after := listing(t, path); after != before {
		t.Errorf("before were %s, now %s", before, after)
	}
}

// A copy leaves out a manifest that it finds: whoever removes blobs meanwhile leaves
// it, too. What only looks relies on nothing, and writes nothing.
func TestARunThatStoresReliesOnTheManifestsItFinds(t *testing.T) {
	one, other := anImage(t, "one"), anImage(t, "other")
	path := stored(t, func(l *Layout) {
		put(t, l, other, "v1")
		put(t, l, one)
	})
	reading := closed(t)(Create(path))
	if _, err := reading.Resolve(t.Context(), one.m.Digest().String()); err != nil || reading.disk.lease.begun() {
		t.Errorf("a run that reads: %v, its lease has begun: %t", err, reading.disk.lease.begun())
	}
	for _, open := range []func() content.Sink{
		func() content.Sink { return closed(t)(Create(path)) },
		func() content.Sink { return &Store{closed(t)(Create(path))} },
	} {
		storing := open()
		if has, err := storing.Has(t.Context(), one.blobs[0].d); err != nil || !has {
			t.Fatal(has, err)
		}
		if _, err := storing.(content.Resolver).Resolve(t.Context(), one.m.Digest().String()); err != nil {
			t.Fatal(err)
		}
		collect(t, path, CollectOptions{Grace: noGrace})
		if _, err := storing.(content.Source).Manifest(t.Context(), one.m.Digest().String()); err != nil {
			t.Errorf("%T: it is gone: %v", storing, err)
		}
	}
}

func TestWhoTagsAnImageReliesOnIt(t *testing.T) {
	s, im := newStore(t), anImage(t, "a")
	putAndClose(t, s.disk.path, im)
	again, err := OpenStore(s.disk.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Tag(t.Context(), im.m.Descriptor(), "app:1"); err != nil {
		t.Fatal(err)
	}
	if got, want := leasedAt(t, s.disk.path), []digest.Digest{im.m.Digest()}; !slices.Equal(got, want) {
		t.Errorf("in leases stand %s, want %s", got, want)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
