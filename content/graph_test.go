package content_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A manifests source has manifests only, and counts how often each is asked for.
type manifests struct {
	content.Source
	mu    sync.Mutex
	have  map[string]content.Manifest
	asked map[string]int
}

func (s *manifests) Manifest(_ context.Context, ref string) (content.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[ref]++
	m, ok := s.have[ref]
	if !ok {
		return content.Manifest{}, fmt.Errorf("manifest %s: %w", ref, content.ErrNotFound)
	}
	return m, nil
}

// add parses raw and keeps it.
func (s *manifests) add(t *testing.T, raw string) content.Manifest {
	t.Helper()
	m, err := content.ParseManifest("", []byte(raw), content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if s.have == nil {
		s.have, s.asked = map[string]content.Manifest{}, map[string]int{}
	}
	s.have[m.Digest().String()] = m
	return m
}

// desc returns m's descriptor as an index has it.
func desc(m content.Manifest) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, m.MediaType(), m.Digest(), m.Size())
}

// leaf keeps an image that differs by n.
func (s *manifests) leaf(t *testing.T, n int) content.Manifest {
	t.Helper()
	return s.add(t, image(layer, fmt.Sprintf(`,"annotations":{"n":"%d"}`, n)))
}

// fan keeps indexes in so many levels, each of two that have both of the level below.
func (s *manifests) fan(t *testing.T, levels int) content.Manifest {
	t.Helper()
	a, b := s.leaf(t, 1), s.leaf(t, 2)
	for range levels - 1 {
		both := desc(a) + "," + desc(b)
		a, b = s.add(t, index(both, "")), s.add(t, index(both, `,"annotations":{"b":""}`))
	}
	return s.add(t, index(desc(a)+","+desc(b), ""))
}

// chain keeps an index in an index, so many deep, over one image.
func (s *manifests) chain(t *testing.T, levels int) content.Manifest {
	t.Helper()
	m := s.leaf(t, 1)
	for range levels {
		m = s.add(t, index(desc(m), ""))
	}
	return m
}

type build func(t *testing.T, s *manifests) content.Manifest

func chained(levels int) build {
	return func(t *testing.T, s *manifests) content.Manifest {
		t.Helper()
		return s.chain(t, levels)
	}
}

func fanned(levels int) build {
	return func(t *testing.T, s *manifests) content.Manifest {
		t.Helper()
		return s.fan(t, levels)
	}
}

// heavy keeps an index of eleven images of 100 KiB each.
func heavy(t *testing.T, s *manifests) content.Manifest {
	t.Helper()
	var children []string
	for i := range 11 {
		big := s.add(t, image(layer, fmt.Sprintf(`,"annotations":{"n":"%d","x":%q}`, i, strings.Repeat("x", 100<<10))))
		children = append(children, desc(big))
	}
	return s.add(t, index(strings.Join(children, ","), ""))
}

func TestLoadReadsEveryManifestOnce(t *testing.T) {
	var src manifests
	root := src.fan(t, 8)
	g, err := content.Loader{Jobs: 3}.Load(t.Context(), &src, root)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Order) != 17 || len(g.Manifests) != 17 || g.Order[16] != root.Digest() || g.Root != root.Digest() {
		t.Errorf("%d in order, %d manifests", len(g.Order), len(g.Manifests))
	}
	for ref, n := range src.asked {
		if n != 1 {
			t.Errorf("%s was asked for %d times", ref, n)
		}
	}
	for i, d := range g.Order {
		for _, c := range g.Manifests[d].Children() {
			if slices.Index(g.Order, c.Digest) >= i {
				t.Errorf("%s stands before its child %s", d, c.Digest)
			}
		}
	}
	if len(g.Blobs()) != 2 {
		t.Errorf("Blobs() = %v; want the config and layer they all share", g.Blobs())
	}
	again, err := content.Loader{Jobs: 1}.Load(t.Context(), &src, root)
	if err != nil || !slices.Equal(again.Order, g.Order) {
		t.Errorf("a second load has another order: %v", err)
	}
}

func TestGraphLimits(t *testing.T) {
	tests := []struct {
		name  string
		build build
		limit content.Limits
		off   content.Limits
		nodes int
		says  string
	}{
		{
			"indexes in indexes",
			chained(2000),
			content.Limits{},
			content.Limits{Depth: -1},
			2001, "nested more than 8 deep",
		},
		{
			"two a level, 24 levels",
			fanned(24),
			content.Limits{},
			content.Limits{Depth: -1},
			49, "nested more than 8 deep",
		},
		{
			"one level too many",
			chained(9),
			content.Limits{},
			content.Limits{Depth: 9},
			10, "nested more than 8 deep",
		},
		{
			"many manifests",
			fanned(8),
			content.Limits{Nodes: 16},
			content.Limits{Nodes: -1},
			17, "more than 16 manifests",
		},
		{
			"big manifests",
			heavy,
			content.Limits{GraphSize: 1 << 20},
			content.Limits{GraphSize: -1},
			12, "more than 1048576 bytes",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var src manifests
			root := tt.build(t, &src)
			_, err := content.Loader{Limits: tt.limit}.Load(t.Context(), &src, root)
			if !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v; want invalid content that says %q", err, tt.says)
			}
			g, err := content.Loader{Limits: tt.off}.Load(t.Context(), &src, root)
			if err != nil || len(g.Manifests) != tt.nodes {
				t.Errorf("with the limit off: %v; want %d manifests", err, tt.nodes)
			}
		})
	}
	t.Run("what is stated as too big is not even read", func(t *testing.T) {
		var src manifests
		var children []string
		for i := range 9 {
			children = append(children, strings.Replace(platformed(i, "", ""), `"size":3`, `"size":4194304`, 1))
		}
		root := src.add(t, index(strings.Join(children, ","), ""))
		_, err := content.Loader{}.Load(t.Context(), &src, root)
		if !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), "more than 16777216 bytes") || len(src.asked) > 0 {
			t.Errorf("got %v after %d reads", err, len(src.asked))
		}
	})
	t.Run("eight indexes in each other are within", func(t *testing.T) {
		var src manifests
		root := src.chain(t, 8)
		if _, err := (content.Loader{}).Load(t.Context(), &src, root); err != nil {
			t.Error(err)
		}
	})
}

func TestLoadFindsOutLies(t *testing.T) {
	tests := []struct {
		name  string
		build func(t *testing.T, s *manifests) content.Manifest
		want  error
	}{
		{"a child that is not there", func(t *testing.T, s *manifests) content.Manifest {
			t.Helper()
			return s.add(t, index(child, ""))
		}, content.ErrNotFound},
		{"a child of another digest", func(t *testing.T, s *manifests) content.Manifest {
			t.Helper()
			a, b := s.leaf(t, 1), s.leaf(t, 2)
			s.have[a.Digest().String()] = b
			return s.add(t, index(desc(a), ""))
		}, content.ErrCorrupt},
		{"an index that is its own child", func(t *testing.T, s *manifests) content.Manifest {
			t.Helper()
			a := s.leaf(t, 1)
			root := s.add(t, index(desc(a), ""))
			s.have[a.Digest().String()] = root
			return root
		}, content.ErrCorrupt},
		{"a child larger than stated", func(t *testing.T, s *manifests) content.Manifest {
			t.Helper()
			a := s.leaf(t, 1)
			return s.add(t, index(strings.Replace(desc(a), fmt.Sprint(a.Size()), fmt.Sprint(a.Size()-1), 1), ""))
		}, content.ErrCorrupt},
		{"a child smaller than stated", func(t *testing.T, s *manifests) content.Manifest {
			t.Helper()
			a := s.leaf(t, 1)
			return s.add(t, index(strings.Replace(desc(a), fmt.Sprint(a.Size()), fmt.Sprint(a.Size()+1), 1), ""))
		}, content.ErrCorrupt},
		{"a child stated in two sizes", func(t *testing.T, s *manifests) content.Manifest {
			t.Helper()
			a := s.leaf(t, 1)
			return s.add(t, index(desc(a)+","+strings.Replace(desc(a), fmt.Sprint(a.Size()), "1", 1), ""))
		}, content.ErrCorrupt},
		{"a child stated in two sizes on two levels", func(t *testing.T, s *manifests) content.Manifest {
			t.Helper()
			a := s.leaf(t, 1)
			inner := s.add(t, index(strings.Replace(desc(a), fmt.Sprint(a.Size()), "1", 1), ""))
			return s.add(t, index(desc(a)+","+desc(inner), ""))
		}, content.ErrCorrupt},
		{"a child of another media type", func(t *testing.T, s *manifests) content.Manifest {
			t.Helper()
			a := s.leaf(t, 1)
			return s.add(t, index(strings.Replace(desc(a), ociManifest, content.DockerManifest, 1), ""))
		}, content.ErrInvalid},
		{"an image stated as an index", func(t *testing.T, s *manifests) content.Manifest {
			t.Helper()
			a := s.leaf(t, 1)
			return s.add(t, index(strings.Replace(desc(a), ociManifest, ociIndex, 1), ""))
		}, content.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var src manifests
			root := tt.build(t, &src)
			if _, err := (content.Loader{}).Load(t.Context(), &src, root); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestLoadLeavesOutWhatIsNotKept(t *testing.T) {
	var src manifests
	a, b := src.leaf(t, 1), src.leaf(t, 2)
	root := src.add(t, index(desc(a)+","+desc(b), `,"subject":`+child))
	keep := func(parent content.Manifest, d ocispec.Descriptor) bool {
		return parent.Digest() == root.Digest() && d.Digest == b.Digest()
	}
	g, err := content.Loader{Keep: keep}.Load(t.Context(), &src, root)
	if err != nil || !slices.Equal(g.Order, []digest.Digest{b.Digest(), root.Digest()}) {
		t.Errorf("got %v, %v; want the second child and the root, and not the subject", g, err)
	}
	if src.asked[a.Digest().String()] > 0 {
		t.Error("what is not kept was read")
	}
}

func TestLoadReadsNearbyFirst(t *testing.T) {
	var src, near manifests
	root := src.fan(t, 2)
	known, liar := root.Children()[0], root.Children()[1]
	near.add(t, string(src.have[known.Digest.String()].Raw()))
	near.have[liar.Digest.String()] = near.leaf(t, 99)
	if _, err := (content.Loader{Near: &near}).Load(t.Context(), &src, root); err != nil {
		t.Fatal(err)
	}
	if n := src.asked[known.Digest.String()]; n != 0 {
		t.Errorf("the source was asked %d times for what is near", n)
	}
	if n := src.asked[liar.Digest.String()]; n != 1 {
		t.Errorf("the source was asked %d times for what is wrong near by", n)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	var src manifests
	root := src.fan(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	waiting := waits{&src, cancel}
	if _, err := (content.Loader{}).Load(ctx, waiting, root); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a cancelled context", err)
	}
}

// A waits source cancels, and then gives nothing until the context ends.
type waits struct {
	content.Source
	cancel context.CancelFunc
}

func (s waits) Manifest(ctx context.Context, _ string) (content.Manifest, error) {
	s.cancel()
	<-ctx.Done()
	return content.Manifest{}, context.Cause(ctx)
}

func (s waits) Open(context.Context, ocispec.Descriptor, content.Range) (io.ReadCloser, error) {
	return nil, content.ErrNotFound
}
