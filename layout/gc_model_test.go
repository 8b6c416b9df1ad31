package layout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// makeLayered makes image number i, whose layers are some of those that all
// images have in common.
func makeLayered(i int) (testImage, error) {
	config := bytesOf(ocispec.MediaTypeImageConfig, fmt.Sprintf(`{"number":%d}`, i))
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config.d}
	blobs := []memoryBlob{config}
	for n := range 3 {
		layer := bytesOf(ocispec.MediaTypeImageLayer, fmt.Sprintf("layer %d", (i+n)%4))
		m.Layers, blobs = append(m.Layers, layer.d), append(blobs, layer)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return testImage{}, err
	}
	parsed, err := content.ParseManifest("", raw, content.Limits{})
	return testImage{parsed, blobs}, err
}

func layeredImage(tb testing.TB, i int) testImage {
	tb.Helper()
	im, err := makeLayered(i)
	if err != nil {
		tb.Fatal(err)
	}
	return im
}

// inMemory returns a folder that is in memory where there is such a place: disks
// take long to make many small files durable.
func inMemory(tb testing.TB) string {
	tb.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "wherry-*") //nolint:usetesting // TempDir may be on a disk
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			tb.Error(err)
		}
	})
	return folder
}

// A model is what should be in a layout.
type model struct {
	images []testImage
	names  map[string]int // what they stand for
	bare   map[int]bool   // images with an entry that has no name
	signed map[int]bool   // images of which there is a signature, with an entry
	sigs   []testImage    // by the number of the image
}

// kept returns what is reached: a signature is as long as its image is.
func (m *model) kept() []testImage {
	var kept []testImage
	for i, im := range m.images {
		if !m.reached(i) {
			continue
		}
		kept = append(kept, im)
		if m.signed[i] {
			kept = append(kept, m.sigs[i])
		}
	}
	return kept
}

func (m *model) reached(i int) bool {
	for _, named := range m.names {
		if named == i {
			return true
		}
	}
	return m.bare[i]
}

// step does one thing to the layout at path and to the model.
func (m *model) step(t *testing.T, path string, r *rand.Rand) {
	t.Helper()
	i, name := r.IntN(len(m.images)), "v"+strconv.Itoa(r.IntN(3))
	switch r.IntN(6) {
	case 0, 1:
		run(t, path, func(l *Layout) { put(t, l, m.images[i], name) })
		m.names[name] = i
		delete(m.bare, i)
	case 2:
		if !m.reached(i) {
			return // a signature of nothing is an image like another
		}
		run(t, path, func(l *Layout) { put(t, l, m.sigs[i]) })
		m.signed[i] = true
	case 3:
		was, there := m.names[name]
		run(t, path, func(l *Layout) {
			if err := l.Untag(t.Context(), name); (err == nil) != there {
				t.Errorf("Untag = %v, there %t", err, there)
			}
		})
		if delete(m.names, name); there && !m.reached(was) {
			m.bare[was] = true
		}
	case 4:
		m.collect(t, path, r)
	case 5:
		m.collect(t, path, r, m.images[i].m.Digest())
	}
}

// collect breaks collections off at random until one is done, and wants what it
// leaves to be what the model keeps.
func (m *model) collect(t *testing.T, path string, r *rand.Rand, forget ...digest.Digest) {
	t.Helper()
	for err := errBroken; errors.Is(err, errBroken); {
		left := r.IntN(60)
		run(t, path, func(l *Layout) {
			_, err = l.Collect(breaking{t.Context(), &left}, CollectOptions{Grace: noGrace, Forget: forget})
		})
		if err != nil && !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		wantSound(t, path)
	}
	for i, im := range m.images {
		if slices.Contains(forget, im.m.Digest()) {
			delete(m.bare, i)
		}
		m.signed[i] = m.signed[i] && m.reached(i)
	}
	wantBlobs(t, path, m.kept()...)
}

// A collection removes what the model does not keep, whatever happened before.
func TestCollectionsKeepToTheModel(t *testing.T) {
	const seed, steps = 7, 300
	path := filepath.Join(inMemory(t), "layout")
	m := &model{names: map[string]int{}, bare: map[int]bool{}, signed: map[int]bool{}}
	for i := range 5 {
		im := layeredImage(t, i)
		m.images, m.sigs = append(m.images, im), append(m.sigs, aReferrer(t, im.m, "application/vnd.example.signature"))
	}
	run(t, path, func(l *Layout) { put(t, l, m.images[0], "v0") })
	m.names["v0"] = 0
	r := rand.New(rand.NewPCG(seed, 0))
	for n := range steps {
		if m.step(t, path, r); t.Failed() {
			t.Fatalf("at step %d: %+v", n, m.names)
		}
	}
}

// Runs that pull what they have in common, and lose it again, never miss a blob
// that is named while others collect.
func TestNobodyMissesABlobWhileOthersCollect(t *testing.T) {
	path := filepath.Join(inMemory(t), "layout")
	run(t, path, func(l *Layout) { put(t, l, layeredImage(t, 0), "stays") })
	procs := make([]*worker, 2)
	for i := range procs {
		procs[i] = startChild(t, child(t, "pulls", path, strconv.Itoa(10+i)))
	}
	var g errgroup.Group
	for i := range 3 {
		g.Go(func() error { return pullAndLose(t.Context(), path, 1+i, rounds(5, 200)) })
	}
	for _, p := range procs {
		g.Go(p.wait)
	}
	ctx, stop := context.WithCancel(t.Context())
	collected := make(chan error, 1)
	removed := 0
	go func() { collected <- collectUntil(ctx, path, &removed) }()
	err := g.Wait()
	stop()
	if err := errors.Join(err, <-collected); err != nil {
		t.Fatal(err)
	}
	collect(t, path, CollectOptions{Grace: noGrace})
	wantBlobs(t, path, layeredImage(t, 0))
	if left := strays(t, path); len(left) > 0 || removed == 0 {
		t.Errorf("%q are left, %d blobs were removed meanwhile", left, removed)
	}
}

// collectUntil collects again and again until ctx ends.
func collectUntil(ctx context.Context, path string, removed *int) (err error) {
	l, err := Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	for ctx.Err() == nil {
		got, err := l.Collect(ctx, CollectOptions{Grace: noGrace})
		*removed += len(got.Removed)
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// pullsChild pulls and loses image NUMBER at PATH.
func pullsChild(args []string) error {
	i, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	return pullAndLose(context.Background(), args[0], i, rounds(5, 200))
}

// pullAndLose stores image i, looks whether all of it is there, and does away with
// it, some times.
func pullAndLose(ctx context.Context, path string, i, times int) error {
	im, err := makeLayered(i)
	if err != nil {
		return err
	}
	name := "v" + strconv.Itoa(i)
	for range times {
		if err := pull(ctx, path, im, name); err != nil {
			return err
		}
		// Its lease has ended; its name keeps it.
		if _, err := whole(ctx, path, name); err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		if err := lose(ctx, path, im, name); err != nil {
			return err
		}
		if i%2 == 0 {
			continue // what it needs is left for others to remove
		}
		if err := collectIn(ctx, path, CollectOptions{Grace: noGrace}); err != nil {
			return err
		}
	}
	return nil
}

// pull stores im as copies do: it asks first.
func pull(ctx context.Context, path string, im testImage, name string) (err error) {
	l, err := Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	var missing []memoryBlob
	for _, b := range im.blobs {
		has, err := l.Has(ctx, b.d)
		if err != nil {
			return err
		}
		if !has {
			missing = append(missing, b)
		}
	}
	for _, b := range missing {
		if _, err := l.PutBlob(ctx, b); err != nil {
			return err
		}
	}
	return l.PutManifest(ctx, im.m, name)
}

// lose takes the entry of an image away.
func lose(ctx context.Context, path string, im testImage, name string) (err error) {
	l, err := Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Untag(ctx, name); err != nil {
		return err
	}
	return l.edit(ctx, func(x *index) (bool, error) {
		x.entries = slices.DeleteFunc(x.entries, func(e entry) bool { return e.digest == im.m.Digest() })
		return true, nil
	})
}

// collectIn collects once.
func collectIn(ctx context.Context, path string, o CollectOptions) (err error) {
	l, err := Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	_, err = l.Collect(ctx, o)
	return err
}

// A meddling context lets another run do something when it is looked at first.
type meddling struct {
	context.Context //nolint:containedctx // it is one itself
	once            *sync.Once
	do              func()
}

func (c meddling) Err() error {
	c.once.Do(c.do)
	return nil
}

func TestWhatOthersDoToIndexJSONDuringACollectionCounts(t *testing.T) {
	a, b := anImage(t, "a"), anImage(t, "b")
	sig := aReferrer(t, b.m, "application/vnd.example.signature")
	forget := []digest.Digest{b.m.Digest()}
	tests := map[string]struct {
		meddle func(x *index) error
		left   []testImage
	}{
		"nothing": {func(*index) error { return nil }, []testImage{a, b, sig}},
		"an image to be forgotten loses its name, and is kept for what it is": {
			func(x *index) error { return second(x.untag("v2")) }, []testImage{a, b, sig},
		},
		"an image gives its name to another": {
			func(x *index) error { return second(x.point("v2", a.m.Descriptor())) }, []testImage{a},
		},
		"an image that was gone gets a name": {
			func(x *index) error {
				x.entries = nil
				return errors.Join(second(x.point("v1", b.m.Descriptor())), second(x.point("v3", sig.m.Descriptor())))
			}, []testImage{b, sig},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := stored(t, func(l *Layout) {
				put(t, l, a, "v1")
				put(t, l, b, "v2")
				put(t, l, sig)
			})
			l, other := closed(t)(Open(path)), closed(t)(Open(path))
			meddle := func() {
				if err := other.edit(t.Context(), func(x *index) (bool, error) { return true, tt.meddle(x) }); err != nil {
					t.Error(err)
				}
			}
			ctx := meddling{t.Context(), new(sync.Once), meddle}
			if got, err := l.Collect(ctx, CollectOptions{Grace: noGrace, Forget: forget}); err != nil {
				t.Errorf("Collect = %+v, %v", got, err)
			}
			wantBlobs(t, path, tt.left...)
			wantSound(t, path)
		})
	}
}
