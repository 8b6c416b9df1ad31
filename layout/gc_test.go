package layout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// noGrace makes age no reason to keep a blob.
const noGrace = -1

// stored returns the path of a layout in which f has put something in a run that
// has ended.
func stored(tb testing.TB, f func(l *Layout)) string {
	tb.Helper()
	path := filepath.Join(inMemory(tb), "layout")
	run(tb, path, f)
	return path
}

// run calls f with the layout at path, which is open for as long as that takes.
func run(tb testing.TB, path string, f func(l *Layout)) {
	tb.Helper()
	l, err := Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	f(l)
	if err := l.Close(); err != nil {
		tb.Error(err)
	}
}

func collect(tb testing.TB, path string, o CollectOptions) Collected {
	tb.Helper()
	l := closed(tb)(Open(path))
	got, err := l.Collect(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

// all returns the digests of an image's manifest and blobs, sorted.
func all(images ...testImage) []digest.Digest {
	seen := set{}
	for _, im := range images {
		seen[im.m.Digest()] = true
		for _, b := range im.blobs {
			seen[b.d.Digest] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// wantBlobs wants the blobs at path to be those of images, whole.
func wantBlobs(tb testing.TB, path string, images ...testImage) {
	tb.Helper()
	l := closed(tb)(Options{Deep: true}.Open(path))
	got, err := l.disk.blobs()
	if slices.Sort(got); err != nil || !slices.Equal(got, all(images...)) {
		tb.Errorf("there are %s, %v; want %s", got, err, all(images...))
	}
	for _, d := range got {
		if _, err := os.Lstat(filepath.Join(path, l.disk.mark(d))); err != nil {
			tb.Errorf("the mark of a blob that is there: %v", err)
		}
	}
	marks, err := os.ReadDir(filepath.Join(path, verifiedDir))
	if err != nil || len(marks) != len(got) {
		tb.Errorf("of %d blobs there are %d marks, %v", len(got), len(marks), err)
	}
}

func TestCollectRemovesWhatNothingReaches(t *testing.T) {
	a, b, c := anImage(t, "a"), anImage(t, "b"), anImage(t, "c")
	sig := aReferrer(t, b.m, "application/vnd.example.signature")
	ofSig := aReferrer(t, sig.m, "application/vnd.example.timestamp")
	cosign := anImage(t, "cosign")
	path := stored(t, func(l *Layout) {
		put(t, l, a, "v1")
		put(t, l, b, "v2")
		put(t, l, sig)
		put(t, l, ofSig)
		put(t, l, cosign, content.DigestTags(b.m.Digest())[0])
		put(t, l, c) // without a name it has no entry
		if err := l.Untag(t.Context(), "v2"); err != nil {
			t.Error(err)
		}
	})
	first := collect(t, path, CollectOptions{Grace: noGrace})
	wantBlobs(t, path, a, b, sig, ofSig, cosign)
	if got := slices.Sorted(slices.Values(first.Removed)); !slices.Equal(got, all(c)) || len(first.Dropped) > 0 || first.Bytes != sizeOf(c) {
		t.Errorf("first: %+v", first)
	}
	o := CollectOptions{Grace: noGrace, Forget: []digest.Digest{a.m.Digest(), b.m.Digest()}, DryRun: true}
	foretold := collect(t, path, o)
	wantBlobs(t, path, a, b, sig, ofSig, cosign)
	o.DryRun = false
	second := collect(t, path, o)
	wantBlobs(t, path, a)
	wantWhole(t, path, "v1", a.m.Digest())
	if got := slices.Sorted(slices.Values(second.Removed)); !slices.Equal(got, all(b, sig, ofSig, cosign)) || len(second.Dropped) != 4 {
		t.Errorf("second: %+v", second)
	}
	if !slices.Equal(foretold.Removed, second.Removed) || foretold.Bytes != second.Bytes || len(foretold.Dropped) != 4 {
		t.Errorf("foretold was %+v, done %+v", foretold, second)
	}
	if got := entries(t, closed(t)(Open(path))); len(got) != 1 {
		t.Errorf("entries: %+v", got)
	}
	if left := strays(t, path); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// sizeOf returns the bytes of an image.
func sizeOf(im testImage) int64 {
	n := im.m.Size()
	for _, b := range im.blobs {
		n += b.d.Size
	}
	return n
}

func TestWhatIsGoneMeanwhileIsNotForetold(t *testing.T) {
	a := anImage(t, "a")
	path := stored(t, func(l *Layout) { put(t, l, a) })
	l := closed(t)(Open(path))
	o := CollectOptions{Grace: noGrace, Now: time.Now(), DryRun: true}
	c := &collection{survey: newSurvey(l, nil), o: o, young: map[digest.Digest]bool{}}
	if err := c.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	collect(t, path, CollectOptions{Grace: noGrace})
	if err := c.foretell(t.Context()); err != nil || len(c.got.Removed) > 0 {
		t.Errorf("foretold %+v, %v", c.got, err)
	}
}

func TestWhatIsYoungStaysWithWhatItNeeds(t *testing.T) {
	old, young := anImage(t, "old"), sharing(t, "young", anImage(t, "old"))
	path := stored(t, func(l *Layout) {
		put(t, l, old)
		put(t, l, young)
	})
	now := time.Now()
	l := closed(t)(Open(path))
	for _, d := range all(old) {
		long := now.Add(-2 * time.Hour)
		if err := os.Chtimes(filepath.Join(path, l.disk.place(d)), long, long); err != nil {
			t.Fatal(err)
		}
	}
	got := collect(t, path, CollectOptions{Now: now})
	if kept := slices.Sorted(slices.Values(all(young))); len(got.Removed) != 2 || !slices.Equal(got.Young, kept) {
		t.Errorf("with an hour of grace: %+v", got)
	}
	if got := collect(t, path, CollectOptions{Now: now.Add(time.Minute), Forget: []digest.Digest{young.m.Digest()}}); len(got.Removed) != 3 {
		t.Errorf("what was done away with: %+v", got)
	}
	wantBlobs(t, path)
}

// sharing makes an image with a config of its own and the layer of another.
func sharing(tb testing.TB, id string, other testImage) testImage {
	tb.Helper()
	config := bytesOf(ocispec.MediaTypeImageConfig, `{"id":"`+id+`"}`)
	layer := other.blobs[1]
	m := parsed(tb, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config.d, Layers: []ocispec.Descriptor{layer.d},
	})
	return testImage{m, []memoryBlob{config, layer}}
}

func TestWhatARunReliesOnStaysWithWhatItNeeds(t *testing.T) {
	a, b := anImage(t, "a"), anImage(t, "b")
	path := stored(t, func(l *Layout) {
		put(t, l, a)
		put(t, l, b)
	})
	run(t, path, func(l *Layout) {
		if has, err := l.Has(t.Context(), a.m.Descriptor()); !has || err != nil {
			t.Errorf("Has = %t, %v", has, err)
		}
		got := collect(t, path, CollectOptions{Grace: noGrace})
		if len(got.Removed) != len(all(b)) || !slices.Equal(got.Leased, all(a)) {
			t.Errorf("while a run relies on it: %+v", got)
		}
		if _, err := l.PutBlob(t.Context(), b.blobs[0]); err != nil {
			t.Error(err)
		}
	})
	// What a run that was killed relied on is nobody's any more.
	lease := filepath.Join(path, leasesDir, "killed")
	if err := errors.Join(os.MkdirAll(filepath.Dir(lease), 0o755), os.WriteFile(lease, []byte(a.m.Digest()+"\n"), 0o600), os.WriteFile(lease+lockEnd, []byte("7 x\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, path, CollectOptions{Grace: noGrace}); len(got.Removed) != len(all(a))+1 {
		t.Errorf("after the run: %+v", got)
	}
	wantBlobs(t, path)
	if left := strays(t, path); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

func TestWhatCannotBeReadStopsACollection(t *testing.T) {
	a, b := anImage(t, "a"), anImage(t, "b")
	x := anIndex(t, a.m)
	breaks := map[string]func(l *Layout){
		"a corrupt manifest": func(l *Layout) { damage(t, l, a.m.Digest(), "{}") },
		"a corrupt index":    func(l *Layout) { damage(t, l, x.Digest(), "{}") },
		"an entry that stands for something else": func(l *Layout) {
			rewrite(t, l, indexWith(`{"mediaType":"`+ocispec.MediaTypeImageManifest+`","digest":"`+b.blobs[1].d.Digest.String()+`","size":1}`))
		},
		"a docker schema 1": func(l *Layout) {
			rewrite(t, l, indexWith(`{"mediaType":"`+content.DockerSchema1+`","digest":"`+schema1(t, l).String()+`","size":1}`))
		},
		"a broken lease": func(l *Layout) {
			if err := os.MkdirAll(filepath.Join(l.disk.path, leasesDir, "x"), 0o755); err != nil {
				t.Fatal(err)
			}
			lock, err := l.disk.lock(t.Context(), leasesDir+"/x"+lockEnd, "")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = lock.Release() })
		},
		"no folder of leases": func(l *Layout) {
			if err := os.WriteFile(filepath.Join(l.disk.path, leasesDir), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, breakIt := range breaks {
		t.Run(name, func(t *testing.T) {
			path := stored(t, func(l *Layout) {
				put(t, l, a)
				put(t, l, b)
				put(t, l, testImage{m: x}, "v1")
			})
			l := closed(t)(Open(path))
			breakIt(l)
			got, err := l.Collect(t.Context(), CollectOptions{Grace: noGrace})
			if !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrCorrupt) || len(got.Removed) > 0 {
				t.Errorf("Collect = %+v, %v", got, err)
			}
			if got, err := l.disk.blobs(); err != nil || len(got) < 7 {
				t.Errorf("%d blobs are left, %v", len(got), err)
			}
		})
	}
}

// damage writes other bytes into the file of a blob.
func damage(t *testing.T, l *Layout, d digest.Digest, raw string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(l.disk.path, l.disk.place(d)), []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
}

// schema1 stores a manifest of docker's schema 1.
func schema1(t *testing.T, l *Layout) digest.Digest {
	t.Helper()
	const raw = `{"schemaVersion":1,"fsLayers":[]}`
	d := digest.FromString(raw)
	damage(t, l, d, raw)
	return d
}

func TestWhatOthersKeepInALayoutStays(t *testing.T) {
	a := anImage(t, "a")
	odd := bytesOf("application/vnd.example", `{"config":{}}`)
	path := stored(t, func(l *Layout) {
		put(t, l, a, "v1")
		if _, err := l.PutBlob(t.Context(), odd); err != nil {
			t.Error(err)
		}
		d := odd.d
		d.Annotations = map[string]string{"some": "thing"}
		if err := l.edit(t.Context(), func(x *index) (bool, error) { return x.root(d) }); err != nil {
			t.Error(err)
		}
	})
	files := []string{"blobs/sha256/README", "blobs/sha256/abc", "blobs/md5/0123", "note.txt"}
	for _, name := range files {
		file := filepath.Join(path, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if got := collect(t, path, CollectOptions{Grace: noGrace}); len(got.Removed) > 0 || len(got.Dropped) > 0 {
		t.Errorf("Collect = %+v", got)
	}
	for _, name := range files {
		if _, err := os.Lstat(filepath.Join(path, name)); err != nil {
			t.Error(err)
		}
	}
	missing := closed(t)(Create(filepath.Join(t.TempDir(), "missing")))
	if got, err := missing.Collect(t.Context(), CollectOptions{}); err != nil || len(got.Removed) > 0 {
		t.Errorf("of no layout: %+v, %v", got, err)
	}
}

// A breaking context ends when it was looked at some times.
type breaking struct {
	context.Context //nolint:containedctx // it is one itself
	left            *int
}

var errBroken = errors.New("broken off")

func (c breaking) Err() error {
	if *c.left--; *c.left < 0 {
		return errBroken
	}
	return nil
}

// A collection looks at its context before each blob that it removes, so that one
// that is broken off each time is as one that is killed at each of them.
func TestACollectionThatIsBrokenOffLeavesALayout(t *testing.T) {
	a, b, c := anImage(t, "a"), anImage(t, "b"), anImage(t, "c")
	shared := sharing(t, "shared", b)
	both := anIndex(t, b.m, c.m)
	sig := aReferrer(t, both, "application/vnd.example.signature")
	template := stored(t, func(l *Layout) {
		put(t, l, a, "v1")
		put(t, l, shared, "v2")
		put(t, l, b)
		put(t, l, c)
		put(t, l, testImage{m: both}, "v3")
		put(t, l, sig)
		if err := l.Untag(t.Context(), "v3"); err != nil {
			t.Error(err)
		}
	})
	o := CollectOptions{Grace: noGrace, Forget: []digest.Digest{both.Digest()}}
	folder := inMemory(t)
	for n, done := 0, false; !done; n++ {
		path := filepath.Join(folder, fmt.Sprint(n))
		if err := os.CopyFS(path, os.DirFS(template)); err != nil {
			t.Fatal(err)
		}
		left := n
		l := closed(t)(Open(path))
		got, err := l.Collect(breaking{t.Context(), &left}, o)
		if done = err == nil; !done && !errors.Is(err, errBroken) {
			t.Fatalf("broken off at %d: %+v, %v", n, got, err)
		}
		wantSound(t, path)
		wantWhole(t, path, "v1", a.m.Digest())
		wantWhole(t, path, "v2", shared.m.Digest())
		collect(t, path, o)
		if left, err := l.disk.blobs(); err != nil || len(left) != len(all(a, shared)) {
			t.Errorf("broken off at %d: %d blobs are left after all, %v", n, len(left), err)
		}
	}
}

// wantSound wants each manifest at path to have what it needs.
func wantSound(tb testing.TB, path string) {
	tb.Helper()
	l := closed(tb)(Open(path))
	blobs, err := l.disk.blobs()
	if err != nil {
		tb.Fatal(err)
	}
	for _, d := range blobs {
		m, err := l.Manifest(context.Background(), d.String())
		if err != nil {
			continue // no manifest
		}
		for _, need := range m.Blobs() {
			if !l.disk.there(need.Digest) {
				tb.Errorf("manifest %s is there without %s", d, need.Digest)
			}
		}
	}
	for _, e := range entries(tb, l) {
		if !l.disk.there(e.Digest) {
			tb.Errorf("entry %+v stands for nothing", e)
		}
	}
}

func TestAnImageUnderTheTagOfItsOwnDigestStays(t *testing.T) {
	im := anImage(t, "a")
	path := stored(t, func(l *Layout) { put(t, l, im, content.FallbackTag(im.m.Digest())) })
	if got := collect(t, path, CollectOptions{Grace: noGrace}); len(got.Removed) > 0 || len(got.Dropped) > 0 {
		t.Errorf("%+v", got)
	}
	wantBlobs(t, path, im)
}
