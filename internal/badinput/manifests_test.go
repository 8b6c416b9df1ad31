package badinput

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

const (
	ociManifest = ocispec.MediaTypeImageManifest
	ociIndex    = ocispec.MediaTypeImageIndex
)

// A workshop makes manifests byte for byte, and the blobs they name.
type workshop struct{ testimage.Builder }

// blob adds a blob and returns its descriptor as JSON, with its size and more fields as given.
func (w *workshop) blob(mediaType, body, size, more string) string {
	return described(w.Blob(mediaType, []byte(body)), size, more)
}

// described is d as JSON. An empty size is the right one.
func described(d ocispec.Descriptor, size, more string) string {
	if size == "" {
		size = strconv.FormatInt(d.Size, 10)
	}
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%s%s}`, d.MediaType, d.Digest, size, more)
}

func (w *workshop) config() string { return w.blob("application/x-config", "a config", "", "") }

func (w *workshop) layer() string { return w.blob("application/x", "a layer", "", "") }

// image adds an OCI manifest with these layers and more fields at its end.
func (w *workshop) image(layers, more string) ocispec.Descriptor {
	return w.raw(ociManifest, `"config":`+w.config()+`,"layers":[`+layers+`]`+more)
}

// index adds an OCI index with these children and more fields at its end.
func (w *workshop) index(children, more string) ocispec.Descriptor {
	return w.raw(ociIndex, `"manifests":[`+children+`]`+more)
}

func (w *workshop) raw(mediaType, fields string) ocispec.Descriptor {
	return w.RawManifest(mediaType, []byte(`{"schemaVersion":2,"mediaType":"`+mediaType+`",`+fields+`}`))
}

// with is an image with more fields at its end.
func with(more string) func(w *workshop) ocispec.Descriptor {
	return func(w *workshop) ocispec.Descriptor { return w.image(w.layer(), more) }
}

// bytesAs is a whole image after spoil.
func bytesAs(spoil func(raw string) string) func(w *workshop) ocispec.Descriptor {
	return func(w *workshop) ocispec.Descriptor {
		plain := `{"schemaVersion":2,"mediaType":"` + ociManifest + `","config":` + w.config() + `,"layers":[` + w.layer() + `]}`
		return w.RawManifest(ociManifest, []byte(spoil(plain)))
	}
}

// A manifestCase is an image in a registry, and what copying and inspecting it leads to.
type manifestCase struct {
	name  string
	make  func(w *workshop) ocispec.Descriptor
	code  int    // of copy
	says  string // of copy, where it fails
	shown bool   // inspect shows it, with the same words as a warning where there are any; else it is refused as a copy is
}

// ambiguous are those that two readers would read in two ways: they are shown with a warning, and never written.
func ambiguous() []manifestCase {
	return []manifestCase{
		{"both layers and manifests", with(`,"manifests":[]`), 6, "both layers and manifests", true},
		{"both manifests and layers", func(w *workshop) ocispec.Descriptor { return w.index("", `,"layers":[]`) }, 6, "both layers and manifests", true},
		{"a key twice", with(`,"layers":[]`), 6, `key "layers" stands twice`, true},
		{"a key twice in a descriptor", func(w *workshop) ocispec.Descriptor {
			return w.image(w.blob("application/x", "a layer", "", `,"size":6`), "")
		}, 6, `key "size" stands twice`, true},
		{"an unknown key twice", with(`,"x":1,"x":2`), 6, `key "x" stands twice`, true},
		{"a key in another case", with(`,"Layers":[]`), 6, `"Layers" differs from "layers" in case only`, true},
		{"a key with escape sequences, twice", with(`,"\u001b[2J":1,"\u001b[2J":2`), 6, `key "\x1b[2J" stands twice`, true},
		{"a media type that the header denies", func(w *workshop) ocispec.Descriptor {
			return w.RawManifest(content.DockerManifest, []byte(`{"schemaVersion":2,"mediaType":"`+ociManifest+`","config":`+w.config()+`,"layers":[]}`))
		}, 6, "it was given as", true},
	}
}

func sizes() []manifestCase {
	sized := func(size string) func(w *workshop) ocispec.Descriptor {
		return func(w *workshop) ocispec.Descriptor { return w.image(w.blob("application/x", "a layer", size, ""), "") }
	}
	return []manifestCase{
		{"a size of -1", sized("-1"), 6, "has size -1", false},
		{"a size of 2^62", sized("4611686018427387904"), 6, "has size 4611686018427387904", false},
		{"a size of 1e400", sized("1e400"), 6, "size", false},
		{"a size in quotes", sized(`"12"`), 6, "size", false},
		{"a size of 1.5", sized("1.5"), 6, "size", false},
		{"a size of a million digits", sized(strings.Repeat("1", 1_000_000)), 6, "cannot unmarshal number", false},
		{"a child of negative size", func(w *workshop) ocispec.Descriptor { return w.index(described(w.image("", ""), "-1", ""), "") }, 6, "has size -1", false},
		{"a child of another size", func(w *workshop) ocispec.Descriptor { return w.index(described(w.image("", ""), "7", ""), "") }, 6, "want 7", false},
		{"data that are not the blob", func(w *workshop) ocispec.Descriptor {
			return w.image(w.blob("application/x", "four", "", `,"data":"ZXZpbA=="`), "")
		}, 6, "carries data that are not its blob", false},
		{"data that are the blob", func(w *workshop) ocispec.Descriptor {
			return w.image(w.blob("application/x", "four", "", `,"data":"Zm91cg=="`), "")
		}, 0, "", true},
		{"less data than the blob has", func(w *workshop) ocispec.Descriptor {
			return w.image(w.blob("application/x", "four", "", `,"data":"Zm91"`), "")
		}, 6, "carries data that are not its blob", false},
		{"more data than the blob has", func(w *workshop) ocispec.Descriptor {
			return w.image(w.blob("application/x", "four", "", `,"data":"`+strings.Repeat("Zm91", 500_000)+`"`), "")
		}, 6, "carries data that are not its blob", false},
		{"a digest that is a path", func(w *workshop) ocispec.Descriptor {
			return w.image(`{"mediaType":"application/x","digest":"sha256:../../../x","size":1}`, "")
		}, 6, "hex digits", false},
		{"a digest of an algorithm nobody knows", func(w *workshop) ocispec.Descriptor {
			return w.image(`{"mediaType":"application/x","digest":"md5:900150983cd24fb0d6963f7d28e17f72","size":3}`, "")
		}, 6, "not supported", false},
	}
}

// nest is an image below so many indexes, each of which is there so many times.
func nest(w *workshop, levels, often int) ocispec.Descriptor {
	below := described(w.image(w.layer(), ""), "", "")
	var d ocispec.Descriptor
	for range levels {
		var level []string
		for i := range often {
			d = w.index(below, `,"annotations":{"n":"`+strconv.Itoa(i)+`"}`)
			level = append(level, described(d, "", ""))
		}
		below = strings.Join(level, ",")
	}
	return d
}

// large is an image with an annotation of so many bytes.
func large(w *workshop, n, i int) ocispec.Descriptor {
	return w.image("", `,"annotations":{"n":"`+strconv.Itoa(i)+strings.Repeat("x", n)+`"}`)
}

// many is an item so many times, as a JSON array has it.
func many(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }

// numbered is so many members of a JSON object.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%d":"",`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// nobody is the descriptor of a manifest that is nowhere.
func nobody(i int) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":"sha256:%064x","size":300}`, ociManifest, i)
}

func counts() []manifestCase {
	return []manifestCase{
		{"indexes nested 2,000 deep", func(w *workshop) ocispec.Descriptor { return nest(w, 2000, 1) }, 6, "nested more than 8 deep", false},
		{"indexes nested 9 deep", func(w *workshop) ocispec.Descriptor { return nest(w, 9, 1) }, 6, "nested more than 8 deep", false},
		{"two indexes a level, 24 deep", func(w *workshop) ocispec.Descriptor { return nest(w, 24, 2) }, 6, "nested more than 8 deep", false},
		{"two indexes a level, 8 deep", func(w *workshop) ocispec.Descriptor { return nest(w, 8, 2) }, 0, "", true},
		{"100,000 children", func(w *workshop) ocispec.Descriptor { return w.index(many(nobody(1), 100_000), "") }, 6, "4194304 bytes", false},
		{"4,097 children", func(w *workshop) ocispec.Descriptor { return w.index(many(nobody(1), 4097), "") }, 6, "over the limit of 4096", false},
		{"a million children that say nothing", func(w *workshop) ocispec.Descriptor { return w.index(many("{}", 1_300_000), "") }, 6, "manifests in one index are over the limit of 4096", false},
		{"a million layers that say nothing", func(w *workshop) ocispec.Descriptor { return w.image(many("{}", 1_300_000), "") }, 6, "layers in one manifest are over the limit of 1024", false},
		{"5 MiB of annotations", func(w *workshop) ocispec.Descriptor { return large(w, 5<<20, 0) }, 6, "4194304 bytes", false},
		{"100,000 annotations", func(w *workshop) ocispec.Descriptor {
			return w.image("", `,"annotations":{`+numbered(100_000)+`}`)
		}, 0, "", true},
		{"a million values that nobody reads", with(`,"x":[` + many("[]", 1_300_000) + `]`), 0, "", true},
		{"100,000 keys that nobody reads", with(`,"x":{` + numbered(100_000) + `}`), 0, "", true},
		{"1,025 layers", func(w *workshop) ocispec.Descriptor { return w.image(many(w.layer(), 1025), "") }, 6, "over the limit of 1024", false},
		{"69,632 manifests in 17 indexes", manyManifests, 6, "more than 65536 manifests", false},
		{"3.9 MiB of annotations", func(w *workshop) ocispec.Descriptor { return large(w, 3900<<10, 0) }, 0, "", true},
		{"35 MiB of annotations in 9 manifests", func(w *workshop) ocispec.Descriptor {
			var children []string
			for i := range 9 {
				children = append(children, described(large(w, 3900<<10, i), "", ""))
			}
			return w.index(strings.Join(children, ","), "")
		}, 6, "more than 16777216 bytes", false},
		{"JSON nested 1,000 deep", with(`,"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000)), 6, "nested more than 64 deep", false},
		{"JSON nested 10,000 deep", with(`,"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)), 6, "nested more than 64 deep", false},
		{"5 MiB of spaces", func(w *workshop) ocispec.Descriptor {
			return w.RawManifest(ociManifest, []byte(strings.Repeat(" ", 5<<20)))
		}, 6, "4194304 bytes", false},
	}
}

// manyManifests is 17 indexes of 4,096 children, none of which is there.
func manyManifests(w *workshop) ocispec.Descriptor {
	var indexes []string
	for i := range 17 {
		var children []string
		for j := range 4096 {
			children = append(children, nobody(i*4096+j))
		}
		indexes = append(indexes, described(w.index(strings.Join(children, ","), ""), "", ""))
	}
	return w.index(strings.Join(indexes, ","), "")
}

func encodings() []manifestCase {
	return []manifestCase{
		{"a byte order mark", bytesAs(func(raw string) string { return "\ufeff" + raw }), 6, "not JSON", false},
		{"carriage returns", bytesAs(func(raw string) string { return strings.ReplaceAll(raw, ",", ",\r\n") + "\r\n" }), 0, "", true},
		{"bytes after the end", bytesAs(func(raw string) string { return raw + "{}" }), 6, "bytes after the end", false},
		{"UTF-16", bytesAs(func(raw string) string {
			return "\xff\xfe" + strings.Join(strings.Split(raw, ""), "\x00") + "\x00"
		}), 6, "not UTF-8", false},
		{"invalid UTF-8", with(",\"x\":\"\xff\""), 6, "not UTF-8", false},
		{"NaN", with(`,"x":NaN`), 6, "not JSON", false},
		{"an object cut short", bytesAs(func(raw string) string { return raw[:100] }), 6, "not JSON", false},
		{"escape sequences where no JSON is", bytesAs(func(string) string { return "\x1b[2J" }), 6, "not JSON", false},
	}
}

// odd are those that are rare, and right.
func odd() []manifestCase {
	of := func(img testimage.Image) func(w *workshop) ocispec.Descriptor {
		return func(w *workshop) ocispec.Descriptor {
			for d, m := range img.Manifests {
				w.Algorithm = d.Algorithm()
				w.RawManifest(m.MediaType, m.Bytes)
			}
			for d, raw := range img.Blobs {
				w.Algorithm = d.Algorithm()
				w.Blob("", raw)
			}
			return img.Root
		}
	}
	return []manifestCase{
		{"an unknown media type of a manifest", func(w *workshop) ocispec.Descriptor {
			return w.RawManifest("application/vnd.example.manifest.v9", []byte("\xff not JSON"))
		}, 0, "", true},
		{"unknown types of config and layers", of(testimage.UnknownArtifact(3)), 0, "", true},
		{"a child of an unknown type", of(testimage.UnknownChild(3)), 0, "", true},
		{"unknown fields and artifact types", with(`,"artifactType":"a b/c","future":{"Config":{"x":[1,null]}}`), 0, "", true},
		{"the empty config", of(testimage.EmptyConfig(3)), 0, "", true},
		{"no layers", of(testimage.NoLayers(3)), 0, "", true},
		{"a blob of no bytes", of(testimage.ZeroBlob(3)), 0, "", true},
		{"sha512", of(testimage.SHA512(3)), 0, "", true},
		{"no media type", func(w *workshop) ocispec.Descriptor {
			return w.RawManifest(ociManifest, []byte(`{"schemaVersion":2,"config":`+w.config()+`,"layers":[]}`))
		}, 0, "", true},
		{"docker schema 1", of(testimage.Schema1(3)), 6, "docker schema 1 is not supported", false},
		{"a subject that is nowhere", func(w *workshop) ocispec.Descriptor { return w.image(w.layer(), `,"subject":`+nobody(1)) }, 0, "", true},
	}
}

// TestManifests copies each case to every kind of place, inspects it, and asks for a verdict, which is a copy's.
func TestManifests(t *testing.T) {
	for section, cases := range map[string][]manifestCase{
		"ambiguous": ambiguous(), "sizes and digests": sizes(), "counts": counts(), "encodings": encodings(), "odd and right": odd(),
	} {
		for _, tt := range cases {
			t.Run(section+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				var w workshop
				root := s.give(&w.Builder, tt.make(&w))
				s.copied(root, tt.code, tt.says)
				s.inspected(tt, root)
				if o := s.run(nil, "validate", "FROM/app:v1"); o.Code != tt.code {
					s.Errorf("validate: exit code %d, a copy's is %d:\n%.1000s%.1000s", o.Code, tt.code, o.stdout, o.stderr)
				}
			})
		}
	}
}

// copied copies FROM/app:v1, which is root, to every kind of place: all of it arrives, or it is refused with code.
func (s *scene) copied(root digest.Digest, code int, says string) {
	s.Helper()
	for _, to := range []string{"TO/app:v1", "oci:layout:v1", "oci-archive:image.tar:v1"} {
		if code != 0 {
			s.refused(nil, code, says, "copy", "FROM/app:v1", to)
			continue
		}
		s.arrives(root, "copy", "FROM/app:v1", to)
	}
}

// arrives wants the last of args, which copies to it, to have root afterwards.
func (s *scene) arrives(root digest.Digest, args ...string) {
	s.Helper()
	if o := s.run(nil, args...); o.Code != 0 {
		s.Errorf("%v: exit code %d:\n%.1000s", args, o.Code, o.stderr)
	}
	to := args[len(args)-1]
	if to == "TO/app:v1" {
		if got := s.to.Digest(repo, tag); got != root {
			s.Errorf("%s is %s, want %s", to, got, root)
		}
		return
	}
	if o := s.run(nil, "digest", to); strings.TrimSpace(o.stdout) != root.String() {
		s.Errorf("%s has %q, want %s:\n%.1000s", to, o.stdout, root, o.stderr)
	}
}

// inspected wants root to be shown, or refused with the words that a copy is refused with.
func (s *scene) inspected(tt manifestCase, root digest.Digest) {
	s.Helper()
	o := s.run(nil, "inspect", "--sizes", "FROM/app:v1") // which reads all of an index
	if !tt.shown {
		s.wantFailure(o, tt.code, tt.says)
		return
	}
	if o.Code != 0 || !strings.Contains(o.stdout, root.String()) {
		s.Errorf("inspect: exit code %d, want %s to be shown:\n%.1000s%.1000s", o.Code, root, o.stdout, o.stderr)
	}
	wantWarning(s.T, o, tt.says)
}

// TestAMillionLabelsAreCopiedAndNotShown is about a config that nobody has to read for a copy.
func TestAMillionLabelsAreCopiedAndNotShown(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var w workshop
	config := w.blob(ocispec.MediaTypeImageConfig, `{"config":{"Labels":{`+numbered(1_000_000)+`}}}`, "", "")
	root := s.give(&w.Builder, w.raw(ociManifest, `"config":`+config+`,"layers":[]`))
	for _, to := range []string{"TO/app:v1", "oci:layout:v1", "oci-archive:image.tar:v1"} {
		s.arrives(root, "copy", "FROM/app:v1", to)
	}
	s.refused(nil, 6, "bytes is over the limit of 8388608", "inspect", "FROM/app:v1")
}

// TestManyManifestsCostFewRequests counts what the registry is asked for.
func TestManyManifestsCostFewRequests(t *testing.T) {
	tests := []struct {
		name string
		make func(w *workshop) ocispec.Descriptor
		most int
	}{
		{"2,000 deep", func(w *workshop) ocispec.Descriptor { return nest(w, 2000, 1) }, 9},
		{"2^24 ways", func(w *workshop) ocispec.Descriptor { return nest(w, 24, 2) }, 17},
		{"2^8 ways", func(w *workshop) ocispec.Descriptor { return nest(w, 8, 2) }, 16},
		{"69,632 manifests", manyManifests, 18},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			var w workshop
			s.give(&w.Builder, tt.make(&w))
			s.run(nil, "copy", "FROM/app:v1", "TO/app:v2")
			if n := s.from.Count(testregistry.Is("GET", testregistry.KindManifest)); n > tt.most {
				t.Errorf("%d manifests were read, want %d at most", n, tt.most)
			}
		})
	}
}
