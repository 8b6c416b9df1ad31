package layout

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// rewrite replaces index.json, as another tool does.
func rewrite(tb testing.TB, l *Layout, raw string) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(l.disk.path, indexFile), []byte(raw), 0o644); err != nil {
		tb.Fatal(err)
	}
}

func indexOf(tb testing.TB, l *Layout) string {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join(l.disk.path, indexFile))
	if err != nil {
		tb.Fatal(err)
	}
	return string(raw)
}

// entryOf makes the JSON of an entry with annotations: ref.name and
// containerd's name, either of which may be empty.
func entryOf(tb testing.TB, m content.Manifest, ref, full string) string {
	tb.Helper()
	d := m.Descriptor()
	d.ArtifactType = ""
	d.Annotations = map[string]string{ocispec.AnnotationRefName: ref, content.AnnotationContainerdName: full}
	maps.DeleteFunc(d.Annotations, func(_, value string) bool { return value == "" })
	e, err := newEntry(d)
	if err != nil {
		tb.Fatal(err)
	}
	return e.raw
}

func indexWith(entries ...string) string {
	return `{"schemaVersion":2,"manifests":[` + strings.Join(entries, ",") + `]}`
}

func TestNamesAreFoundAsToolsWriteThem(t *testing.T) {
	l := created(t)
	a, b := anImage(t, "a"), anImage(t, "b")
	put(t, l, a)
	put(t, l, b)
	const nginx, redis = "docker.io/library/nginx:latest", "docker.io/library/redis:latest"
	tests := []struct {
		name    string
		entries []string
		ref     string
		want    digest.Digest
		err     error
		says    []string
	}{
		{name: "a tag", entries: []string{entryOf(t, a.m, "v1", ""), entryOf(t, b.m, "v2", "")}, ref: "v2", want: b.m.Digest()},
		{name: "a tag is not a prefix", entries: []string{entryOf(t, a.m, "v1", "")}, ref: "v", err: content.ErrNotFound, says: []string{`"v"`}},
		{name: "a full reference in ref.name, as podman writes", entries: []string{entryOf(t, a.m, nginx, "")}, ref: nginx, want: a.m.Digest()},
		{name: "docker's short name for it", entries: []string{entryOf(t, a.m, nginx, "")}, ref: "nginx:latest", want: a.m.Digest()},
		{name: "docker's shortest name for it", entries: []string{entryOf(t, a.m, nginx, "")}, ref: "nginx", want: a.m.Digest()},
		{name: "the full name of a short one", entries: []string{entryOf(t, a.m, "nginx:latest", "")}, ref: nginx, want: a.m.Digest()},
		{name: "containerd's name", entries: []string{entryOf(t, a.m, "latest", nginx)}, ref: nginx, want: a.m.Digest()},
		{name: "the tag beside containerd's name", entries: []string{entryOf(t, a.m, "latest", nginx)}, ref: "latest", want: a.m.Digest()},
		{name: "the tag of a full reference", entries: []string{entryOf(t, a.m, "r.example/team/app:v1", "")}, ref: "v1", want: a.m.Digest()},
		{
			name: "one of two images that docker save wrote", ref: "redis:latest", want: b.m.Digest(),
			entries: []string{entryOf(t, a.m, "latest", nginx), entryOf(t, b.m, "latest", redis)},
		},
		{
			name: "the tag of two images that docker save wrote", ref: "latest", err: content.ErrInvalid,
			entries: []string{entryOf(t, a.m, "latest", nginx), entryOf(t, b.m, "latest", redis)},
			says:    []string{a.m.Digest().String(), b.m.Digest().String(), nginx, redis},
		},
		{
			name: "a name of its own goes before another's tag", ref: "latest", want: b.m.Digest(),
			entries: []string{entryOf(t, a.m, "latest", nginx), entryOf(t, b.m, "latest", "")},
		},
		{
			name: "one name for two manifests", ref: "v1", err: content.ErrInvalid,
			entries: []string{entryOf(t, a.m, "v1", ""), entryOf(t, b.m, "v1", "")},
			says:    []string{a.m.Digest().String(), b.m.Digest().String()},
		},
		{name: "one name twice for one manifest", entries: []string{entryOf(t, a.m, "v1", ""), entryOf(t, a.m, "v1", "")}, ref: "v1", want: a.m.Digest()},
		{name: "a digest that index.json does not have", ref: b.m.Digest().String(), want: b.m.Digest()},
		{name: "a digest behind a name", ref: "whatever:v9@" + b.m.Digest().String(), want: b.m.Digest()},
		{name: "a digest of nothing", ref: digest.FromString("nothing").String(), err: content.ErrNotFound},
		{name: "no name and no image", ref: "", err: content.ErrNotFound},
		{name: "no name and one image", entries: []string{entryOf(t, a.m, "v1", "")}, ref: "", want: a.m.Digest()},
		{name: "no name and one image with two names", entries: []string{entryOf(t, a.m, "v1", ""), entryOf(t, a.m, "v2", "")}, ref: "", want: a.m.Digest()},
		{name: "no name and one image without a name", entries: []string{entryOf(t, a.m, "", "")}, ref: "", want: a.m.Digest()},
		{
			name: "no name and two images", entries: []string{entryOf(t, a.m, "v1", ""), entryOf(t, b.m, "", "")}, ref: "", err: content.ErrInvalid,
			says: []string{`"v1"`, b.m.Digest().String()},
		},
		{
			name: "no name and a digest tag beside the image", ref: "", want: a.m.Digest(),
			entries: []string{entryOf(t, a.m, "v1", ""), entryOf(t, b.m, "sha256-"+a.m.Digest().Encoded()+".sig", "")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rewrite(t, l, indexWith(tt.entries...))
			m, err := l.Manifest(t.Context(), tt.ref)
			if m.Digest() != tt.want || !errors.Is(err, tt.err) {
				t.Fatalf("Manifest(%q) = %s, %v; want %s, %v", tt.ref, m.Digest(), err, tt.want, tt.err)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v: does not say %s", err, s)
				}
			}
			d, err := l.Resolve(t.Context(), tt.ref)
			if d.Digest != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("Resolve(%q) = %s, %v", tt.ref, d.Digest, err)
			}
		})
	}
}

func TestReferrersAreNoImages(t *testing.T) {
	l := created(t)
	a := anImage(t, "a")
	signature := aReferrer(t, a.m, "application/vnd.example.signature")
	note := aReferrer(t, signature.m, "application/vnd.example.note")
	put(t, l, a, a.m.Digest().String())
	put(t, l, signature)
	put(t, l, note)
	if m, err := l.Manifest(t.Context(), ""); err != nil || m.Digest() != a.m.Digest() {
		t.Errorf("the only image = %s, %v; want %s", m.Digest(), err, a.m.Digest())
	}
	alone := created(t)
	put(t, alone, signature, signature.m.Digest().String())
	put(t, alone, note)
	if m, err := alone.Manifest(t.Context(), ""); err != nil || m.Digest() != signature.m.Digest() {
		t.Errorf("the only image = %s, %v; want %s", m.Digest(), err, signature.m.Digest())
	}
}

// entries returns what index.json has, as descriptors.
func entries(tb testing.TB, l *Layout) []ocispec.Descriptor {
	tb.Helper()
	var x ocispec.Index
	if err := json.Unmarshal([]byte(indexOf(tb, l)), &x); err != nil {
		tb.Fatal(err)
	}
	return x.Manifests
}

func TestNamesInIndexJSON(t *testing.T) {
	a, b := anImage(t, "a"), anImage(t, "b")
	da, db := a.m.Descriptor(), b.m.Descriptor()
	da.ArtifactType, db.ArtifactType = "", ""
	with := func(d ocispec.Descriptor, ref, full string) ocispec.Descriptor {
		d.Annotations = map[string]string{ocispec.AnnotationRefName: ref, content.AnnotationContainerdName: full}
		maps.DeleteFunc(d.Annotations, func(_, value string) bool { return value == "" })
		if len(d.Annotations) == 0 {
			d.Annotations = nil
		}
		return d
	}
	const nginx = "docker.io/library/nginx:latest"
	tests := []struct {
		name   string
		before []string
		names  []string // of b
		want   []ocispec.Descriptor
	}{
		{"a tag is in one annotation", nil, []string{"v1"}, []ocispec.Descriptor{with(db, "v1", "")}},
		{"a full reference is in both", nil, []string{"r.example/app:v1"}, []ocispec.Descriptor{with(db, "r.example/app:v1", "r.example/app:v1")}},
		{"docker's short name is full for containerd", nil, []string{"nginx:latest"}, []ocispec.Descriptor{with(db, "nginx:latest", nginx)}},
		{"its own digest is no name", nil, []string{db.Digest.String()}, []ocispec.Descriptor{with(db, "", "")}},
		{"its own digest and a name", nil, []string{db.Digest.String(), "v1"}, []ocispec.Descriptor{with(db, "v1", "")}},
		{"a name makes an unnamed entry needless", []string{entryOf(t, b.m, "", "")}, []string{"v1"}, []ocispec.Descriptor{with(db, "v1", "")}},
		{"a digest adds nothing to a name", []string{entryOf(t, b.m, "v1", "")}, []string{db.Digest.String()}, []ocispec.Descriptor{with(db, "v1", "")}},
		{"no names at all", nil, nil, nil},
		{"a name moves", []string{entryOf(t, a.m, "v1", "")}, []string{"v1"}, []ocispec.Descriptor{with(db, "v1", "")}},
		{"other names stay", []string{entryOf(t, a.m, "v1", ""), entryOf(t, a.m, "v2", "")}, []string{"v1"}, []ocispec.Descriptor{with(da, "v2", ""), with(db, "v1", "")}},
		{"a name for two manifests becomes one", []string{entryOf(t, a.m, "v1", ""), entryOf(t, b.m, "v1", "")}, []string{"v1"}, []ocispec.Descriptor{with(db, "v1", "")}},
		{"a bare word is a tag", []string{entryOf(t, a.m, "latest", nginx)}, []string{"nginx"}, []ocispec.Descriptor{with(da, "latest", nginx), with(db, "nginx", "")}},
		{"docker's name with its tag moves", []string{entryOf(t, a.m, "latest", nginx)}, []string{"nginx:latest"}, []ocispec.Descriptor{with(db, "nginx:latest", nginx)}},
		{"a tag is taken from beside another's full name", []string{entryOf(t, a.m, "latest", nginx)}, []string{"latest"}, []ocispec.Descriptor{with(da, "", nginx), with(db, "latest", "")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := created(t)
			put(t, l, a)
			put(t, l, b)
			rewrite(t, l, indexWith(tt.before...))
			for range 2 { // the second time changes nothing
				put(t, l, b, tt.names...)
				if diff := cmp.Diff(tt.want, entries(t, l), emptyIsNil); diff != "" {
					t.Error(diff)
				}
			}
			for _, name := range tt.names {
				if m, err := l.Manifest(t.Context(), name); err != nil || m.Digest() != db.Digest {
					t.Errorf("Manifest(%q) = %s, %v", name, m.Digest(), err)
				}
			}
		})
	}
}

var emptyIsNil = cmp.FilterValues(func(x, y []ocispec.Descriptor) bool { return len(x)+len(y) == 0 }, cmp.Ignore())

func TestUntagging(t *testing.T) {
	const nginx = "docker.io/library/nginx:latest"
	a := anImage(t, "a")
	tests := []struct {
		name    string
		entries []string
		untag   string
		left    []string // names
		err     error
	}{
		{"one of two names", []string{entryOf(t, a.m, "v1", ""), entryOf(t, a.m, "v2", "")}, "v1", []string{"v2"}, nil},
		{"the only name", []string{entryOf(t, a.m, "v1", "")}, "v1", nil, nil},
		{"a full name with the tag beside it", []string{entryOf(t, a.m, "latest", nginx)}, nginx, nil, nil},
		{"docker's short name", []string{entryOf(t, a.m, "latest", nginx)}, "nginx:latest", nil, nil},
		{"the tag beside a full name", []string{entryOf(t, a.m, "latest", nginx)}, "latest", []string{nginx}, nil},
		{"a name nobody has", []string{entryOf(t, a.m, "v1", "")}, "v2", []string{"v1"}, content.ErrNotFound},
		{"no name", []string{entryOf(t, a.m, "", "")}, "", nil, content.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := created(t)
			put(t, l, a)
			rewrite(t, l, indexWith(tt.entries...))
			if err := l.Untag(t.Context(), tt.untag); !errors.Is(err, tt.err) {
				t.Errorf("Untag = %v, want %v", err, tt.err)
			}
			if got := slices.Collect(names(t, l)); !slices.Equal(got, tt.left) {
				t.Errorf("left are %q, want %q", got, tt.left)
			}
			if m, err := l.Manifest(t.Context(), ""); err != nil || m.Digest() != a.m.Digest() {
				t.Errorf("the image is gone: %v", err)
			}
		})
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	l := created(t)
	a := anImage(t, "a")
	for _, b := range a.blobs {
		if _, err := l.PutBlob(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	before := indexOf(t, l)
	for _, name := range []string{"", "a\x00b", "a\nb", "a\x1b[31m", "\xff"} {
		if err := l.PutManifest(t.Context(), a.m, name); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("PutManifest(%q) = %v, want invalid content", name, err)
		}
	}
	if after := indexOf(t, l); after != before {
		t.Errorf("index.json changed to %s", after)
	}
}

func TestReferrersAreFoundFromIndexesAndFallbackTags(t *testing.T) {
	l := created(t)
	a := anImage(t, "a")
	direct := aReferrer(t, a.m, "application/vnd.example.direct")
	nested := aReferrer(t, a.m, "application/vnd.example.nested")
	listed := anImage(t, "listed without a subject")
	put(t, l, a, "v1")
	put(t, l, direct)
	put(t, l, nested)
	put(t, l, listed)
	// As regctl and oras leave it: a fallback index, and nothing else, names the rest.
	fallback := anIndex(t, nested.m, listed.m)
	put(t, l, testImage{m: fallback}, "sha256-"+a.m.Digest().Encoded())
	x := slices.DeleteFunc(entries(t, l), func(d ocispec.Descriptor) bool { return d.Digest == nested.m.Digest() })
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": x})
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, l, string(raw))
	var got []digest.Digest
	for d, err := range l.Referrers(t.Context(), a.m.Digest(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d.Digest)
	}
	want := []digest.Digest{direct.m.Digest(), nested.m.Digest(), listed.m.Digest()}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("referrers = %s, want %s", got, want)
	}
	for d, err := range l.Referrers(t.Context(), a.m.Digest(), "application/vnd.example.direct") {
		if err != nil || d.Digest != direct.m.Digest() || d.Annotations["kind"] != "application/vnd.example.direct" {
			t.Errorf("by type: %+v, %v", d, err)
		}
	}
}

func TestACorruptReferrerIsAnErrorAndAMissingOneIsNot(t *testing.T) {
	l := created(t)
	a := anImage(t, "a")
	r := aReferrer(t, a.m, "application/vnd.example.signature")
	put(t, l, a, "v1")
	put(t, l, r)
	put(t, l, testImage{m: parsed(t, ocispec.Index{ // which leads to it once more
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{r.m.Descriptor()},
	})}, content.FallbackTag(a.m.Digest()))
	other := closed(t)(Open(l.disk.path))
	file := filepath.Join(l.disk.path, other.disk.place(r.m.Digest()))
	if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range other.Referrers(t.Context(), a.m.Digest(), "") {
		last = err
	}
	unread, ok := errors.AsType[*content.UnreadError](last)
	if !errors.Is(last, content.ErrCorrupt) || !ok || !slices.Equal(unread.Digests, []digest.Digest{r.m.Digest()}) {
		t.Errorf("a corrupt referrer: %v, want corrupt content", last)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for d, err := range other.Referrers(t.Context(), a.m.Digest(), "") {
		t.Errorf("a missing referrer: %s, %v", d.Digest, err)
	}
}

// Annotations were copied into index.json, which has room for 256 KiB an entry.
func TestReferrersOfAnySizeAreKept(t *testing.T) {
	l := created(t)
	a := anImage(t, "a")
	put(t, l, a, "v1")
	long := strings.Repeat("x", 1<<20)
	to := a.m.Descriptor()
	for name, change := range map[string]func(m *ocispec.Manifest){
		"annotations":      func(m *ocispec.Manifest) { m.Annotations = map[string]string{"sbom": long} },
		"an artifact type": func(m *ocispec.Manifest) { m.ArtifactType = long },
	} {
		empty := bytesOf(ocispec.MediaTypeEmptyJSON, "{}")
		m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.example", Config: empty.d, Layers: []ocispec.Descriptor{empty.d}, Subject: &to}
		m.SchemaVersion = 2
		change(&m)
		r := testImage{parsed(t, m), []memoryBlob{empty}}
		put(t, l, r)
		wantReferrer(t, l, r.m)
		if len(indexOf(t, l)) > 4<<10 {
			t.Errorf("%s stand in index.json", name)
		}
	}
}
