package content_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

const (
	ociManifest = ocispec.MediaTypeImageManifest
	ociIndex    = ocispec.MediaTypeImageIndex
	artifact    = "application/vnd.oci.artifact.manifest.v1+json"
)

// named returns a descriptor's JSON with size and more fields as they are given.
func named(mediaType, size, more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%s%s}`, mediaType, digest.FromString(mediaType), size, more)
}

var (
	config = named(ocispec.MediaTypeImageConfig, "7", "")
	layer  = named(ocispec.MediaTypeImageLayerGzip, "12", "")
	child  = named(ociManifest, "300", "")
)

// image returns an OCI manifest with these layers and more fields at its end.
func image(layers, more string) string {
	return `{"schemaVersion":2,"mediaType":"` + ociManifest + `","config":` + config + `,"layers":[` + layers + `]` + more + `}`
}

// index returns an OCI index with these children and more fields at its end.
func index(children, more string) string {
	return `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[` + children + `]` + more + `}`
}

func repeat(item string, n int) string {
	return strings.TrimSuffix(strings.Repeat(item+",", n), ",")
}

// A rejection is content that is refused or, where readers could differ, shown only.
type rejection struct {
	name      string
	mediaType string
	raw       string
	says      string // what the message has; empty means that nothing is wrong
}

func sizes() []rejection {
	var cases []rejection
	for _, size := range []string{"-1", "4611686018427387904", "9223372036854775808", "1e400", `"12"`, "1.5", "true"} {
		says := "size"
		if size == "-1" || size == "4611686018427387904" {
			says = "has size " + size
		}
		cases = append(
			cases,
			rejection{"a layer of size " + size, ociManifest, image(named("application/x", size, ""), ""), says},
			rejection{"a child of size " + size, ociIndex, index(named(ociManifest, size, ""), ""), says},
			rejection{"a subject of size " + size, ociManifest, image(layer, `,"subject":`+named(ociManifest, size, "")), says},
		)
	}
	return cases
}

func hostileDigests() []rejection {
	var cases []rejection
	for _, d := range []string{
		"sha256:../../x", "sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("a", 63),
		"sha256:" + strings.Repeat("a", 61) + "%2f", "sha256:" + strings.Repeat("a", 64) + `\n`, "sha1:" + strings.Repeat("a", 40), "",
	} {
		bad := `{"mediaType":"application/x","digest":"` + d + `","size":1}`
		cases = append(
			cases,
			rejection{"a config of digest " + d, ociManifest, strings.Replace(image(layer, ""), config, bad, 1), "digest"},
			rejection{"a layer of digest " + d, ociManifest, image(bad, ""), "digest"},
			rejection{"a child of digest " + d, ociIndex, index(bad, ""), "digest"},
			rejection{"a subject of digest " + d, ociIndex, index(child, `,"subject":`+bad), "digest"},
		)
	}
	return cases
}

func broken() []rejection {
	utf16 := "\xff\xfe{\x00}\x00"
	return slices.Concat(sizes(), hostileDigests(), []rejection{
		{"no bytes", ociManifest, "", "not JSON"},
		{"an array", ociManifest, "[]", "cannot unmarshal array"},
		{"null", ociManifest, "null", "schemaVersion is 0"},
		{"a byte order mark", ociManifest, "\ufeff" + image(layer, ""), "not JSON"},
		{"UTF-16", ociManifest, utf16, "not UTF-8"},
		{"invalid UTF-8", ociManifest, image(layer, `,"x":"`+"\xff"+`"`), "not UTF-8"},
		{"NaN", ociManifest, image(layer, `,"x":NaN`), "not JSON"},
		{"a comma too many", ociManifest, image(layer+",", ""), "not JSON"},
		{"an object cut short", ociManifest, image(layer, "")[:100], "not JSON"},
		{"bytes after the end", ociManifest, image(layer, "") + "{}", "bytes after the end"},
		{"a zero byte after the end", ociManifest, image(layer, "") + "\x00", "bytes after the end"},
		{"10,000-deep arrays", ociManifest, image(layer, `,"x":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)), "nested more than 64 deep"},
		{"an array of 4 MiB of opening brackets", "", strings.Repeat("[", 4<<20), "nested more than 64 deep"},
		{"an index of 4,097 children", ociIndex, index(repeat(child, 4097), ""), "manifests in one index are over the limit of 4096"},
		{"a manifest of 1,025 layers", ociManifest, image(repeat(layer, 1025), ""), "layers in one manifest are over the limit of 1024"},
		{"a manifest of 4 MiB and a byte", ociManifest, image(layer, `,"x":"`+strings.Repeat("x", 4<<20-len(image(layer, `,"x":""`))+1)+`"`), "over the limit of 4194304"},
		{"schema version 3", ociManifest, `{"schemaVersion":3,"config":` + config + `}`, "schemaVersion is 3"},
		{"no schema version", ociManifest, `{"config":` + config + `}`, "schemaVersion is 0"},
		{"docker schema 1", content.DockerSchema1, `{"schemaVersion":1,"fsLayers":[]}`, "docker schema 1 is not supported"},
		{"docker schema 1, signed", content.DockerSchema1Signed, `{"schemaVersion":1,"fsLayers":[],"signatures":[]}`, "docker schema 1 is not supported"},
		{"docker schema 1 that comes as JSON", "application/json", `{"schemaVersion":1,"fsLayers":[]}`, "docker schema 1 is not supported"},
		{"docker schema 1 by its own media type only", "", `{"schemaVersion":2,"mediaType":"` + content.DockerSchema1 + `"}`, "docker schema 1 is not supported"},
		{"an image without a config", ociManifest, `{"schemaVersion":2,"layers":[]}`, "without a config"},
		{"an object that is nothing", "", `{"schemaVersion":2}`, "neither an image manifest nor an index"},
		{"layers that are an object", ociManifest, `{"schemaVersion":2,"config":` + config + `,"layers":{}}`, "layers in one manifest are not an array"},
		{"a size of a million digits", ociManifest, image(named("application/x", strings.Repeat("1", 1_000_000), ""), ""), "cannot unmarshal number"},
		{"a string of control characters for a size", ociManifest, image(named("application/x", `"\u001b[2J\n"`, ""), ""), "cannot unmarshal string"},
		{"a digest of a million bytes", ociManifest, strings.Replace(image(layer, ""), "sha256:", "sha256:"+strings.Repeat("a", 1_000_000), 1), "hex digits"},
		{"data that are not the blob", ociManifest, image(named("application/x", "4", `,"data":"ZXZpbA=="`), ""), "carries data that are not its blob"},
		{"data of another size", ociManifest, image(named("application/x", "5", `,"data":"YXBwbGljYXRpb24veA=="`), ""), "carries data that are not its blob"},
		{"data that are not base64", ociManifest, image(named("application/x", "5", `,"data":"!"`), ""), "base64"},
	})
}

func TestBrokenManifestsAreRefused(t *testing.T) {
	for _, tt := range broken() {
		t.Run(tt.name, func(t *testing.T) {
			m, err := content.ParseManifest(tt.mediaType, []byte(tt.raw), content.Limits{})
			if !errors.Is(err, content.ErrInvalid) {
				t.Fatalf("got %+v, %v; want invalid content", m.Descriptor(), err)
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q does not say %q", err, tt.says)
			}
			oneLine(t, err)
			if !m.IsZero() {
				t.Errorf("got a manifest of %d bytes beside the error", m.Size())
			}
		})
	}
}

// oneLine reports a message that is long or could move a terminal's cursor.
func oneLine(t *testing.T, err error) {
	t.Helper()
	if len(err.Error()) > 1000 || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("message is not one short line: %.1200q", err)
	}
}

func ambiguous() []rejection {
	return []rejection{
		{"layers and manifests", ociManifest, image(layer, `,"manifests":[]`), "both layers and manifests"},
		{"manifests and layers", ociIndex, index(child, `,"layers":[]`), "both layers and manifests"},
		{"manifests and a config", ociIndex, index(child, `,"config":`+config), "both layers and manifests"},
		{"both, and no media type anywhere", "", `{"schemaVersion":2,"config":` + config + `,"layers":[],"manifests":[]}`, "both layers and manifests"},
		{"an image that is called an index", ociIndex, `{"schemaVersion":2,"config":` + config + `,"layers":[]}`, "called an index"},
		{"a key twice", ociManifest, image(layer, `,"layers":[]`), `key "layers" stands twice`},
		{"an unknown key twice", ociManifest, image(layer, `,"x":1,"x":2`), `key "x" stands twice`},
		{"a key twice in a descriptor", ociManifest, image(named("application/x", "5", `,"size":6`), ""), `key "size" stands twice`},
		{"a key twice, once escaped", ociManifest, image(layer, `,"l\u0061yers":[]`), `key "layers" stands twice`},
		{"an annotation twice", ociManifest, image(layer, `,"annotations":{"a":"1","a":"2"}`), `key "a" stands twice`},
		{"a key in another case", ociManifest, image(layer, `,"Layers":[]`), `"Layers" differs from "layers" in case only`},
		{"a key in another case of Unicode", ociManifest, image(named("application/x", "5", `,"\u017fize":6`), ""), `differs from "size" in case only`},
		{"a key in another case alone", "", `{"schemaVersion":2,"Manifests":[` + child + `]}`, `"Manifests" differs`},
		{"a key with ESC twice", ociManifest, image(layer, `,"\u001b[2J":1,"\u001b[2J":2`), `key "\x1b[2J" stands twice`},
		{"a media type the bytes deny", content.DockerManifest, image(layer, ""), "it was given as"},
		{"an index the bytes call an image", ociIndex, image(layer, ""), "it was given as"},
		{"a media type the bytes call unknown", ociManifest, `{"schemaVersion":2,"mediaType":"application/x","config":` + config + `}`, `says it is "application/x"`},
	}
}

func TestAmbiguousManifestsAreShownAndSaySo(t *testing.T) {
	for _, tt := range ambiguous() {
		t.Run(tt.name, func(t *testing.T) {
			m, err := content.ParseManifest(tt.mediaType, []byte(tt.raw), content.Limits{})
			if err != nil {
				t.Fatalf("it cannot be shown: %v", err)
			}
			if err := m.Ambiguous(); !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Ambiguous() = %v; want invalid content that says %q", err, tt.says)
			} else {
				oneLine(t, err)
			}
			if string(m.Raw()) != tt.raw {
				t.Errorf("bytes were changed: %s", m.Raw())
			}
			var place content.Memory
			if err := place.PutManifest(t.Context(), m, "v1"); !errors.Is(err, content.ErrInvalid) {
				t.Errorf("it was written: %v", err)
			}
		})
	}
}

func TestOddManifestsAreTaken(t *testing.T) {
	empty := `{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + digest.FromString("{}").String() + `","size":2,"data":"e30="}`
	zero := `{"mediaType":"application/x","digest":"` + digest.FromString("").String() + `","size":0}`
	sha512 := `{"mediaType":"application/x","digest":"` + digest.SHA512.FromString("x").String() + `","size":1}`
	tests := []struct {
		name, mediaType, raw string
		wantType             string
		wantEdges            int
	}{
		{"a plain image", ociManifest, image(layer, ""), ociManifest, 2},
		{"an image by its shape", "", `{"schemaVersion":2,"config":` + config + `,"layers":[]}`, ociManifest, 1},
		{"an image that comes as plain text", "text/plain", `{"schemaVersion":2,"config":` + config + `}`, ociManifest, 1},
		{"an index by its shape", "application/json", `{"schemaVersion":2,"manifests":[` + child + `]}`, ociIndex, 1},
		{"an index without children", ociIndex, index("", ""), ociIndex, 0},
		{"an index with null for children", ociIndex, `{"schemaVersion":2,"manifests":null,"layers":null}`, ociIndex, 0},
		{"docker's image", content.DockerManifest, `{"schemaVersion":2,"config":` + config + `}`, content.DockerManifest, 1},
		{"docker's list", content.DockerManifestList, `{"schemaVersion":2,"manifests":[` + child + `]}`, content.DockerManifestList, 1},
		{"an artifact manifest", artifact, `{"mediaType":"` + artifact + `","blobs":[` + layer + `],"subject":` + child + `}`, artifact, 2},
		{"blobs in an image, a field nobody knows", ociManifest, image(layer, `,"blobs":[`+child+`]`), ociManifest, 2},
		{"an unknown type, whatever its bytes", "application/vnd.example+json", "\xff not JSON", "application/vnd.example+json", 0},
		{"an unknown type of its own saying", "", `{"mediaType":"application/x","layers":[` + layer + `]}`, "application/x", 0},
		{"unknown fields and artifact types", ociManifest, image(layer, `,"artifactType":"a b/c","future":{"Config":{"x":[1,null]}}`), ociManifest, 2},
		{"an empty config with its data", ociManifest, strings.Replace(image(empty, ""), config, empty, 1), ociManifest, 2},
		{"a zero-byte layer", ociManifest, image(zero, ""), ociManifest, 2},
		{"a sha512 layer", ociManifest, image(sha512, ""), ociManifest, 2},
		{"a subject that is nowhere", ociManifest, image(layer, `,"subject":`+child), ociManifest, 3},
		{"white space around and within", ociManifest, "\r\n\t " + strings.ReplaceAll(image(layer, ""), ",", ",\r\n") + "\r\n", ociManifest, 2},
		{"annotations that differ in case", ociManifest, image(layer, `,"annotations":{"Size":"1","size":"2","LAYERS":"3"}`), ociManifest, 2},
		{"annotations of a layer that are called as fields are", ociManifest, image(named("a/b", "1", `,"annotations":{"Digest":"x"}`), ""), ociManifest, 2},
		{"4,096 children", ociIndex, index(repeat(child, 4096), ""), ociIndex, 4096},
		{"1,024 layers", ociManifest, image(repeat(layer, 1024), ""), ociManifest, 1025},
		{"3.9 MiB of annotations", ociManifest, image(layer, `,"annotations":{"a":"`+strings.Repeat("x", 3900<<10)+`"}`), ociManifest, 2},
		{"100,000 annotations", ociManifest, image(layer, `,"annotations":{`+numbered(100_000)+`}`), ociManifest, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := content.ParseManifest(tt.mediaType, []byte(tt.raw), content.Limits{})
			if err != nil || m.Ambiguous() != nil {
				t.Fatalf("refused: %v, %v", err, m.Ambiguous())
			}
			if m.MediaType() != tt.wantType || len(m.Edges()) != tt.wantEdges {
				t.Errorf("got %s with %d edges, want %s with %d", m.MediaType(), len(m.Edges()), tt.wantType, tt.wantEdges)
			}
			if !bytes.Equal(m.Raw(), []byte(tt.raw)) || m.Digest() != digest.FromString(tt.raw) || m.Size() != int64(len(tt.raw)) {
				t.Errorf("bytes, digest or size differ: %+v", m.Descriptor())
			}
		})
	}
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":"",`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

func TestTurningALimitOffLetsContentThrough(t *testing.T) {
	deep := image(layer, `,"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100))
	tests := []struct {
		name   string
		raw    string
		off    content.Limits
		strict content.Limits // the same limit, low enough for a plain manifest
	}{
		{"of a manifest's size", image(layer, `,"x":"`+strings.Repeat("x", 4<<20)+`"`), content.Limits{ManifestSize: -1}, content.Limits{ManifestSize: 10}},
		{"of children", index(repeat(child, 5000), ""), content.Limits{Children: -1}, content.Limits{Children: 1}},
		{"of layers", image(repeat(layer, 2000), ""), content.Limits{Layers: -1}, content.Limits{Layers: 1}},
		{"of nesting", deep, content.Limits{Nesting: -1}, content.Limits{Nesting: 2}},
	}
	plain := map[string]string{"of children": index(repeat(child, 2), "")}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := content.ParseManifest("", []byte(tt.raw), content.Limits{}); !errors.Is(err, content.ErrInvalid) {
				t.Errorf("with the standard limit: %v; want invalid content", err)
			}
			if _, err := content.ParseManifest("", []byte(tt.raw), tt.off); err != nil {
				t.Errorf("with the limit off: %v", err)
			}
			small, ok := plain[tt.name]
			if !ok {
				small = image(repeat(layer, 2), "")
			}
			if _, err := content.ParseManifest("", []byte(small), tt.strict); !errors.Is(err, content.ErrInvalid) {
				t.Errorf("with the limit lowered: %v; want invalid content", err)
			}
			if _, err := content.ParseManifest("", []byte(small), content.Limits{}); err != nil {
				t.Errorf("small content with the standard limit: %v", err)
			}
		})
	}
	if got := (content.Limits{}).Effective().ManifestSize; got != 4<<20 {
		t.Errorf("ManifestSize is %d, want 4 MiB", got)
	}
}

func TestVerifyManifestComparesDigestAndSize(t *testing.T) {
	raw := []byte(image(layer, ""))
	size := int64(len(raw))
	tests := []struct {
		name string
		want ocispec.Descriptor
		err  error
	}{
		{"what it says it is", ocispec.Descriptor{Digest: digest.FromBytes(raw), Size: size}, nil},
		{"by sha512", ocispec.Descriptor{Digest: digest.SHA512.FromBytes(raw), Size: size}, nil},
		{"without a size", ocispec.Descriptor{Digest: digest.FromBytes(raw)}, nil},
		{"another digest", ocispec.Descriptor{Digest: digest.FromString("x"), Size: size}, content.ErrCorrupt},
		{"another size", ocispec.Descriptor{Digest: digest.FromBytes(raw), Size: size + 1}, content.ErrCorrupt},
		{"a negative size", ocispec.Descriptor{Digest: digest.FromBytes(raw), Size: -1}, content.ErrCorrupt},
		{"a digest nobody can check", ocispec.Descriptor{Digest: "sha256:../../x", Size: size}, content.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.MediaType = ociManifest
			m, err := content.VerifyManifest(tt.want, raw, content.Limits{})
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err == nil && m.Digest() != tt.want.Digest {
				t.Errorf("digest is %s, want the one that was asked for", m.Digest())
			}
		})
	}
}

func TestTheFieldDecidesWhatADescriptorIs(t *testing.T) {
	odd := named(ociIndex, "5", "") // an index's media type where a layer belongs
	m, err := content.ParseManifest("", []byte(image(odd, `,"artifactType":"application/x","subject":`+child+`,"annotations":{"k":"v"}`)), content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if m.IsIndex() || len(m.Layers()) != 1 || m.Layers()[0].MediaType != ociIndex || len(m.Children()) != 0 {
		t.Errorf("layers %v, children %v", m.Layers(), m.Children())
	}
	if c, ok := m.Config(); !ok || c.MediaType != ocispec.MediaTypeImageConfig {
		t.Errorf("Config() = %v, %t", c, ok)
	}
	if s, ok := m.Subject(); !ok || s.MediaType != ociManifest {
		t.Errorf("Subject() = %v, %t", s, ok)
	}
	if len(m.Blobs()) != 2 {
		t.Errorf("Blobs() = %v, want config and layer", m.Blobs())
	}
	want := ocispec.Descriptor{MediaType: ociManifest, ArtifactType: "application/x", Digest: m.Digest(), Size: m.Size()}
	if got := m.Descriptor(); got.MediaType != want.MediaType || got.ArtifactType != want.ArtifactType || got.Digest != want.Digest || got.Size != want.Size {
		t.Errorf("Descriptor() = %+v, want %+v", got, want)
	}
	m.Annotations()["k"] = "changed"
	if m.Annotations()["k"] != "v" {
		t.Error("a caller can change the annotations")
	}
	if d := content.ReferrerDescriptor(m); d.Annotations["k"] != "v" || d.ArtifactType != "application/x" {
		t.Errorf("ReferrerDescriptor = %+v", d)
	}
}

func TestArtifactTypeFallsBackToTheConfigs(t *testing.T) {
	m, err := content.ParseManifest("", []byte(image(layer, "")), content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if m.ArtifactType() != ocispec.MediaTypeImageConfig {
		t.Errorf("ArtifactType() = %q", m.ArtifactType())
	}
	if (content.Manifest{}).IsZero() != true || m.IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestAListThatIsTooLongIsNotDecoded(t *testing.T) {
	raw := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` +
		strings.TrimSuffix(strings.Repeat("{},", 1_300_000), ",") + `]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := content.ParseManifest("", raw, content.Limits{})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, content.ErrInvalid) {
		t.Fatalf("error is %v", err)
	}
	allocated := after.TotalAlloc - before.TotalAlloc
	if most := uint64(256 << 20); allocated > most {
		t.Errorf("%d bytes were allocated, want at most %d", allocated, most)
	}
}

func TestWhatIsEscapedInAMessageIsEscapedOnce(t *testing.T) {
	_, err := content.ParseManifest(ocispec.MediaTypeImageManifest, []byte("{\"schemaVersion\":2,\x1b}"), content.Limits{})
	if err == nil || strings.ContainsRune(err.Error(), '\x1b') || !strings.Contains(err.Error(), `'\x1b'`) || strings.Contains(err.Error(), `\\`) {
		t.Errorf("got %v", err)
	}
}
