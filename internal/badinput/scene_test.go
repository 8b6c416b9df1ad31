package badinput

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// What one command may cost, whatever it is given.
const (
	mostMemory = 128 << 20
	mostTime   = 10 * time.Second
)

// What a scene's places are called.
const (
	repo = "app"
	tag  = "v1"
)

// A scene is one case's own world: a registry to read from, and a registry, a layout and an archive to write to, each
// with an image in it that must not change.
type scene struct {
	*testing.T
	dir      string // where wherry runs
	temp     string // its temporary files
	from, to *testregistry.Registry
	env      []string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{T: t, dir: t.TempDir(), temp: t.TempDir()}
	s.from = testregistry.Start(t, testregistry.Config{AllowMissing: true})
	s.to = testregistry.Start(t, testregistry.Config{})
	home := t.TempDir()
	s.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "USERPROFILE=" + home, "TMPDIR=" + s.temp, "TMP=" + s.temp, "NO_COLOR=1",
		"XDG_CONFIG_HOME=" + home, "XDG_STATE_HOME=" + home, "XDG_CACHE_HOME=" + home, "XDG_DATA_HOME=" + home, "WHERRY_OWN_ONLY=1",
	}
	old := testimage.Single(1)
	old.PutTo(s.to, repo, tag)
	laid := layoutOf(t, old)
	laid.unpack(t, s.path("layout"))
	must(t, os.Mkdir(s.path("layout/.wherry"), 0o755)) // whoever wrote there before left it: locks are in it
	s.write("image.tar", laid.pack(t))
	return s
}

func (s *scene) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

func (s *scene) write(name string, raw []byte) {
	s.Helper()
	must(s, os.WriteFile(s.path(name), raw, 0o644))
}

// give puts an image into the registry that is read from.
func (s *scene) give(b *testimage.Builder, root ocispec.Descriptor) digest.Digest {
	b.Done(root).PutTo(s.from, repo, tag)
	return root.Digest
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// An outcome is what a command left.
type outcome struct {
	sample
	stdout, stderr string
}

// run runs wherry. In args FROM and TO stand for the registries. Whatever it was given, it stays within its limits,
// says what can be looked at, and leaves no temporary file.
func (s *scene) run(stdin io.Reader, args ...string) outcome {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 12*mostTime)
	defer cancel()
	result := filepath.Join(s.TempDir(), "sample")
	names := strings.NewReplacer("FROM", s.from.Host(), "TO", s.to.Host())
	command := []string{result, program}
	for _, arg := range args {
		command = append(command, names.Replace(arg))
	}
	cmd := exec.CommandContext(ctx, stopwatch, command...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.dir, s.env, stdin
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		s.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	o := outcome{sample: readSample(s, result), stdout: stdout.String(), stderr: stderr.String()}
	s.check(o)
	return o
}

func (s *scene) check(o outcome) {
	s.Helper()
	if o.RSS > mostMemory {
		s.Errorf("used %d MiB", o.RSS>>20)
	}
	if o.Took > mostTime {
		s.Errorf("took %v", o.Took)
	}
	for what, text := range map[string]string{"standard output": o.stdout, "standard error": o.stderr} {
		if i := strings.IndexFunc(text, unfit); i >= 0 && !json.Valid([]byte(text)) { // JSON has its own escapes
			s.Errorf("%s has raw bytes in it: %.300q", what, text[i:])
		}
	}
	left, err := os.ReadDir(s.temp)
	must(s, err)
	if len(left) > 0 {
		s.Errorf("temporary files are left: %v", left)
	}
}

// unfit reports whether r must not reach a terminal.
func unfit(r rune) bool {
	return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar)
}

// wantFailure wants exit code and message, in one line, with a hint at most besides. Every case states what it says.
func (s *scene) wantFailure(o outcome, code int, says string) {
	s.Helper()
	line, hint, _ := strings.Cut(o.stderr, "\n")
	if says == "" {
		s.Errorf("the case states no message; it could be of\n%s", line)
	}
	if o.Code != code || !strings.HasPrefix(line, "wherry: ") || !strings.Contains(line, says) {
		s.Errorf("exit code %d, want %d that says %q:\n%.1000s", o.Code, code, says, o.stderr)
	}
	if len(line) > 1000 {
		s.Errorf("the message has %d bytes: %.1000s", len(line), line)
	}
	if hint != "" && (!strings.HasPrefix(hint, "hint: ") || strings.Count(hint, "\n") != 1) {
		s.Errorf("more than a line and a hint:\n%.1000s", o.stderr)
	}
	if o.stdout != "" {
		s.Errorf("on standard output:\n%.1000s", o.stdout)
	}
}

// state describes everything in the places to write to, by where it is.
func (s *scene) state() map[string]string {
	s.Helper()
	all := map[string]string{}
	for _, name := range s.to.Repositories() {
		for _, d := range s.to.Blobs(name) {
			raw, _ := s.to.Blob(name, d)
			all[name+" "+d.String()] = d.Algorithm().FromBytes(raw).String()
		}
		for _, d := range s.to.Manifests(name) {
			all[name+" manifest "+d.String()] = "there"
		}
		for _, t := range s.to.Tags(name) {
			all[name+":"+t] = s.to.Digest(name, t).String()
		}
	}
	must(s, filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		what := info.Mode().String()
		if info.Mode().IsRegular() && info.Size() < 1<<20 { // what is larger is read from, not written to
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what += " " + digest.FromBytes(raw).String()
		}
		all[filepath.ToSlash(strings.TrimPrefix(path, s.dir))] = what
		return nil
	}))
	return all
}

// refused wants a command to fail without an effect.
func (s *scene) refused(stdin io.Reader, code int, says string, args ...string) {
	s.Helper()
	before := s.state()
	s.wantFailure(s.run(stdin, args...), code, says)
	if diff := cmp.Diff(before, s.state()); diff != "" {
		s.Errorf("the destination has changed:\n%s", diff)
	}
}

// refusedLate wants a command to fail over bytes that it has to move to find out. Other blobs may be there then, each
// with the bytes its digest promises, and no name stands for them.
func (s *scene) refusedLate(stdin io.Reader, code int, says string, args ...string) {
	s.Helper()
	before := s.state()
	s.wantFailure(s.run(stdin, args...), code, says)
	after := s.state()
	for where, what := range after {
		hex := where[max(0, len(where)-64):]
		if before[where] == "" && (strings.HasPrefix(where, "/layout/.wherry/") || strings.HasSuffix(what, ":"+hex)) {
			delete(after, where)
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		s.Errorf("the destination has changed:\n%s", diff)
	}
}

// files are those of a layout or archive, by their path with slashes.
type files map[string][]byte

// layoutOf is an OCI layout with img as v1 in it.
func layoutOf(tb testing.TB, img testimage.Image) files {
	tb.Helper()
	root := img.Root
	root.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	return layoutWith(tb, img, root)
}

// layoutWith is an OCI layout with all of img in it, and these descriptors in its index.json.
func layoutWith(tb testing.TB, img testimage.Image, roots ...ocispec.Descriptor) files {
	tb.Helper()
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: roots})
	must(tb, err)
	all := files{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": index}
	for d, m := range img.Manifests {
		all[blobPath(d)] = m.Bytes
	}
	for d, raw := range img.Blobs {
		all[blobPath(d)] = raw
	}
	return all
}

func blobPath(d digest.Digest) string { return "blobs/" + d.Algorithm().String() + "/" + d.Encoded() }

// unpack writes fs into folder.
func (fs files) unpack(tb testing.TB, folder string) {
	tb.Helper()
	for name, raw := range fs {
		file := filepath.Join(folder, filepath.FromSlash(name))
		must(tb, os.MkdirAll(filepath.Dir(file), 0o755))
		must(tb, os.WriteFile(file, raw, 0o644))
	}
}

// entries are fs as entries of a tar, in the order of their names.
func (fs files) entries() []testimage.Entry {
	var all []testimage.Entry
	for _, name := range slices.Sorted(maps.Keys(fs)) {
		all = append(all, file(name, string(fs[name])))
	}
	return all
}

// pack returns fs and more entries as a tar.
func (fs files) pack(tb testing.TB, more ...testimage.Entry) []byte {
	tb.Helper()
	return packed(tb, append(fs.entries(), more...)...)
}

// packed returns a tar of entries, none of which is left out.
func packed(tb testing.TB, entries ...testimage.Entry) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := e.Header
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(e.Body))
		}
		must(tb, w.WriteHeader(&h))
		_, err := w.Write(e.Body)
		must(tb, err)
	}
	must(tb, w.Close())
	return out.Bytes()
}

func file(name, body string) testimage.Entry {
	return testimage.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, Body: []byte(body)}
}

func special(kind byte, name string) testimage.Entry {
	return testimage.Entry{Header: tar.Header{Typeflag: kind, Name: name, Mode: 0o644}}
}

func symlink(name, to string) testimage.Entry {
	return testimage.Entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}}
}

func hardlink(name, to string) testimage.Entry {
	return testimage.Entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}}
}

// repeated reads text so many times; fewer than one is for ever.
func repeated(text string, times int) io.Reader {
	return &repeater{text: text, left: times}
}

type repeater struct {
	text string
	at   int
	left int
}

func (r *repeater) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if r.at == len(r.text) {
			r.at = 0
			if r.left--; r.left == 0 {
				r.at = len(r.text)
				return n, io.EOF
			}
		}
		c := copy(p[n:], r.text[r.at:])
		n, r.at = n+c, r.at+c
	}
	return n, nil
}
