package transfer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A maker fills a Memory with small images.
type maker struct {
	t *testing.T
	content.Memory
}

func (m *maker) blob(mediaType, data string) ocispec.Descriptor {
	m.t.Helper()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(data), Size: int64(len(data))}
	if _, err := m.PutBlob(m.t.Context(), textBlob{d, data}); err != nil {
		m.t.Fatal(err)
	}
	return d
}

func (m *maker) manifest(v any, mediaType string, names ...string) ocispec.Descriptor {
	m.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		m.t.Fatal(err)
	}
	parsed, err := content.ParseManifest(mediaType, raw, content.Limits{})
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.PutManifest(m.t.Context(), parsed, names...); err != nil {
		m.t.Fatal(err)
	}
	return parsed.Descriptor()
}

func (m *maker) image(platform string, subject *ocispec.Descriptor, layers ...string) ocispec.Descriptor {
	m.t.Helper()
	p, err := content.ParsePlatform(platform)
	if err != nil {
		m.t.Fatal(err)
	}
	config := m.blob(ocispec.MediaTypeImageConfig, fmt.Sprintf(`{"os":%q,"architecture":%q,"layers":%q}`, p.OS, p.Architecture, layers))
	var ls []ocispec.Descriptor
	for _, l := range layers {
		ls = append(ls, m.blob(ocispec.MediaTypeImageLayerGzip, l))
	}
	return m.manifest(ocispec.Manifest{Versioned: versioned, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: ls, Subject: subject}, ocispec.MediaTypeImageManifest)
}

// An app is an index and its children.
type app struct{ root, amd64, arm64, attestation ocispec.Descriptor }

// app makes an index of amd64 and arm64 images that share a layer, with an
// attestation of the first.
func (m *maker) app(names ...string) app {
	m.t.Helper()
	amd64, arm64 := m.image("linux/amd64", nil, "shared", "for amd64"), m.image("linux/arm64", nil, "shared", "for arm64")
	attestation := m.image("unknown/unknown", nil, "attests amd64")
	amd64.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	arm64.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	attestation.Annotations = map[string]string{
		content.AnnotationReferenceType:   "attestation-manifest",
		content.AnnotationReferenceDigest: amd64.Digest.String(),
	}
	for _, d := range []*ocispec.Descriptor{&amd64, &arm64, &attestation} {
		d.ArtifactType = ""
	}
	root := m.manifest(ocispec.Index{
		Versioned: versioned, MediaType: ocispec.MediaTypeImageIndex,
		Manifests:   []ocispec.Descriptor{amd64, arm64, attestation},
		Annotations: map[string]string{"kept": "as it is"},
	}, ocispec.MediaTypeImageIndex, names...)
	return app{root: root, amd64: amd64, arm64: arm64, attestation: attestation}
}

type textBlob struct {
	d    ocispec.Descriptor
	data string
}

func (b textBlob) Descriptor() ocispec.Descriptor { return b.d }

func (b textBlob) Open(context.Context, content.Range) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(b.data)), nil
}

// A spy is a place in a registry that records what is asked of it.
type spy struct {
	*content.Memory
	repository string
	fail       func(op, what string) error

	mu  sync.Mutex
	log []string
}

func (s *spy) Origin() (host, repository string) { return "registry.test", s.repository }

func (s *spy) note(op, what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, op+" "+what)
	if s.fail != nil {
		return s.fail(op, what)
	}
	return nil
}

func (s *spy) count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, line := range s.log {
		if strings.HasPrefix(line, op+" ") {
			n++
		}
	}
	return n
}

func (s *spy) puts() []string {
	return slices.DeleteFunc(slices.Clone(s.log), func(line string) bool { return !strings.HasPrefix(line, "put ") })
}

func (s *spy) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	if err := s.note("manifest", ref); err != nil {
		return content.Manifest{}, err
	}
	return s.Memory.Manifest(ctx, ref)
}

func (s *spy) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	if err := s.note("resolve", ref); err != nil {
		return ocispec.Descriptor{}, err
	}
	return s.Memory.Resolve(ctx, ref)
}

func (s *spy) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	if err := s.note("open", d.Digest.String()); err != nil {
		return nil, err
	}
	return s.Memory.Open(ctx, d, r)
}

func (s *spy) PutBlob(ctx context.Context, b content.Blob) (content.Outcome, error) {
	if err := s.note("blob", b.Descriptor().Digest.String()); err != nil {
		return 0, err
	}
	return s.Memory.PutBlob(ctx, b)
}

func (s *spy) PutManifest(ctx context.Context, m content.Manifest, names ...string) error {
	if err := s.note("put", m.Digest().String()+" "+strings.Join(names, " ")); err != nil {
		return err
	}
	return s.Memory.PutManifest(ctx, m, names...)
}

func newSpy(m *content.Memory) *spy { return &spy{Memory: m, repository: fmt.Sprintf("app-%p", m)} }

func run(t *testing.T, c *transfer.Copier, jobs ...transfer.Job) *transfer.Result {
	t.Helper()
	plan, err := c.Plan(t.Context(), jobs...)
	if err != nil {
		t.Fatal(err)
	}
	result, _ := c.Run(t.Context(), plan)
	return result
}

func digestOf(t *testing.T, src content.Source, ref string) digest.Digest {
	t.Helper()
	m, err := src.Manifest(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return m.Digest()
}

func TestCopy(t *testing.T) {
	src := &maker{t: t}
	made := src.app("v1")
	dst := newSpy(&content.Memory{})
	job := transfer.Job{Name: "app", Src: newSpy(&src.Memory), Ref: "v1", Dst: []transfer.Target{{Name: "there", Sink: dst, Names: []string{"v1", "latest"}}}}

	result := run(t, &transfer.Copier{}, job)
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	if got := digestOf(t, dst, "latest"); got != made.root.Digest {
		t.Errorf("latest is %s, want %s", got, made.root.Digest)
	}
	if got := result.Images[0].Targets[0].Stored; got != 7 {
		t.Errorf("%d blobs stored, want 7: three configs, the shared layer once, three others", got)
	}
	last := dst.puts()[len(dst.puts())-1]
	if want := "put " + made.root.Digest.String() + " v1 latest"; last != want {
		t.Errorf("last write is %q, want %q", last, want)
	}

	dst.log = nil
	job.Dst[0].Names = []string{"v1"}
	result = run(t, &transfer.Copier{}, job)
	if result.Err() != nil || !result.Images[0].Targets[0].UpToDate || !slices.Equal(dst.log, []string{"resolve v1"}) {
		t.Errorf("the second copy is %+v and asked %v, want one resolve", result.Images[0].Targets[0], dst.log)
	}
}

func TestCopyOfSomePlatforms(t *testing.T) {
	src := &maker{t: t}
	made := src.app("v1")
	tests := []struct {
		name      string
		platforms string
		sparse    bool
		children  []digest.Digest
		absent    []digest.Digest
	}{
		{"an image and its attestation", "linux/amd64", false, []digest.Digest{made.amd64.Digest, made.attestation.Digest}, []digest.Digest{made.arm64.Digest}},
		{"an image that has none", "linux/arm64", false, []digest.Digest{made.arm64.Digest}, []digest.Digest{made.amd64.Digest}},
		{"all there are", "linux/*", false, []digest.Digest{made.amd64.Digest, made.arm64.Digest, made.attestation.Digest}, nil},
		{"the index stays as it is", "linux/arm64", true, []digest.Digest{made.amd64.Digest, made.arm64.Digest, made.attestation.Digest}, []digest.Digest{made.amd64.Digest}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := content.ParsePlatform(test.platforms)
			if err != nil {
				t.Fatal(err)
			}
			dst := newSpy(&content.Memory{})
			job := transfer.Job{
				Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: dst, Names: []string{"v1"}}},
				Filter: transfer.Filter{Platforms: []content.Platform{p}, Sparse: test.sparse},
			}
			if err := run(t, &transfer.Copier{}, job).Err(); err != nil {
				t.Fatal(err)
			}
			checkChildren(t, dst, test.children, test.absent)
			if whole := len(test.children) == 3; whole != (digestOf(t, dst, "v1") == made.root.Digest) {
				t.Errorf("root is %s, the source's is %s", digestOf(t, dst, "v1"), made.root.Digest)
			}
			blobs, puts := dst.count("blob"), dst.count("put")
			if err := run(t, &transfer.Copier{}, job).Err(); err != nil {
				t.Fatal(err)
			}
			if dst.count("blob") != blobs || dst.count("put") != puts {
				t.Error("the second run moved or wrote something")
			}
		})
	}
}

func checkChildren(t *testing.T, dst content.Source, want, absent []digest.Digest) {
	t.Helper()
	m, err := dst.Manifest(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	var children []digest.Digest
	for _, d := range m.Children() {
		children = append(children, d.Digest)
	}
	if !slices.Equal(children, want) {
		t.Errorf("children are %v, want %v", children, want)
	}
	if m.Annotations()["kept"] != "as it is" {
		t.Error("the index's annotations are lost")
	}
	for _, d := range absent {
		if _, err := dst.Manifest(t.Context(), d.String()); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("%s came along: %v", d, err)
		}
	}
}

func TestCopyOfAPlatformThatIsNotThere(t *testing.T) {
	src := &maker{t: t}
	src.app("v1")
	dst := newSpy(&content.Memory{})
	job := transfer.Job{
		Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: dst, Names: []string{"v1"}}},
		Filter: transfer.Filter{Platforms: []content.Platform{{OS: "linux", Architecture: "s390x"}}},
	}
	err := run(t, &transfer.Copier{}, job).Err()
	if !errors.Is(err, content.ErrNotFound) || !strings.Contains(err.Error(), "linux/amd64, linux/arm64") {
		t.Errorf("error is %v, want not found with what there is", err)
	}
	if dst.count("put") != 0 {
		t.Error("something was written")
	}
}

func TestCopyReadsOnceForSeveralDestinations(t *testing.T) {
	src := &maker{t: t}
	src.app("v1")
	from := newSpy(&src.Memory)
	good, other := newSpy(&content.Memory{}), &content.Memory{}
	dead := newSpy(&content.Memory{})
	dead.fail = func(string, string) error { return fmt.Errorf("connection refused: %w", content.ErrUnavailable) }
	result := run(t, &transfer.Copier{}, transfer.Job{Name: "app", Src: from, Ref: "v1", Dst: []transfer.Target{
		{Name: "good", Sink: good, Names: []string{"v1"}},
		{Name: "dead", Sink: dead, Names: []string{"v1"}},
		{Name: "other", Sink: other, Names: []string{"v1"}},
	}})
	if failed, all := result.Failed(); failed != 1 || all != 3 {
		t.Errorf("%d of %d failed, want 1 of 3: %v", failed, all, result.Err())
	}
	if got := from.count("open"); got != 7 {
		t.Errorf("the source was opened %d times for 7 blobs", got)
	}
	for _, dst := range []content.Source{good, other} {
		if digestOf(t, dst, "v1") != digestOf(t, src, "v1") {
			t.Error("a destination beside the dead one has another image")
		}
	}
}

// A stuck sink takes no blob for an hour, or until freed is closed.
type stuck struct {
	content.Sink
	freed chan struct{}
}

// PutBlob implements [content.Sink].
func (s stuck) PutBlob(ctx context.Context, b content.Blob) (content.Outcome, error) {
	select {
	case <-s.freed:
		return s.Sink.PutBlob(ctx, b)
	case <-time.After(time.Hour):
		return 0, content.ErrUnavailable
	}
}

// A sink that stands still holds up no image at another one.
func TestAnImageIsDoneWhereItsBlobsAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &maker{t: t}
		root := src.image("linux/amd64", nil, "layer")
		prompt, named := newSpy(&content.Memory{}), make(chan struct{})
		prompt.fail = func(op, what string) error {
			if op == "put" && strings.HasSuffix(what, " v1") {
				close(named)
			}
			return nil
		}
		result := run(t, &transfer.Copier{}, transfer.Job{Name: "app", Src: &src.Memory, Ref: root.Digest.String(), Dst: []transfer.Target{
			{Name: "slow", Sink: stuck{&content.Memory{}, named}, Names: []string{"v1"}},
			{Name: "prompt", Sink: prompt, Names: []string{"v1"}},
		}})
		if err := result.Err(); err != nil {
			t.Error(err)
		}
	})
}

func TestADeadDestinationIsNotWaitedForTwice(t *testing.T) {
	src := &maker{t: t}
	layers := []string{"one", "two", "three", "four", "five", "six", "seven", "eight"}
	root := src.image("linux/amd64", nil, layers...)
	dead, alive := newSpy(&content.Memory{}), newSpy(&content.Memory{})
	dead.fail = func(op, _ string) error {
		if op == "blob" {
			return content.ErrUnavailable
		}
		return nil
	}
	result := run(t, &transfer.Copier{Jobs: 1}, transfer.Job{Name: "app", Src: newSpy(&src.Memory), Ref: root.Digest.String(), Dst: []transfer.Target{
		{Name: "dead", Sink: dead, Names: []string{"v1"}}, {Name: "alive", Sink: alive, Names: []string{"v1"}},
	}})
	got := result.Images[0].Targets
	if !errors.Is(got[0].Err, content.ErrUnavailable) || got[1].Err != nil || got[1].Stored != len(layers)+1 {
		t.Errorf("dead: %v, alive: %v with %d blobs", got[0].Err, got[1].Err, got[1].Stored)
	}
	if n := dead.count("blob"); n != 1 {
		t.Errorf("the dead destination was given %d blobs", n)
	}
}

func TestOneImageLeavesTheOthersAlone(t *testing.T) {
	src := &maker{t: t}
	src.app("v1")
	broken := src.image("linux/amd64", nil, "shared", "lost layer")
	m, err := src.Manifest(t.Context(), broken.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := src.PutManifest(t.Context(), m, "broken"); err != nil {
		t.Fatal(err)
	}
	from := newSpy(&src.Memory)
	from.fail = func(op, what string) error {
		if op == "open" && what == digest.FromString("lost layer").String() {
			return content.ErrNotFound
		}
		return nil
	}
	dst := newSpy(&content.Memory{})
	job := func(name string) transfer.Job {
		return transfer.Job{Name: name, Src: from, Ref: name, Dst: []transfer.Target{{Name: "there", Sink: dst, Names: []string{name}}}}
	}
	result := run(t, &transfer.Copier{}, job("broken"), job("v1"), job("absent"))
	if failed, _ := result.Failed(); failed != 2 || result.Images[1].Targets[0].Err != nil {
		t.Errorf("failures: %v", result.Err())
	}
	if _, err := dst.Memory.Manifest(t.Context(), "broken"); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("the broken image got its name: %v", err)
	}
	var typed *transfer.Error
	if !errors.As(result.Images[0].Targets[0].Err, &typed) || typed.Side != transfer.Src {
		t.Errorf("error %v does not name the source", result.Images[0].Targets[0].Err)
	}
}

// A tape takes one blob at a time and remembers the order.
type tape struct {
	content.Memory
	busy      sync.Mutex
	order     []string
	committed int
}

func (p *tape) Sequential() {}

func (p *tape) PutBlob(ctx context.Context, b content.Blob) (content.Outcome, error) {
	if !p.busy.TryLock() {
		return 0, errors.New("two blobs at once")
	}
	defer p.busy.Unlock()
	p.order = append(p.order, b.Descriptor().Digest.String())
	return p.Memory.PutBlob(ctx, b)
}

func (p *tape) Commit(context.Context) error {
	p.committed++
	return nil
}

func TestSequentialSinksAreFedInPlanOrder(t *testing.T) {
	src := &maker{t: t}
	src.app("v1")
	src.image("linux/amd64", nil, "shared", "another")
	var first []string
	for range 5 {
		dst := &tape{}
		job := func(name string) transfer.Job {
			return transfer.Job{Name: name, Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: dst, Names: []string{name}}}}
		}
		if err := run(t, &transfer.Copier{Jobs: 8}, job("a"), job("b")).Err(); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = dst.order
		}
		if !slices.Equal(first, dst.order) || dst.committed != 1 || len(first) != 7 {
			t.Errorf("order %v, committed %d times, want %v once", dst.order, dst.committed, first)
		}
	}
}
