package cli

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// corpus is what a terminal would obey, or show as something else: control
// sequences and strings in seven and in eight bits, single controls, and characters
// that reorder text or cannot be seen.
var corpus = []string{
	"\x1b[2J", "\x1b[31m", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\x1bP+q\x1b\\", "\x1b[6n", "\x1bc",
	"\u009b31m", "\u009d0;t\u009c", "\u0090q\u009c", "\r", "\b\b", "\a", "\x00", "\x7f", "\x0e", "\v\f",
	"\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "\u00ad", "\U000e0041", "\x1b",
}

// evil is the corpus behind a word that tells where it came from.
func evil(from string) string { return from + strings.Join(corpus, "|") + "|end" }

// evilName is evil without what the name of a file cannot hold.
func evilName(from string) string {
	return strings.NewReplacer("\x00", "", "/", "").Replace(evil(from))
}

// obeyed returns where the first character of out is that must not reach a terminal,
// or the first byte that is no UTF-8; -1 where there is none.
func obeyed(out string) int {
	for i, r := range out {
		broken := r == utf8.RuneError && !strings.HasPrefix(out[i:], string(utf8.RuneError))
		if broken || r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point) {
			return i
		}
	}
	return -1
}

// runOn runs a command line before a terminal, or between pipes.
func runOn(t *testing.T, tty bool, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	f := newFactory(Stdio{In: strings.NewReader(""), Out: &out, Err: &errs}, testEnv(t, nil))
	f.Out.TTY = tty
	f.Err = term.NewScreen(term.Output{Writer: &errs, TTY: tty})
	code := f.execute(t.Context(), args)
	return outcome{code, out.String(), errs.String()}
}

// A corpusRow is a command line that has the corpus to show.
type corpusRow struct {
	args  string   // blanks stand between arguments; HOST, DIR and ROOT are replaced
	shows []string // words in front of the corpus, on standard output or standard error
	form  outputForm
	fails bool
}

type outputForm int

const (
	forPeople   outputForm = iota
	forPrograms            // JSON: through a pipe only what JSON itself escapes is escaped
	asItIs                 // through a pipe every byte stays
)

// Every verb that shows what comes from outside has a row here.
var corpusRows = []corpusRow{
	{args: "inspect HOST/app:v1", shows: []string{"label", "key", "env", "author", "user", "cmd", "layer type", "os", "annotation", "image annotation", "base", "attached"}},
	{args: "inspect --sizes HOST/app:v1", shows: []string{"os"}},
	{args: "inspect --json HOST/app:v1", shows: []string{"label", "env", "attached", "os"}, form: forPrograms},
	{args: "inspect --format {{json_.}} HOST/app:v1", shows: []string{"label"}, form: forPrograms},
	{args: "inspect --format {{.Image.Author}} HOST/app:v1", shows: []string{"author"}, form: asItIs},
	{args: "inspect --raw HOST/app:v1", shows: []string{"os"}, form: forPrograms},
	{args: "inspect --config HOST/app:v1", shows: []string{"label", "created by"}, form: forPrograms},
	{args: "inspect --compat skopeo HOST/app:v1", shows: []string{"label", "env"}, form: forPrograms},
	{args: "inspect --compat crane HOST/app:v1", shows: []string{"os"}, form: forPrograms},
	{args: "inspect --compat buildx HOST/app:v1", shows: []string{"os", "child"}},
	{args: "inspect --compat buildx --json HOST/app:v1", shows: []string{"os", "label"}, form: forPrograms},
	{args: "inspect oci:DIR/layout@ROOT", shows: []string{"label"}},
	{args: "tree HOST/app:v1", shows: []string{"os", "attached", "predicate"}},
	{args: "tree --json HOST/app:v1", shows: []string{"os", "attached", "predicate"}, form: forPrograms},
	{args: "check-base HOST/app:v1", fails: true}, // a wrong reference is quoted in ASCII
	{args: "history --no-trunc HOST/app:v1", shows: []string{"created by", "comment"}},
	{args: "history --json --no-trunc HOST/app:v1", shows: []string{"created by"}, form: forPrograms},
	{args: "image inspect HOST/app:v1", shows: []string{"label", "comment"}, form: forPrograms},
	{args: "manifest HOST/app:v1", shows: []string{"os", "child"}, form: forPrograms},
	{args: "manifest inspect HOST/app:v1", shows: []string{"os"}, form: forPrograms},
	{args: "config HOST/app:v1", shows: []string{"label", "created by"}, form: forPrograms},
	{args: "tags HOST/listed", shows: []string{"tag"}},
	{args: "tags --json HOST/listed", shows: []string{"tag"}, form: forPrograms},
	{args: "tags -l HOST/listed", shows: []string{"tag"}, fails: true},
	{args: "tags -l HOST/app", shows: []string{"os"}},
	{args: "tags oci:DIR/layout", shows: []string{"name"}},
	{args: "tags -l oci:DIR/layout", shows: []string{"name"}},
	{args: "repos HOST", shows: []string{"repository"}},
	{args: "images --store DIR/layout", shows: []string{"name"}},
	{args: "images --tree --store DIR/layout", shows: []string{"name"}},
	{args: "images --json --store DIR/layout", shows: []string{"name"}, form: forPrograms},
	{args: "validate HOST/denied:v1", fails: true},                        // a HEAD has no message
	{args: "digest oci:DIR/layout", shows: []string{"name"}, fails: true}, // there are several
	{args: "export -o DIR/rootfs.tar HOST/hostile:v1", shows: []string{"file"}, fails: true},
	{args: "inspect --platform linux/s390x HOST/app:v1", shows: []string{"os"}, fails: true},
	{args: "config HOST/denied:v1", shows: []string{"message"}, fails: true},
	{args: "manifest HOST/denied:v1", shows: []string{"message"}, fails: true},
	{args: "inspect HOST/plain:v1", shows: []string{"page"}, fails: true},
	{args: "tree HOST/denied:v1", shows: []string{"message"}, fails: true},
	{args: "check-base HOST/denied:v1", shows: []string{"message"}, fails: true},
	{args: "history HOST/denied:v1", shows: []string{"message"}, fails: true},
	{args: "tags HOST/denied", shows: []string{"message"}, fails: true},
	{args: "repos --debug HOST", shows: []string{"warning", "repository"}},
	{args: "digest --retries 1 HOST/warned:v1", shows: []string{"broken"}, fails: true},
	{args: "files HOST/files:v1", shows: []string{"file", "symlink", "folder"}},
	{args: "files --long HOST/files:v1", shows: []string{"file", "target"}},
	{args: "files --layer 1 HOST/files:v1", shows: []string{"file", ".wh.removed"}},
	{args: "files --long --layer 1 HOST/files:v1", shows: []string{"hardlink", "target"}},
	{args: "files --json HOST/files:v1", shows: []string{"file", "target", "xattr"}, form: forPrograms},
	{args: "files --json --layer 1 HOST/files:v1", shows: []string{"file", "hardlink", "removed", "target"}, form: forPrograms},
	{args: "files --format {{.Path}} HOST/files:v1", shows: []string{"file"}, form: asItIs},
	{args: "files HOST/hostile:v1", shows: []string{"file"}, fails: true},
	{args: "cat HOST/files:v1 etc/motd", shows: []string{"content"}, form: asItIs},
	{args: "cat -o DIR/motd --json HOST/files:v1 etc/link", shows: []string{"file"}, form: forPrograms},
	{args: "cat HOST/hostile:v1 etc/motd", shows: []string{"file"}, fails: true},
	{args: "search --config DIR/hub.yaml --no-trunc x", shows: []string{"found", "description"}},
	{args: "search --config DIR/hub.yaml x", shows: []string{"found"}},
	{args: "search --config DIR/hub.yaml -q x", shows: []string{"found"}},
	{args: "search --config DIR/hub.yaml --json --no-trunc x", shows: []string{"found", "description"}, form: forPrograms},
	{args: "search HOST/repository", shows: []string{"repository"}},
	{args: "diff HOST/files:v1 HOST/wasted:v1", shows: []string{"file", "folder"}},
	{args: "diff --json HOST/files:v1 HOST/wasted:v1", shows: []string{"file"}, form: forPrograms},
	{args: "diff --only settings --all HOST/files:v1 HOST/wasted:v1", shows: []string{"env", "label", "step"}},
	{args: "diff --patch HOST/files:v1 HOST/wasted:v1 etc/issue", shows: []string{"text"}, form: asItIs},
	{args: "diff HOST/files:v1 HOST/hostile:v1", shows: []string{"file"}, fails: true},
	{args: "analyze HOST/wasted:v1", shows: []string{"wasted", "step"}},
	{args: "analyze --json HOST/wasted:v1", shows: []string{"wasted", "step"}, form: forPrograms},
	{args: "analyze --compat dive HOST/wasted:v1", shows: []string{"wasted", "step"}, form: forPrograms},
	{args: "analyze HOST/hostile:v1", shows: []string{"file"}, fails: true},
}

// That the escaper is what makes this pass is seen by its work: of each word the
// corpus behind it must have arrived, and be written out.
func TestNothingFromOutsideIsObeyed(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	root := putCorpus(t, r)
	dir := t.TempDir()
	layCorpus(t, r, dir)
	names := strings.NewReplacer("HOST", r.Host(), "DIR", dir, "ROOT", root.Digest.String())
	for _, row := range corpusRows {
		var args []string
		for arg := range strings.FieldsSeq(row.args) {
			args = append(args, strings.ReplaceAll(names.Replace(arg), "json_.", "json ."))
		}
		row.check(t, "a terminal", obeyed, runOn(t, true, args...))
		row.check(t, "a pipe", row.form.wrong, runOn(t, false, args...))
	}
}

// check holds what a row gave on a terminal or a pipe to what may stand there. wrong
// returns where on standard output the first character is that may not, or -1.
func (row corpusRow) check(t *testing.T, on string, wrong func(string) int, got outcome) {
	t.Helper()
	if fails := got.code != exitDone; fails != row.fails {
		t.Errorf("%s on %s: exit code %d, %s", row.args, on, got.code, got.errors)
	}
	if at := wrong(got.out); at >= 0 {
		t.Errorf("%s on %s: standard output has %.20q: %.300q", row.args, on, got.out[at:], got.out[max(0, at-200):])
	}
	if at := obeyed(got.errors); at >= 0 {
		t.Errorf("%s on %s: standard error has %.20q: %.300q", row.args, on, got.errors[at:], got.errors[max(0, at-200):])
	}
	arrived, out := isWrittenOut, got.out+got.errors
	if on == "a pipe" && row.form == asItIs {
		arrived, out = isRaw, got.out
	}
	for _, word := range row.shows {
		if !arrived(out, word) {
			t.Errorf("%s on %s: the corpus behind %q did not arrive, or not in the form it should:\n%.3000s", row.args, on, word, got.out+got.errors)
		}
	}
}

// wrong returns where the first character is that must not go through a pipe in that
// form, and -1 where there is none.
func (form outputForm) wrong(out string) int {
	switch form {
	case forPrograms:
		return strings.IndexFunc(out, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' })
	case asItIs:
		return -1
	case forPeople:
	}
	return obeyed(out)
}

// isWrittenOut reports whether the corpus stands behind word in out, with its first
// escape written in one of the forms that there are. A header has none in seven bits.
func isWrittenOut(out, word string) bool {
	for _, escape := range []string{`\x1b[2J`, `\u001b[2J`, `\\x1b[2J`, `\u{9b}31m`, `\u009b31m`} {
		if strings.Contains(out, word+escape) {
			return true
		}
	}
	return false
}

// isRaw reports whether the corpus stands behind word in out, byte for byte.
func isRaw(out, word string) bool {
	return strings.Contains(out, evil(word)) || strings.Contains(out, evilName(word))
}

// putCorpus puts the corpus into everything that an index, an image, what refers to
// it, and the answers about it can hold.
func putCorpus(t *testing.T, r *testregistry.Registry) ocispec.Descriptor {
	t.Helper()
	b := testimage.Builder{Seed: 1}
	layer := b.Layer(testimage.Gzip, 100)
	layer.Descriptor.MediaType = evil("layer type")
	host := content.HostPlatform()
	config, err := json.Marshal(map[string]any{
		"os": host.OS, "architecture": host.Architecture, "author": evil("author"), "created": "2026-01-02T03:04:05Z",
		"config": map[string]any{
			"User": evil("user"), "Env": []string{evil("env")}, "Cmd": []string{evil("cmd")},
			"Labels": map[string]string{evil("key"): evil("label")},
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []any{layer.DiffID}},
		"history": []any{map[string]any{"created": "2026-01-02T03:04:05Z", "created_by": evil("created by"), "comment": evil("comment")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: b.Blob(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{layer.Descriptor},
		Annotations: map[string]string{"k": evil("image annotation"), ocispec.AnnotationBaseImageName: evil("base")},
	}
	image := b.Manifest(m.MediaType, m)
	image.Platform = &ocispec.Platform{OS: host.OS, Architecture: host.Architecture}
	image.Annotations = map[string]string{"k": evil("child")}
	other := b.Image("linux/amd64", b.Layer(testimage.Gzip, 200))
	other.Platform = &ocispec.Platform{OS: evil("os"), Architecture: "a"}
	statement := b.Blob("application/vnd.in-toto+json", []byte("{}"))
	statement.Annotations = map[string]string{"in-toto.io/predicate-type": evil("predicate")}
	attestation := b.Image("unknown/unknown", testimage.Layer{Descriptor: statement, DiffID: statement.Digest})
	attestation.Annotations = map[string]string{content.AnnotationReferenceType: "attestation-manifest", content.AnnotationReferenceDigest: image.Digest.String()}
	root := b.Manifest(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{image, other, attestation}, Annotations: map[string]string{"k": evil("annotation")},
	})
	b.Refer(root, evil("attached"))
	img := b.Done(root)
	img.PutTo(r, "app", "v1")
	for _, d := range img.Referrers {
		r.PutManifest("app", d.Digest.String(), img.Manifests[d.Digest].MediaType, img.Manifests[d.Digest].Bytes)
	}
	hostile := testimage.Builder{Seed: 2}
	file := hostile.TarLayer(testimage.Gzip, testimage.Tar(testimage.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: strings.ReplaceAll(evil("file"), "\x00", "") + "/../x", Mode: 0o644}}))
	hostile.Done(hostile.Image(host.String(), file)).PutTo(r, "hostile", "v1")
	putCorpusFiles(r)
	putCorpusWaste(t, r)
	testimage.Single(3).PutTo(r, "warned", "v1")
	r.SetFaults(evilAnswers(t)...)
	return root
}

// putCorpusFiles puts the corpus into what a layer says of its files, and into one of
// them: as far as a tar can hold it.
func putCorpusFiles(r *testregistry.Registry) {
	b := testimage.Builder{Seed: 4}
	layer := b.TarLayer(testimage.Gzip, testimage.Tar(
		testimage.Entry{Header: tar.Header{Name: evilName("file"), PAXRecords: map[string]string{"SCHILY.xattr.user." + evilName("xattr"): "x"}}},
		testimage.Entry{Header: tar.Header{Name: evilName("hardlink"), Typeflag: tar.TypeLink, Linkname: evilName("file")}},
		testimage.Entry{Header: tar.Header{Name: evilName("symlink"), Typeflag: tar.TypeSymlink, Linkname: evilName("target")}},
		testimage.Entry{Header: tar.Header{Name: evilName("folder"), Typeflag: tar.TypeDir}},
		testimage.Entry{Header: tar.Header{Name: evilName(".wh.removed")}},
		testimage.Entry{Header: tar.Header{Name: "etc/motd"}, Body: []byte(evil("content") + "\xff\xfe")},
		testimage.Entry{Header: tar.Header{Name: "etc/issue"}, Body: []byte(evilName("text") + "\n")},
		testimage.Entry{Header: tar.Header{Name: "etc/link", Typeflag: tar.TypeSymlink, Linkname: "/" + evilName("file")}},
	))
	b.Done(b.Image(content.HostPlatform().String(), layer)).PutTo(r, "files", "v1")
}

// putCorpusWaste puts the corpus into an image whose layers have a file twice, and into
// what its config says of it.
func putCorpusWaste(t *testing.T, r *testregistry.Registry) {
	t.Helper()
	b := testimage.Builder{Seed: 5}
	var layers []ocispec.Descriptor
	var diffIDs, history []any
	for i := range 2 {
		layer := b.TarLayer(testimage.Gzip, testimage.Tar(
			testimage.Entry{Header: tar.Header{Name: evilName("wasted")}, Body: bytes.Repeat([]byte{byte(i)}, 1<<20)},
			testimage.Entry{Header: tar.Header{Name: "etc/issue"}, Body: []byte("a text\n")},
		))
		layers, diffIDs = append(layers, layer.Descriptor), append(diffIDs, layer.DiffID)
		history = append(history, map[string]any{"created_by": evil("step")})
	}
	host := content.HostPlatform()
	config, err := json.Marshal(map[string]any{
		"os": host.OS, "architecture": host.Architecture, "history": history, "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
		"config": map[string]any{"Env": []string{evil("env") + "=1"}, "Labels": map[string]string{"key": evil("label")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Done(b.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: b.Blob(ocispec.MediaTypeImageConfig, config), Layers: layers,
	})).PutTo(r, "wasted", "v1")
}

// evilAnswers are those of a registry that has the corpus in names, errors and headers.
func evilAnswers(t *testing.T) []testregistry.Fault {
	t.Helper()
	body := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	says := func(kind testregistry.Kind, repo string, status int64, body string) testregistry.Fault {
		return testregistry.Fault{Kind: kind, Repo: repo, Effect: testregistry.Answer, N: status, Body: body}
	}
	denied := body(map[string]any{"errors": []any{map[string]any{"code": evil("code"), "message": evil("message")}}})
	return []testregistry.Fault{
		says(testregistry.KindTags, "listed", http.StatusOK, body(map[string]any{"name": "listed", "tags": []string{evil("tag")}})),
		{Kind: testregistry.KindCatalog, Header: http.Header{"Warning": {"warning\u009b31m|\u009d0;t\u009c|\u202e|\u200b"}}},
		says(testregistry.KindCatalog, "", http.StatusOK, body(map[string]any{"repositories": []string{evil("repository")}})),
		says(testregistry.KindSearch, "", http.StatusOK, body(map[string]any{"results": []any{map[string]any{
			"name": evil("found"), "short_description": evil("description"), "star_count": 1, "badge": "none",
		}}})),
		says(testregistry.KindManifest, "denied", http.StatusForbidden, denied),
		says(testregistry.KindTags, "denied", http.StatusForbidden, denied),
		says(testregistry.KindManifest, "plain", http.StatusForbidden, evil("page")+"\xff\xfe"),
		{Kind: testregistry.KindManifest, Repo: "warned", Header: http.Header{"Warning": {evil("broken")}}},
	}
}

// layCorpus puts an image into a layout at DIR/layout, under the corpus as a name, and
// settings that lead the search of Docker Hub to r at DIR/hub.yaml.
func layCorpus(t *testing.T, r *testregistry.Registry, dir string) {
	t.Helper()
	hub := "registries: {hub.docker.com: {address: '" + r.Host() + "', plainHTTP: true}}"
	if err := os.WriteFile(filepath.Join(dir, "hub.yaml"), []byte(hub), 0o600); err != nil {
		t.Fatal(err)
	}
	layout := filepath.Join(dir, "layout")
	for name, repo := range map[string]string{"v1": "app", "v2": "hostile"} {
		if got := runOn(t, false, "copy", "-q", r.Host()+"/"+repo+":v1", "oci:"+layout+":"+name); got.code != exitDone {
			t.Fatal(got.errors)
		}
	}
	index := filepath.Join(layout, "index.json")
	raw, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	name, err := json.Marshal(evil("name"))
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.ReplaceAll(raw, []byte(`"v1"`), name)
	if err := os.WriteFile(index, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}
