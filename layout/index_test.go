package layout

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

// foreign is an index.json as no tool writes it, but as one might.
const foreign = `{
  "annotations" : { "org.example.note": "kept \u00e9 as it is" },
  "schemaVersion": 2 ,
  "unknown": [1, 2.50, 1e3, {"deep": null}],
  "manifests": [
    { "size" : 3, "digest":"sha256:0000000000000000000000000000000000000000000000000000000000000001",
      "mediaType":"application/vnd.oci.image.manifest.v1+json", "platform": {"os":"linux", "architecture":"s390x"},
      "annotations": {"org.opencontainers.image.ref.name":"other", "b":"2", "a":"1"}, "x-field": [ ] },
    {"mediaType":"application/xml","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000002","size":7}
  ],
  "zz": "last"
}`

func TestWhatOthersWroteIsKept(t *testing.T) {
	l := created(t)
	a := anImage(t, "a")
	put(t, l, a)
	rewrite(t, l, foreign)
	put(t, l, a, "v1")
	got := indexOf(t, l)
	for _, kept := range []string{
		`"annotations":{ "org.example.note": "kept \u00e9 as it is" }`,
		`"unknown":[1, 2.50, 1e3, {"deep": null}]`,
		foreign[strings.Index(foreign, `{ "size"`) : strings.Index(foreign, `"x-field": [ ] }`)+len(`"x-field": [ ] }`)],
		`{"mediaType":"application/xml","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000002","size":7}`,
		`"zz":"last"`,
	} {
		if !strings.Contains(got, kept) {
			t.Errorf("%s\nhas not\n%s", got, kept)
		}
	}
	if got := slices.Collect(names(t, l)); !slices.Equal(got, []string{"other", "v1"}) {
		t.Errorf("names = %q", got)
	}
}

func TestATagTakenFromAForeignEntryLeavesTheRestOfIt(t *testing.T) {
	l := created(t)
	a := anImage(t, "a")
	put(t, l, a)
	rewrite(t, l, strings.Replace(foreign, `"b":"2"`, `"b":"2", "io.containerd.image.name":"docker.io/library/x:other"`, 1))
	put(t, l, a, "other")
	got := indexOf(t, l)
	for _, kept := range []string{`"x-field":[]`, `"platform":{"os":"linux","architecture":"s390x"}`, `"a":"1","b":"2","io.containerd.image.name":"docker.io/library/x:other"`} {
		if !strings.Contains(got, kept) {
			t.Errorf("%s\nhas not\n%s", got, kept)
		}
	}
	if n := strings.Count(got, `"other"`); n != 1 {
		t.Errorf("the tag stands %d times:\n%s", n, got)
	}
}

func TestBrokenIndexes(t *testing.T) {
	const entry = `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000001","size":3}`
	tests := []struct{ name, raw, says string }{
		{"empty", ``, "breaks off"},
		{"no JSON", `hello`, "not JSON"},
		{"half an object", foreign[:200], "breaks off"},
		{"an array", `[]`, "not a JSON object"},
		{"two values", `{"schemaVersion":2,"manifests":[]}{}`, "after the end"},
		{"no version", `{"manifests":[]}`, "schemaVersion"},
		{"another version", `{"schemaVersion":1,"manifests":[]}`, "schema"},
		{"manifests that are no array", `{"schemaVersion":2,"manifests":{}}`, "not an array"},
		{"a digest that leads elsewhere", indexWith(strings.Replace(entry, "sha256:", "sha256:../", 1)), "digest"},
		{"a digest in capitals", indexWith(strings.Replace(entry, "00001", "0000A", 1)), "lower-case"},
		{"an unknown digest algorithm", indexWith(strings.Replace(entry, "sha256", "blake9", 1)), "not supported"},
		{"a negative size", indexWith(strings.Replace(entry, `"size":3`, `"size":-1`, 1)), "size"},
		{"a huge size", indexWith(strings.Replace(entry, `"size":3`, `"size":4611686018427387904`, 1)), "size"},
		{"a size that is no number", indexWith(strings.Replace(entry, `"size":3`, `"size":"3"`, 1)), "size"},
		{"a size beyond all numbers", indexWith(strings.Replace(entry, `"size":3`, `"size":1e400`, 1)), ""},
		{"manifests twice", `{"schemaVersion":2,"manifests":[],"manifests":[` + entry + `]}`, "twice"},
		{"a digest twice", indexWith(strings.Replace(entry, `"size"`, `"digest":"sha256:00","size"`, 1)), "twice"},
		{"manifests in other letters", `{"schemaVersion":2,"Manifests":[` + entry + `],"manifests":[]}`, "case"},
		{"layers beside manifests", `{"schemaVersion":2,"manifests":[],"layers":[]}`, "ambiguous"},
		{"another type", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}`, "config"},
		{"too deep", `{"schemaVersion":2,"manifests":[],"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "deep"},
		{"a value that is too large", `{"schemaVersion":2,"manifests":[],"x":[` + strings.Repeat("0,", maxPart) + `0]}`, "over the limit"},
		{"an entry that is too large", indexWith(strings.Replace(entry, `"size"`, `"urls":[`+strings.Repeat(`"",`, maxPart)+`""],"size"`, 1)), "over the limit"},
		{"a million layers", `{"schemaVersion":2,"layers":[` + strings.Repeat("{},", 1e6) + `{}]}`, "ambiguous"},
		{"too many fields", `{"schemaVersion":2,` + strings.Repeat(`"x":0,`, maxFields) + `"manifests":[]}`, "fields"},
		{"a million entries", `{"schemaVersion":2,"manifests":[` + strings.Repeat("{},", 1e6) + `{}]}`, strconv.Itoa(maxEntries)},
		{"too many entries", indexWith(strings.Repeat("{},", maxEntries) + "{}"), strconv.Itoa(maxEntries)},
		{"not UTF-8", "{\"schemaVersion\":2,\"manifests\":[],\"x\":\"\xff\"}", "UTF-8"},
		{"a byte order mark", "\ufeff" + `{"schemaVersion":2,"manifests":[]}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := created(t)
			a := anImage(t, "a")
			put(t, l, a)
			rewrite(t, l, tt.raw)
			for what, err := range map[string]error{
				"Open": second(Open(l.disk.path)), "Create": second(Create(l.disk.path)),
				"Manifest": second(l.Manifest(t.Context(), "v1")), "PutManifest": l.PutManifest(t.Context(), a.m, "v1"),
				"Untag": l.Untag(t.Context(), "v1"),
			} {
				if !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), indexFile) {
					t.Errorf("%s: %v; want invalid content that says %q", what, err, tt.says)
				}
			}
			if got := indexOf(t, l); got != tt.raw {
				t.Errorf("it was changed to %.200s", got)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func TestEveryHalfOfAnIndexIsRefused(t *testing.T) {
	l := created(t)
	a := anImage(t, "a")
	put(t, l, a, "v1", "r.example/app:v2")
	whole := indexOf(t, l)
	for n := range len(whole) {
		if _, err := parseIndex(whole[:n], content.Limits{}); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q: %v, want invalid content", whole[:n], err)
		}
	}
}

func TestAnIndexOverTheSizeLimitIsNotRead(t *testing.T) {
	l := created(t)
	rewrite(t, l, `{"schemaVersion":2,"manifests":[]}`+strings.Repeat(" ", maxIndex))
	if err := second(Open(l.disk.path)); !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), "over the limit") {
		t.Errorf("Open = %v", err)
	}
	free, err := Options{Limits: content.Limits{ManifestSize: -1}}.Open(l.disk.path)
	if err != nil {
		t.Fatalf("with the limit off: %v", err)
	}
	if err := free.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnEmptyLayoutOfDockersKind(t *testing.T) {
	l := created(t)
	a := anImage(t, "a")
	put(t, l, a)
	rewrite(t, l, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":null}`)
	put(t, l, a, "v1")
	if got := slices.Collect(names(t, l)); !slices.Equal(got, []string{"v1"}) {
		t.Errorf("names = %q", got)
	}
}

func TestAToolThatKnowsNoLockLosesNothing(t *testing.T) {
	l := created(t)
	a := anImage(t, "a")
	put(t, l, a)
	calls := 0
	err := l.edit(t.Context(), func(x *index) (bool, error) {
		if calls++; calls == 1 {
			rewrite(t, l, foreign)
		}
		return x.put(a.m.Descriptor(), []string{"v1"})
	})
	if err != nil || calls != 2 {
		t.Errorf("edit = %v after %d calls", err, calls)
	}
	if got := slices.Collect(names(t, l)); !slices.Equal(got, []string{"other", "v1"}) {
		t.Errorf("names = %q", got)
	}
	busy := 0
	err = l.edit(t.Context(), func(x *index) (bool, error) {
		busy++
		rewrite(t, l, indexWith()+strings.Repeat(" ", busy))
		return x.put(a.m.Descriptor(), []string{"v2"})
	})
	if !errors.Is(err, content.ErrConflict) {
		t.Errorf("edit of a file that never rests = %v, want a conflict", err)
	}
	if _, err := os.Stat(filepath.Join(l.disk.path, newFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a temporary file is left: %v", err)
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(foreign))
	f.Add([]byte(indexWith()))
	f.Add(newIndex().encode())
	f.Add([]byte(`{"schemaVersion":2,"manifests":null,"\u006danifests":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := parseIndex(string(raw), content.Limits{})
		if err != nil {
			if !errors.Is(err, content.ErrInvalid) {
				t.Errorf("%v has no class", err)
			}
			return
		}
		for _, e := range x.entries {
			_, _ = x.find(e.name())
		}
		again, err := parseIndex(string(x.encode()), content.Limits{})
		if err != nil {
			t.Fatalf("what was written is not read: %v\n%s", err, x.encode())
		}
		if len(again.entries) != len(x.entries) || len(again.fields) < len(x.fields) {
			t.Errorf("%d entries and %d fields became %d and %d", len(x.entries), len(x.fields), len(again.entries), len(again.fields))
		}
		for i := range x.entries {
			if again.entries[i].raw != x.entries[i].raw {
				t.Errorf("entry %d became %s", i, again.entries[i].raw)
			}
		}
	})
}

func TestWhatAnIndexWritesIsWhatItSays(t *testing.T) {
	x, err := parseIndex(string(largeIndex(t, 3)), content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	text := string(x.encode())
	var written strings.Builder
	if err := x.write(&written); err != nil || written.String() != text || x.length() != len(text) {
		t.Errorf("wrote %q, %v; want the %d bytes of %q", written.String(), err, x.length(), text)
	}
	for n := range len(text) {
		if x.says(text[:n]) || x.says(text[:n]+"?"+text[n+1:]) {
			t.Errorf("it says a text that is another from byte %d on", n)
		}
	}
	if !x.says(text) || x.says(text+" ") {
		t.Error("it does not say what it writes, or more than that")
	}
}
