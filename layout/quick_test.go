package layout

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// largeIndex is the index.json of n images, each with the two names that
// docker's tools look for.
func largeIndex(tb testing.TB, n int) []byte {
	tb.Helper()
	x := newIndex()
	for i := range n {
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: int64(1000 + i)}
		d.Annotations = map[string]string{
			ocispec.AnnotationRefName:        fmt.Sprintf("app%d:v%d", i, i),
			content.AnnotationContainerdName: fmt.Sprintf("docker.io/library/app%d:v%d", i, i),
		}
		e, err := newEntry(d)
		if err != nil {
			tb.Fatal(err)
		}
		x.entries = append(x.entries, e)
	}
	return x.encode()
}

// wantAsFull wants raw to be read as fullIndex reads it, or to be refused as it
// does. quick says whether the quick way was good for it.
func wantAsFull(tb testing.TB, raw []byte, limits content.Limits) (quick bool) {
	tb.Helper()
	x, ok := quickIndex(string(raw), limits)
	want, err := fullIndex(raw, limits)
	if ok && err != nil {
		tb.Errorf("%.500q is read, and is refused by others: %v", raw, err)
	}
	if ok && err == nil {
		for i, e := range x.entries {
			d := e.descriptor()
			x.entries[i].desc = &d
		}
		if diff := cmp.Diff(want, x, cmp.AllowUnexported(index{}, field{}, entry{})); diff != "" {
			tb.Errorf("%.500q is read otherwise (-full +quick):\n%s", raw, diff)
		}
	}
	return ok
}

// texts are n annotations, names among them.
func texts(n int) string {
	all := []string{`"` + ocispec.AnnotationRefName + `":"a:1"`, `"` + content.AnnotationContainerdName + `":"docker.io/library/a:1"`}
	for i := range n - len(all) {
		all = append(all, fmt.Sprintf(`"k%d":"v%d"`, i, i))
	}
	return strings.Join(all, ",")
}

func TestTheQuickWayReadsWhatTheFullOneReads(t *testing.T) {
	const hex = "0000000000000000000000000000000000000000000000000000000000000001"
	const plain = `{"mediaType":"application/x","digest":"sha256:` + hex + `","size":3,"annotations":{"a":"b"}}`
	with := func(old, changed string) string { return strings.Replace(plain, old, changed, 1) }
	tests := []struct {
		name   string
		raw    string
		limits content.Limits
		quick  bool
	}{
		{"plain entries", indexWith(plain, plain), content.Limits{}, true},
		{"white space within texts", " {\n\"schemaVersion\" : 2 ,\t\"manifests\" : [ " + strings.ReplaceAll(plain, ":", " :\n") + " ] }\r\n", content.Limits{}, false},
		{"white space around entries", " {\n\"schemaVersion\" : 2 ,\t\"manifests\" : [ " + with(`,"size"`, " ,\n\"size\"") + "\r\n, " + plain + " ] }\r\n", content.Limits{}, true},
		{"odd entries between", indexWith(with(`"a":"b"`, `"\u0061":"b"`), plain, with(`"size"`, `"platform":{"os":"linux"},"size"`)), content.Limits{}, true},
		{"odd entries only", indexWith(with(`"size"`, `"x":[1],"size"`)), content.Limits{}, false},
		{"no entries", indexWith(), content.Limits{}, false},
		{"more fields", `{"x":[{"manifests":["]"]}],"y":-1.5e3,"z":"\"]}","schemaVersion":2,"manifests":[` + plain + `],"w":null}`, content.Limits{}, true},
		{"no annotations", indexWith(with(`,"annotations":{"a":"b"}`, ``)), content.Limits{}, true},
		{"as many annotations as are read", indexWith(with(`"a":"b"`, texts(mostTexts))), content.Limits{}, true},
		{"an entry with more annotations", indexWith(plain, with(`"a":"b"`, texts(mostTexts+1))), content.Limits{}, true},
		{"only an entry with more annotations", indexWith(with(`"a":"b"`, texts(mostTexts+1))), content.Limits{}, false},
		{"empty annotations", indexWith(with(`{"a":"b"}`, `{}`)), content.Limits{}, true},
		{"an artifact type", indexWith(with(`"size"`, `"artifactType":"a/b","size"`)), content.Limits{}, true},
		{"another letter", indexWith(plain, with(`"b"`, `"é"`)), content.Limits{}, true},
		{"a size of zeros", indexWith(plain, with(`:3`, `:00`)), content.Limits{}, false},
		{"a negative size", indexWith(plain, with(`:3`, `:-3`)), content.Limits{}, false},
		{"a size that is odd", indexWith(plain, with(`:3`, `:1000000000000000`)), content.Limits{}, true},
		{"a size that is too large", indexWith(plain, with(`:3`, `:9000000000000000`)), content.Limits{}, false},
		{"a digest twice", indexWith(plain, with(`"size"`, `"digest":"sha256:`+hex+`","size"`)), content.Limits{}, false},
		{"an annotation twice", indexWith(plain, with(`"a":"b"`, `"a":"b","a":"b"`)), content.Limits{}, false},
		{"a key in other letters", indexWith(plain, with(`"size"`, `"Size"`)), content.Limits{}, false},
		{"manifests twice", `{"schemaVersion":2,"manifests":[` + plain + `],"manifests":[]}`, content.Limits{}, false},
		{"manifests twice, once escaped", `{"schemaVersion":2,"manifests":[` + plain + `],"m\u0061nifests":[]}`, content.Limits{}, false},
		{"layers beside manifests", `{"schemaVersion":2,"manifests":[` + plain + `],"layers":[]}`, content.Limits{}, false},
		{"a comma too many", indexWith(plain, ""), content.Limits{}, false},
		{"a comma too few", indexWith(plain + plain), content.Limits{}, false},
		{"a bracket too many", indexWith(plain + "]"), content.Limits{}, false},
		{"something behind the end", indexWith(plain) + "{}", content.Limits{}, false},
		{"too many entries", indexWith(plain, plain, plain), content.Limits{Children: -1, ManifestSize: -1}, true},
		{"nesting that is as deep as the limit", indexWith(plain), content.Limits{Nesting: 4}, true},
		{"nesting beyond the limit", indexWith(plain), content.Limits{Nesting: 3}, false},
		{"an entry that is too large", indexWith(plain, with(`"b"`, `"`+strings.Repeat("b", maxPart)+`"`)), content.Limits{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if quick := wantAsFull(t, []byte(tt.raw), tt.limits); quick != tt.quick {
				t.Errorf("quick = %t, want %t", quick, tt.quick)
			}
		})
	}
	whole := largeIndex(t, 3)
	for n := range len(whole) {
		wantAsFull(t, whole[:n], content.Limits{})
	}
}

func FuzzQuickIndex(f *testing.F) {
	f.Add([]byte(foreign))
	f.Add(largeIndex(f, 3))
	f.Add([]byte(`{"x":[{"manifests":["]"]}],"schemaVersion":2,"manifests":[{"digest":"sha256:","size":0},{}],"manifests":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		wantAsFull(t, raw, content.Limits{})
		wantAsFull(t, raw, content.Limits{Nesting: 3, Children: 2})
	})
}

func BenchmarkIndexParse(b *testing.B) {
	raw := largeIndex(b, 5000)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseIndex(string(raw), content.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIndexEdit(b *testing.B) {
	l := created(b)
	rewrite(b, l, string(largeIndex(b, 5000)))
	digests := []digest.Digest{digest.FromString("one"), digest.FromString("other")}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digests[i%2], Size: 7}
		err := l.edit(b.Context(), func(x *index) (bool, error) { return x.put(d, []string{"registry.example/app:v1"}) })
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIndexUntag(b *testing.B) {
	raw := largeIndex(b, 5000)
	b.ReportAllocs()
	for b.Loop() {
		x, err := parseIndex(string(raw), content.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if found, err := x.untag("app7:v7"); !found || err != nil {
			b.Fatal(found, err)
		}
	}
}

// A plain text is read eight bytes at a time: each byte counts at each place of
// these.
func TestWhatIsNotPlainIsSeenAtEachPlace(t *testing.T) {
	for length := 1; length <= 17; length++ {
		for at := range length {
			for b := range 256 {
				text := []byte(strings.Repeat("~", length))
				text[at] = byte(b)
				want := ' ' <= b && b <= '~' && b != '\\'
				if got := isPlain(string(text)); got != want {
					t.Errorf("isPlain(%q) = %t", text, got)
				}
			}
		}
	}
}
