package image

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/installed"
)

// A Side is one of two images that are compared.
type Side struct {
	Source   content.Source
	Manifest content.Manifest // of a single image
}

// CompareOptions say how images are compared. The zero CompareOptions work.
type CompareOptions struct {
	// Full reads layers that both images have, too, where what is in them is not
	// known: nothing is left unsettled then.
	Full bool

	// Semantic leaves out when things were made, and the order of what has none.
	Semantic bool

	// Parts are what is compared; 0 is all of it.
	Parts Parts

	// Paths are the files, and folders with what is in them, that are compared; none is
	// all. Links on the way to one are followed in each image, and it itself where it is
	// one is compared beside what it leads to. One that neither image has is an error,
	// [content.ErrNotFound].
	Paths []string

	// Patch asks for the text of small files that differ: it is read from their layers.
	Patch bool
}

// Parts are parts of images, as a set.
type Parts uint8

// The parts of images.
const (
	PartSettings Parts = 1 << iota
	PartFiles
	PartPackages
)

// has reports whether p is asked for.
func (o CompareOptions) has(p Parts) bool { return o.Parts == 0 || o.Parts&p != 0 }

func (o CompareOptions) strictness() strictness {
	if o.Semantic {
		return semantic
	}
	return literal
}

// A Comparison is how image B differs from image A.
type Comparison struct {
	A, B Compared

	// Layers are those of both, the lowest first.
	Layers []LayerPair

	Settings []SettingChange
	Files    []FileChange // by path
	Packages []PackageChange

	// Unread are layers which both images have, and which were not read, although
	// what is in them would settle something.
	Unread []ocispec.Descriptor

	// Unlisted are files that say which packages are installed, differ, and could not be
	// compared, and why.
	Unlisted []UnlistedPackages

	// Unsought are those Paths of which nobody knows whether the images have them: layers
	// that both have would tell, and were not read.
	Unsought []string
}

// Same reports whether nothing that was compared differs. The digests of the
// images may differ still: compression, and how a config is written, make no image
// another one.
func (c *Comparison) Same() bool {
	return len(c.Settings) == 0 && len(c.Files) == 0 && len(c.Packages) == 0
}

// A Compared is one of the two images.
type Compared struct {
	Digest digest.Digest
	Layers int
	Size   int64 // of the layers, as they are stored, in bytes
}

// A LayerPair is a layer of one image, or the same layer of both. It is the same
// one where the diff IDs are: it may be compressed in two ways.
type LayerPair struct{ A, B ocispec.Descriptor } // zero where that image does not have it

// Shared reports whether both images have the layer.
func (p LayerPair) Shared() bool { return p.A.Digest != "" && p.B.Digest != "" }

// Compare compares image b with image a. Their configs are read, and of the layers
// those that only one of them has. What a layer has that both images have is taken
// from the cache; where it is not there, and not asked for, what would take it to know
// is left unsettled, see [FileChange].
//
// Images of one digest are the same, and nothing is read of them, where Paths are none. The classes of
// errors are those of [Reader.Tree].
func (r Reader) Compare(ctx context.Context, a, b Side, o CompareOptions) (*Comparison, error) {
	if a.Manifest.Digest() == b.Manifest.Digest() && len(o.Paths) == 0 {
		return compareOne(a.Manifest)
	}
	c := &comparer{Reader: r, o: o, sides: [2]*side{{Side: a}, {Side: b}}, listed: new(atomic.Int64), kept: &keptFiles{}}
	if err := c.readConfigs(ctx); err != nil {
		return nil, err
	}
	c.pairs = alignLayers(c.sides[0].layers, c.sides[1].layers)
	result := &Comparison{A: c.sides[0].compared(), B: c.sides[1].compared()}
	for _, p := range c.pairs {
		result.Layers = append(result.Layers, p.shown(c.sides))
	}
	if o.has(PartSettings) {
		result.Settings = compareConfigs(c.sides[0].config, c.sides[1].config, o.strictness())
	}
	differ := slices.ContainsFunc(result.Layers, func(p LayerPair) bool { return !p.Shared() })
	if !o.has(PartFiles|PartPackages) || !differ && len(o.Paths) == 0 {
		return result, nil
	}
	return result, c.compareLayers(ctx, result)
}

// compareOne compares an image with itself.
func compareOne(m content.Manifest) (*Comparison, error) {
	if _, err := configOf(m); err != nil {
		return nil, err
	}
	s := &side{Side: Side{Manifest: m}}
	result := &Comparison{}
	for _, d := range m.Layers() {
		s.layers = append(s.layers, layer{Descriptor: d})
		result.Layers = append(result.Layers, LayerPair{d, d})
	}
	result.A, result.B = s.compared(), s.compared()
	return result, nil
}

// A side is an image as far as it was read.
type side struct {
	Side

	config configFile
	layers []layer
	known  []*Contents // of each layer; nil where they are not known
	view   view
}

func (s *side) compared() Compared {
	c := Compared{Digest: s.Manifest.Digest(), Layers: len(s.layers)}
	for _, l := range s.layers {
		c.Size += l.Size
	}
	return c
}

// A comparer compares two images.
type comparer struct {
	Reader

	o      CompareOptions
	paths  []string // of o, and where they lead to
	sides  [2]*side
	pairs  []layerPair
	listed *atomic.Int64
	kept   *keptFiles
}

// readConfigs reads both configs; one where both images have it.
func (c *comparer) readConfigs(ctx context.Context) error {
	var raws [2][]byte
	d, err := configOf(c.sides[0].Manifest)
	if err != nil {
		return err
	}
	other, err := configOf(c.sides[1].Manifest)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for i, s := range c.sides {
		if i == 1 && d.Digest == other.Digest {
			break
		}
		g.Go(func() (err error) {
			raws[i], err = content.ReadConfig(gctx, s.Source, s.Manifest, content.Limits{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if raws[1] == nil {
		raws[1] = raws[0]
	}
	for i, s := range c.sides {
		d, _ := configOf(s.Manifest)
		if s.config, err = parseConfig(raws[i]); err != nil {
			return fmt.Errorf("config %s: %w", d.Digest, err)
		}
		if s.layers, err = s.config.layers(s.Manifest); err != nil {
			return err
		}
		s.known = make([]*Contents, len(s.layers))
	}
	return nil
}

// compareLayers compares what is in the layers.
func (c *comparer) compareLayers(ctx context.Context, result *Comparison) error {
	c.recall()
	if err := c.readLayers(ctx, c.wanted()); err != nil {
		return err
	}
	for _, p := range c.pairs {
		if p.shared() && c.sides[0].known[p.at[0]] == nil {
			result.Unread = append(result.Unread, c.sides[0].layers[p.at[0]].Descriptor)
		}
	}
	if err := c.look(); err != nil {
		return err
	}
	c.paths = c.reach()
	var err error
	if c.o.has(PartFiles) {
		if result.Unsought, err = c.seek(); err != nil {
			return err
		}
		result.Files = c.compareFiles()
	}
	if c.o.has(PartPackages) {
		result.Packages, result.Unlisted, err = c.comparePackages(ctx)
	}
	if err == nil && c.o.Patch {
		err = c.patch(ctx, result.Files)
	}
	unsettled := slices.ContainsFunc(result.Files, func(f FileChange) bool { return f.Unsettled }) ||
		slices.ContainsFunc(result.Unlisted, func(u UnlistedPackages) bool { return u.Err == nil })
	if !unsettled {
		result.Unread = nil
	}
	return err
}

// recall takes from the cache what shared layers have, where it has that: nothing
// is read for it.
func (c *comparer) recall() {
	for _, p := range c.pairs {
		if !p.shared() {
			continue
		}
		for side, at := range p.at {
			l := c.sides[side].layers[at]
			known := c.load(l.Digest, "")
			if carried, ok := tableOf(l.Descriptor); known == nil && ok && !c.Whole {
				known = c.load(l.Digest, carried.digest)
			}
			if known != nil && l.check(known) == nil && count(c.listed, int64(known.Len())) == nil {
				c.know(p, known)
				break
			}
		}
	}
}

// know notes what the layer of a pair has.
func (c *comparer) know(p layerPair, contents *Contents) {
	for side, at := range p.at {
		if at >= 0 {
			c.sides[side].known[at] = contents
		}
	}
}

// wanted returns the pairs whose layer is to be read.
func (c *comparer) wanted() []layerPair {
	return slices.DeleteFunc(slices.Clone(c.pairs), func(p layerPair) bool {
		side, at := p.any()
		return c.sides[side].known[at] != nil || p.shared() && !c.o.Full
	})
}

// readLayers reads layers, each once, and keeps the files that say which packages
// are installed on the way.
func (c *comparer) readLayers(ctx context.Context, pairs []layerPair) error {
	jobs := c.Jobs
	if jobs == 0 {
		jobs = 4
	}
	all := make([]*Contents, len(pairs))
	first := map[digest.Digest]int{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i, p := range pairs {
		side, at := p.any()
		l, src := c.sides[side].layers[at], c.sides[side].Source
		if _, twice := first[l.Digest]; twice {
			continue
		}
		first[l.Digest] = i
		g.Go(func() (err error) {
			if all[i], err = c.readLayer(gctx, src, l.Descriptor); err != nil {
				return fmt.Errorf("layer %s: %w", l.Digest, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, p := range pairs {
		side, at := p.any()
		l := c.sides[side].layers[at]
		contents := all[first[l.Digest]]
		if err := l.check(contents); err != nil {
			return fmt.Errorf("layer %s: %w", l.Digest, err)
		}
		c.know(p, contents)
	}
	return nil
}

func (c *comparer) readLayer(ctx context.Context, src content.Source, d ocispec.Descriptor) (*Contents, error) {
	contents, err := c.known(ctx, src, d, c.listed)
	if contents != nil || err != nil {
		return contents, err
	}
	caught := newCatch(c.kept, func(e *Entry) bool {
		m, ok := installed.Of(e.Path)
		return ok && installed.CanRead(m) && c.o.has(PartPackages)
	})
	if contents, err = c.whole(ctx, src, d, c.listed, capture{take: caught.take}); err != nil {
		return nil, err
	}
	c.kept.add(contents, caught)
	c.rememberPackages(contents)
	return contents, nil
}
