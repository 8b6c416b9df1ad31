package content

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// A Graph is a root manifest and the manifests below it, each once.
type Graph struct {
	Root      digest.Digest
	Order     []digest.Digest // every child before the indexes that have it; Root is last
	Manifests map[digest.Digest]Manifest
}

// Blobs returns every config and layer of the graph, each once, in order.
func (g *Graph) Blobs() []ocispec.Descriptor {
	var blobs []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	for _, d := range g.Order {
		for _, b := range g.Manifests[d].Blobs() {
			if !seen[b.Digest] {
				seen[b.Digest] = true
				blobs = append(blobs, b)
			}
		}
	}
	return blobs
}

// Below returns the graph of d alone, a manifest of g: itself and what is below
// it. It shares the manifests of g.
func (g *Graph) Below(d digest.Digest) *Graph {
	below := &Graph{Root: d, Manifests: g.Manifests}
	below.sort()
	return below
}

// A Loader loads graphs. The zero Loader works.
type Loader struct {
	Jobs   int // manifests read at once; 0 means 8
	Limits Limits

	// Keep says which children of an index are followed; nil keeps all. What is
	// not kept is not in the graph.
	Keep func(parent Manifest, child ocispec.Descriptor) bool

	// Near is asked for a child before the source is: a place where reading is
	// cheaper. It may be nil; an error from it is as good as a miss.
	Near Source
}

// Load reads the manifests below root from src, level by level. A child that
// is not what its parent says is [ErrCorrupt], one that is missing is
// [ErrNotFound], and too many or too deep ones are [ErrInvalid].
func (l Loader) Load(ctx context.Context, src Source, root Manifest) (*Graph, error) {
	limits := l.Limits.Effective()
	g := &Graph{Root: root.Digest(), Manifests: map[digest.Digest]Manifest{root.Digest(): root}}
	level := []Manifest{root}
	for depth := 0; len(level) > 0; depth++ {
		wanted, err := l.wanted(g, level)
		if err != nil {
			return nil, err
		}
		if len(wanted) > 0 && depth == limits.Depth {
			return nil, fmt.Errorf("index %s: indexes are nested more than %d deep: %w", g.Root, limits.Depth, ErrInvalid)
		}
		if err := g.admit(wanted, limits); err != nil {
			return nil, err
		}
		level, err = l.fetch(ctx, src, wanted)
		if err != nil {
			return nil, err
		}
		for _, m := range level {
			g.Manifests[m.Digest()] = m
		}
	}
	g.sort()
	return g, g.checkSizes()
}

// admit reports whether the graph may grow by wanted. Sizes are as stated; what
// is not of its stated size is refused when it is read.
func (g *Graph) admit(wanted []ocispec.Descriptor, limits Limits) error {
	if len(g.Manifests)+len(wanted) > limits.Nodes {
		return fmt.Errorf("index %s: more than %d manifests: %w", g.Root, limits.Nodes, ErrInvalid)
	}
	room := limits.GraphSize
	for _, m := range g.Manifests {
		room -= m.Size()
	}
	for _, d := range wanted {
		if room -= d.Size; room < 0 {
			return fmt.Errorf("index %s: its manifests have more than %d bytes: %w", g.Root, limits.GraphSize, ErrInvalid)
		}
	}
	return nil
}

// wanted lists the kept children of level that the graph does not have yet, each
// once. Two parents that state different things of one child are found out here:
// one of them lies.
func (l Loader) wanted(g *Graph, level []Manifest) ([]ocispec.Descriptor, error) {
	var wanted []ocispec.Descriptor
	sizes := map[digest.Digest]int64{}
	for d := range l.kept(level) {
		if have, ok := g.Manifests[d.Digest]; ok {
			if err := CheckChild(have, d); err != nil {
				return nil, err
			}
			continue
		}
		size, twice := sizes[d.Digest]
		if twice && size != d.Size {
			return nil, &MismatchError{Want: d, Size: size}
		}
		if !twice {
			sizes[d.Digest] = d.Size
			wanted = append(wanted, d)
		}
	}
	return wanted, nil
}

// kept yields the children of level that Keep keeps. There may be a great many:
// no list of them is made.
func (l Loader) kept(level []Manifest) iter.Seq[ocispec.Descriptor] {
	return func(yield func(ocispec.Descriptor) bool) {
		for _, m := range level {
			for _, e := range m.edges {
				if e.Role != RoleChild || l.Keep != nil && !l.Keep(m, e.Descriptor) {
					continue
				}
				if !yield(e.Descriptor) {
					return
				}
			}
		}
	}
}

func (l Loader) fetch(ctx context.Context, src Source, wanted []ocispec.Descriptor) ([]Manifest, error) {
	var mu sync.Mutex
	got := make([]Manifest, 0, len(wanted))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, bound(l.Jobs, 8)))
	for _, d := range wanted {
		g.Go(func() error {
			m, err := l.child(ctx, src, d)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, m)
			return nil
		})
	}
	err := g.Wait()
	return got, err
}

// child reads the manifest that d names, near by if it is there.
func (l Loader) child(ctx context.Context, src Source, d ocispec.Descriptor) (Manifest, error) {
	if l.Near != nil {
		m, err := l.Near.Manifest(ctx, d.Digest.String())
		if err == nil && CheckChild(m, d) == nil {
			return m, nil
		}
	}
	m, err := src.Manifest(ctx, d.Digest.String())
	if err != nil {
		return Manifest{}, err
	}
	return m, CheckChild(m, d)
}

// CheckChild reports whether m is the manifest that descriptor d of an index
// names: digest, size and media type.
func CheckChild(m Manifest, d ocispec.Descriptor) error {
	if m.Digest() != d.Digest || m.Size() != d.Size {
		return &MismatchError{Want: d, Got: m.Digest(), Size: m.Size()}
	}
	if !isGeneric(d.MediaType) && d.MediaType != m.MediaType() {
		return fmt.Errorf("manifest %s: ambiguous: its index says %q, it is %q: %w", d.Digest, clip(d.MediaType), clip(m.MediaType()), ErrInvalid)
	}
	return nil
}

// checkSizes reports a blob that two places of the graph give different sizes.
func (g *Graph) checkSizes() error {
	size := map[digest.Digest]int64{}
	for _, m := range g.Order {
		for _, d := range g.Manifests[m].Blobs() {
			if s, ok := size[d.Digest]; ok && s != d.Size {
				return &MismatchError{Want: d, Size: s}
			}
			size[d.Digest] = d.Size
		}
	}
	return nil
}

// sort fills Order: depth first, children in the order of their index.
func (g *Graph) sort() {
	seen := map[digest.Digest]bool{}
	var visit func(d digest.Digest)
	visit = func(d digest.Digest) {
		m, ok := g.Manifests[d]
		if !ok || seen[d] {
			return
		}
		seen[d] = true
		for _, child := range m.Children() {
			visit(child.Digest)
		}
		g.Order = append(g.Order, d)
	}
	visit(g.Root)
}

// IsMissing reports whether err says that something is not there, or that the
// place cannot have such things at all.
func IsMissing(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, errors.ErrUnsupported)
}
