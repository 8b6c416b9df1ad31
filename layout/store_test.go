package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

func newStore(tb testing.TB) *Store {
	tb.Helper()
	s, err := OpenStore(filepath.Join(tb.TempDir(), "store"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// anImageFor makes an image for a platform, made at a time, with one layer.
func anImageFor(tb testing.TB, platform content.Platform, created time.Time, labels map[string]string, layer string) testImage {
	tb.Helper()
	raw, err := json.Marshal(ocispec.Image{
		Created: &created, Platform: ocispec.Platform{OS: platform.OS, Architecture: platform.Architecture},
		Config: ocispec.ImageConfig{Labels: labels},
	})
	if err != nil {
		tb.Fatal(err)
	}
	config, tar := bytesOf(ocispec.MediaTypeImageConfig, string(raw)), bytesOf(ocispec.MediaTypeImageLayer, layer)
	m := parsed(tb, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config.d, Layers: []ocispec.Descriptor{tar.d},
	})
	return testImage{m, []memoryBlob{config, tar}}
}

// images returns one line for each image: its names and its root's first digits.
func images(tb testing.TB, s *Store) []string {
	tb.Helper()
	found, err := s.Images(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	var lines []string
	for _, i := range found {
		slices.Sort(i.Names)
		lines = append(lines, strings.Join(i.Names, " ")+" "+i.Root.Digest.Encoded()[:8])
	}
	slices.Sort(lines)
	return lines
}

func short(i testImage) string { return i.m.Digest().Encoded()[:8] }

func TestNamesOfAStoreAreDockers(t *testing.T) {
	s := newStore(t)
	one := anImage(t, "one")
	put(t, s, one, "docker.io/library/nginx:latest")
	for _, ref := range []string{
		"nginx", "nginx:latest", "library/nginx", "docker.io/library/nginx", "docker.io/nginx:latest", "index.docker.io/nginx",
		one.m.Digest().String(), "nginx@" + one.m.Digest().String(), one.m.Digest().Encoded()[:12],
	} {
		m, err := s.Manifest(t.Context(), ref)
		if err != nil || m.Digest() != one.m.Digest() {
			t.Errorf("%s is %s, %v", ref, m.Digest(), err)
		}
	}
	for _, ref := range []string{"nginx:1", "ginx", "n", "", "latest", "quay.io/nginx"} {
		if _, err := s.Manifest(t.Context(), ref); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("%q: %v", ref, err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(s.disk.path, indexFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"org.opencontainers.image.ref.name":"nginx:latest"`, `"io.containerd.image.name":"docker.io/library/nginx:latest"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("index.json has no %s: %s", want, raw)
		}
	}
}

func TestANameThatMovesLeavesTheImageThatHadIt(t *testing.T) {
	s := newStore(t)
	one, two := anImage(t, "one"), anImage(t, "two")
	put(t, s, one, "app:1", "other/app:1")
	put(t, s, two, "app:1")
	want := []string{"app:1 " + short(two), "other/app:1 " + short(one)}
	if got := images(t, s); !slices.Equal(got, want) {
		t.Errorf("an image with another name: %q, want %q", got, want)
	}
	put(t, s, two, "other/app:1")
	want = []string{"app:1 other/app:1 " + short(two), "other/app@" + one.m.Digest().String() + " " + short(one)}
	if got := images(t, s); !slices.Equal(got, want) {
		t.Errorf("an image without another: %q, want %q", got, want)
	}
	put(t, s, one, "other/app:old")
	want = []string{"app:1 other/app:1 " + short(two), "other/app:old " + short(one)}
	if got := images(t, s); !slices.Equal(got, want) {
		t.Errorf("one that has a tag again: %q, want %q", got, want)
	}
}

func TestAnImageThatLosesItsNameKeepsWhatIsSaidOfIt(t *testing.T) {
	said := func(tb testing.TB, m content.Manifest, name string) ocispec.Descriptor {
		tb.Helper()
		d := m.Descriptor()
		d.ArtifactType = ""
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64"}
		d.URLs = []string{"https://r.example/one"}
		d.Data = m.Raw()
		d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
		return d
	}
	for _, tt := range []struct {
		name, before, after string
		move                func(t *testing.T, s *Store, two testImage) error
	}{
		{"to another image", "app:1", "app@", func(t *testing.T, s *Store, two testImage) error {
			t.Helper()
			return s.PutManifest(t.Context(), two.m, "app:1")
		}},
		{"to that of a backup", "app:1", "app@", adoptAs("app:1")},
		{"to that of a backup, where it was only a tag", "1", "", adoptAs("1")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(t)
			one, two := anImage(t, "one"), anImage(t, "two")
			stage(t, s.Layout, one)
			stage(t, s.Layout, two)
			want := said(t, one.m, tt.before)
			e, err := newEntry(want)
			if err != nil {
				t.Fatal(err)
			}
			put(t, s, two)
			rewrite(t, s.Layout, indexWith(e.raw))
			if err := tt.move(t, s, two); err != nil {
				t.Fatal(err)
			}
			x, err := s.index()
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(x.entries, func(e entry) bool { return e.digest == want.Digest })
			if i < 0 {
				t.Fatalf("it is gone: %s", indexOf(t, s.Layout))
			}
			got := x.entries[i]
			if !strings.HasPrefix(got.shown(), tt.after) || got.is(tt.before) {
				t.Errorf("it is called %q", got.shown())
			}
			d := got.descriptor()
			d.Annotations, want.Annotations = nil, nil
			if diff := cmp.Diff(want, d); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// adoptAs has a store adopt that name stands for two.
func adoptAs(name string) func(t *testing.T, s *Store, two testImage) error {
	return func(t *testing.T, s *Store, two testImage) error {
		t.Helper()
		e, err := newEntry(content.WithName(two.m.Descriptor(), name))
		if err != nil {
			return err
		}
		x := newIndex()
		x.entries = []entry{e}
		return s.Adopt(t.Context(), Snapshot{x}, Replace)
	}
}

func TestTheLastTagTakesTheImageWithIt(t *testing.T) {
	s := newStore(t)
	one := anImage(t, "one")
	put(t, s, one, "app:1", "app@"+one.m.Digest().String())
	if err := s.Tag(t.Context(), one.m.Descriptor(), "app:2"); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Remove(t.Context(), "app:1"); err != nil || r.Gone != nil || !slices.Equal(r.Names, []string{"app:1"}) {
		t.Fatalf("the first of two tags: %+v, %v", r, err)
	}
	r, err := s.Remove(t.Context(), "app:2")
	if err != nil || r.Gone == nil || r.Gone.Digest != one.m.Digest() {
		t.Fatalf("the last tag: %+v, %v", r, err)
	}
	if got := images(t, s); len(got) > 0 {
		t.Errorf("there is still %q", got)
	}
	if _, err := s.Remove(t.Context(), "app:2"); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("a name that is gone: %v", err)
	}
}

func TestAnImageThatWasNamedMeanwhileStays(t *testing.T) {
	s := newStore(t)
	one := anImage(t, "one")
	put(t, s, one, "app:1", "app:2")
	_, err := s.RemoveImage(t.Context(), one.m.Digest(), []string{"app:1"})
	if !errors.Is(err, content.ErrConflict) {
		t.Errorf("removed with a name nobody knew of: %v", err)
	}
	if got := images(t, s); len(got) != 1 {
		t.Fatalf("it is gone: %q", got)
	}
	r, err := s.RemoveImage(t.Context(), one.m.Digest(), []string{"app:1", "app:2"})
	if err != nil || r.Gone == nil || len(r.Names) != 2 {
		t.Errorf("removed with both names: %+v, %v", r, err)
	}
}

func TestARepositoryOfAStoreHasItsTagsOnly(t *testing.T) {
	s := newStore(t)
	put(t, s, anImage(t, "one"), "other:1", "docker.io/library/other:3")
	r, err := s.Repository("docker.io/library/app")
	if err != nil {
		t.Fatal(err)
	}
	two := anImage(t, "two")
	put(t, r, two, "2", "1")
	var tags []string
	for tag, err := range r.Tags(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
	if want := []string{"1", "2"}; !slices.Equal(tags, want) {
		t.Errorf("tags %q, want %q", tags, want)
	}
	if d, err := r.Resolve(t.Context(), "2"); err != nil || d.Digest != two.m.Digest() {
		t.Errorf("app:2 is %v, %v", d, err)
	}
	if _, err := r.Resolve(t.Context(), "3"); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("a tag of another repository: %v", err)
	}
}

func TestImagesSaysWhatIsHere(t *testing.T) {
	s := newStore(t)
	long := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	amd64 := anImageFor(t, content.Platform{OS: "linux", Architecture: "amd64"}, long, map[string]string{"a": "b"}, "amd64")
	arm64 := anImageFor(t, content.Platform{OS: "linux", Architecture: "arm64"}, long, nil, "arm64")
	x := anIndex(t, amd64.m, arm64.m)
	put(t, s, amd64)
	if err := s.PutManifest(t.Context(), x, "app:1"); err != nil {
		t.Fatal(err)
	}
	put(t, s, aReferrer(t, x, "a/signature"))
	for _, when := range []string{"read", "remembered"} {
		found, err := s.Images(t.Context())
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %+v, %v", when, found, err)
		}
		i := found[0]
		if len(i.Offers) != 2 || len(i.Variants) != 1 || i.Variants[0].Manifest != amd64.m.Digest() {
			t.Errorf("%s: of two platforms one is here: %+v", when, i)
		}
		v := i.Variants[0]
		size := amd64.m.Size() + amd64.blobs[0].d.Size + amd64.blobs[1].d.Size
		if v.ID != amd64.blobs[0].d.Digest || !v.Created.Equal(long) || v.Labels()["a"] != "b" || v.Size != size {
			t.Errorf("%s: %+v, want size %d", when, v, size)
		}
	}
	if _, err := os.Stat(filepath.Join(s.disk.path, factsFile)); err != nil {
		t.Error(err)
	}
	put(t, s, arm64)
	if i, err := s.Find(t.Context(), arm64.blobs[0].d.Digest.Encoded()[:10]); err != nil || len(i.Variants) != 2 {
		t.Errorf("by the ID of the other platform, which came later: %+v, %v", i, err)
	}
}

func TestTheVariantForAPlatformIsTheBestThatIsHere(t *testing.T) {
	arm := func(variant string) content.Platform {
		return content.Platform{OS: "linux", Architecture: "arm", Variant: variant}
	}
	tests := []struct {
		name string
		here []content.Platform
		p    content.Platform
		want int
	}{
		{"its own", []content.Platform{arm("v7"), arm("v5"), arm("v6")}, arm("v6"), 2},
		{"the next below", []content.Platform{arm("v7"), arm("v5")}, arm("v6"), 1},
		{"none that runs", []content.Platform{arm("v8"), arm("v7")}, arm("v6"), 0},
	}
	for _, tt := range tests {
		var i Image
		for n, p := range tt.here {
			i.Variants = append(i.Variants, Variant{Platform: p, ID: digest.FromString(strconv.Itoa(n))})
		}
		if v, ok := i.For(tt.p); !ok || v.ID != i.Variants[tt.want].ID {
			t.Errorf("%s: got the one for %s, want number %d", tt.name, v.Platform, tt.want)
		}
	}
	if v, ok := (Image{}).For(arm("v7")); ok {
		t.Errorf("of none: %+v", v)
	}
}

// The signature of an image without a name is called by its digest tag alone, which
// is no repository.
func TestADigestTagAloneIsNoImage(t *testing.T) {
	s := newStore(t)
	one, signature := anImage(t, "one"), anImage(t, "signature")
	put(t, s, one, one.m.Digest().String())
	tag := content.DigestTags(one.m.Digest())[0]
	put(t, s, signature, tag)
	if got := images(t, s); !slices.Equal(got, []string{" " + short(one)}) {
		t.Errorf("images %q", got)
	}
	if d, err := s.Resolve(t.Context(), tag); err != nil || d.Digest != signature.m.Digest() {
		t.Errorf("%s is %s, %v", tag, d.Digest, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	collect(t, s.disk.path, CollectOptions{Grace: noGrace, Forget: []digest.Digest{one.m.Digest()}})
	if got := entries(t, closed(t)(Open(s.disk.path))); len(got) > 0 {
		t.Errorf("it has outlived its subject: %+v", got)
	}
}

func TestADigestIsTheImageOfThatDigest(t *testing.T) {
	s := newStore(t)
	alone := anImageFor(t, content.HostPlatform(), time.Unix(1, 0), nil, "alone")
	x := anIndex(t, alone.m)
	put(t, s, alone, "a/alone:1")
	if err := s.PutManifest(t.Context(), x, "a/index:1"); err != nil {
		t.Fatal(err)
	}
	for d, name := range map[digest.Digest]string{alone.m.Digest(): "a/alone:1", x.Digest(): "a/index:1"} {
		i, err := s.Find(t.Context(), d.String())
		all, allErr := s.FindAll(t.Context(), d.String())
		if err != nil || allErr != nil || i.Root.Digest != d || !slices.Equal(i.Names, []string{name}) || len(all) != 1 {
			t.Errorf("%s is %+v, %v; all are %+v, %v; want %s", d, i, err, all, allErr, name)
		}
	}
	if all, err := s.FindAll(t.Context(), alone.blobs[0].d.Digest.String()); err != nil || len(all) != 2 {
		t.Errorf("by the ID of both: %+v, %v", all, err)
	}
}

func TestDigitsThatSeveralImagesBeginWithNameThem(t *testing.T) {
	s := newStore(t)
	one := anImage(t, "one")
	digits := one.m.Digest().Encoded()[:leastID]
	other := anImage(t, "0")
	for n := 1; !strings.HasPrefix(other.m.Digest().Encoded(), digits); n++ {
		other = anImage(t, strconv.Itoa(n))
	}
	put(t, s, one, "a/one:1", "a/one:2")
	put(t, s, other, other.m.Digest().String())
	_, err := s.Find(t.Context(), digits)
	ambiguous, ok := errors.AsType[*AmbiguousError](err)
	if !ok || !errors.Is(err, content.ErrInvalid) || len(ambiguous.Images) != 2 {
		t.Fatalf("%s is %v", digits, err)
	}
	for _, want := range []string{digits + " could mean 2 images: ", "a/one:1", other.m.Digest().String()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	many := &AmbiguousError{Ref: digits, Images: slices.Repeat(ambiguous.Images, 4)}
	if got := many.Error(); !strings.Contains(got, "could mean 8 images: ") || !strings.HasSuffix(got, ", 3 more") {
		t.Errorf("of many it says %q", got)
	}
}

func TestReadingAStoreThatIsNotThereMakesNone(t *testing.T) {
	s := newStore(t)
	if got := images(t, s); got != nil {
		t.Errorf("images %q", got)
	}
	if _, err := s.Find(t.Context(), "nginx"); !errors.Is(err, content.ErrNotFound) {
		t.Error(err)
	}
	if _, err := s.Remove(t.Context(), "nginx"); !errors.Is(err, content.ErrNotFound) {
		t.Error(err)
	}
	if err := s.Tag(t.Context(), ocispec.Descriptor{Digest: digest.FromString("x")}, "a:b"); !errors.Is(err, content.ErrNotFound) {
		t.Error(err)
	}
	if _, err := os.Stat(s.disk.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

// fullStore returns a store of n images, each an index of which one platform is
// here. Nothing of it is durable.
func fullStore(tb testing.TB, n int) *Store {
	tb.Helper()
	s := newStore(tb)
	put(tb, s, anImage(tb, "first"), "first:1")
	folder := filepath.Join(s.disk.path, blobsDir, "sha256")
	write := func(d digest.Digest, raw []byte) {
		if err := os.WriteFile(filepath.Join(folder, d.Encoded()), raw, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	err := s.edit(tb.Context(), func(x *index) (bool, error) {
		for i := range n {
			image := anImageFor(tb, content.HostPlatform(), time.Unix(int64(i)*1e5, 0), map[string]string{"maintainer": "a team"}, fmt.Sprint("layer ", i))
			for _, b := range image.blobs {
				write(b.d.Digest, b.raw)
			}
			write(image.m.Digest(), image.m.Raw())
			root := anIndex(tb, image.m, anImage(tb, fmt.Sprint(i)).m)
			write(root.Digest(), root.Raw())
			name, err := parseStoreName(fmt.Sprintf("registry.example:5000/team/app-%d:v%d", i%700, i))
			if err != nil {
				return false, err
			}
			e, err := name.entry(root.Descriptor())
			if err != nil {
				return false, err
			}
			x.entries = append(x.entries, e)
		}
		return true, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func BenchmarkFiveThousandImages(b *testing.B) {
	s := fullStore(b, 5000)
	list := func() {
		again, err := OpenStore(s.disk.path)
		if err != nil {
			b.Fatal(err)
		}
		if found, err := again.Images(b.Context()); err != nil || len(found) != 5001 {
			b.Fatal(len(found), err)
		}
		_ = again.Close()
	}
	list()
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			list()
		}
	})
	b.Run("tag", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			again, err := OpenStore(s.disk.path)
			if err != nil {
				b.Fatal(err)
			}
			d, err := again.Resolve(b.Context(), "registry.example:5000/team/app-1:v1")
			if err == nil {
				err = again.Tag(b.Context(), d, fmt.Sprint("a/b:", i))
			}
			if err = errors.Join(err, again.Close()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
