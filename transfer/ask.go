package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"unique"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// upToDate marks the targets that have the image already and reports whether
// all have. At a registry, where asking costs requests, a first name that
// stands for the root is proof enough, unless Deep wants to see every blob;
// elsewhere blobs are looked for each time. What refers to the image may have
// changed meanwhile: that is asked of the source in as few requests as it takes.
func (c *Copier) upToDate(ctx context.Context, image *ImagePlan) bool {
	all, rooted := true, false
	for _, t := range image.Targets {
		if t.Err == nil && !t.Done {
			t.rooted = c.hasRoot(image, t)
			t.Done = t.rooted
		}
		all = all && (t.Done || t.Err != nil)
		rooted = rooted || t.rooted
	}
	if !image.job.Filter.Referrers || !rooted {
		return all // who lacks the image is asked about its referrers later
	}
	same := c.sameReferrers(ctx, image)
	return all && same
}

func (c *Copier) hasRoot(image *ImagePlan, t *TargetPlan) bool {
	return t.isRegistry() && !c.Deep && !image.job.Filter.Sparse && len(t.Names) == 1 &&
		t.root.Digest == image.Root.Digest && !c.wantsMore(image, t)
}

func (t *TargetPlan) isRegistry() bool {
	_, ok := content.As[content.Originer](t.sink)
	return ok
}

// sameReferrers reports whether nothing has changed about what refers to the
// image since it was last copied to all its targets. Where something may have,
// targets are done no longer.
func (c *Copier) sameReferrers(ctx context.Context, image *ImagePlan) bool {
	if image.Root.Digest != image.Source.Digest {
		return c.reopen(image)
	}
	c.watch(ctx, image)
	if !image.watched {
		return c.reopen(image)
	}
	for _, t := range image.Targets {
		if image.state != "" && t.rooted && !c.knows(image, t) {
			return c.reopen(image)
		}
	}
	return true
}

// watch finds out, once, in what state what refers to the image is at the
// source. A source that cannot tell is asked for everything later.
func (c *Copier) watch(ctx context.Context, image *ImagePlan) {
	watcher, ok := content.As[content.ReferrerWatcher](image.job.Src)
	if !ok || image.watched {
		return
	}
	state, err := watcher.ReferrersState(ctx, image.Source.Digest)
	image.state, image.watched = state, err == nil
}

// reopen takes back that targets are done, names left alone aside.
func (c *Copier) reopen(image *ImagePlan) bool {
	done := true
	for _, t := range image.Targets {
		t.Done = t.Done && len(t.Names) == 0
		done = done && (t.Done || t.Err != nil)
	}
	return done
}

func (c *Copier) knows(image *ImagePlan, t *TargetPlan) bool {
	if c.Facts == nil {
		return false
	}
	state, known := c.Facts.Fact(factKey("referrers", image, t))
	return known && state == image.state
}

// remember saves, after all of image is at t, what referred to it, and whether
// some of it was left out on purpose.
func (c *Copier) remember(image *ImagePlan, t *TargetPlan) {
	if !t.isRegistry() || c.Facts == nil {
		return
	}
	if image.state != "" && image.job.Filter.Referrers {
		c.Facts.Remember(factKey("referrers", image, t), image.state)
	}
	left := image.leftOut()
	if left != leftNothing || c.left(image, t) != leftNothing {
		c.Facts.Remember(factKey("left out", image, t), left)
	}
}

// What a copy left out on purpose.
const (
	leftNothing  = ""
	leftChildren = "children"
	leftForeign  = "foreign layers"        // all
	leftAbsent   = "absent foreign layers" // that the source did not have
)

func (image *ImagePlan) leftOut() string {
	switch {
	case image.job.Filter.Sparse:
		return leftChildren
	case image.LeftOut == 0:
		return leftNothing
	case image.job.Filter.Foreign == ForeignSkip:
		return leftForeign
	}
	return leftAbsent
}

// left returns what earlier copies of image to t left out.
func (c *Copier) left(image *ImagePlan, t *TargetPlan) string {
	if c.Facts == nil {
		return leftNothing
	}
	value, _ := c.Facts.Fact(factKey("left out", image, t))
	return value
}

// wantsMore reports whether an earlier copy of image to t left something out
// that this one is to bring: there the root proves nothing.
func (c *Copier) wantsMore(image *ImagePlan, t *TargetPlan) bool {
	switch c.left(image, t) {
	case leftChildren:
		return true
	case leftForeign:
		return image.job.Filter.Foreign != ForeignSkip
	case leftAbsent:
		return image.job.Filter.Foreign == ForeignFetch
	}
	return false
}

func factKey(what string, image *ImagePlan, t *TargetPlan) string {
	var host, repository string
	if origin, ok := content.As[content.Originer](t.sink); ok {
		host, repository = origin.Origin()
	}
	sum := sha256.Sum256([]byte(host + "\x00" + repository + "\x00" + image.Root.Digest.String()))
	return what + " " + hex.EncodeToString(sum[:])
}

// load reads the image's manifests and what refers to it.
func (c *Copier) load(ctx context.Context, image *ImagePlan, root content.Manifest) error {
	loader := content.Loader{Jobs: askJobs, Limits: c.Limits, Near: image.near()}
	if image.job.Filter.Sparse {
		loader.Keep = image.job.Filter.keepSparse()
	}
	seen := newCensus()
	if image.job.Filter.Sparse && image.job.Filter.Here {
		loader.Keep = keepHere(ctx, image.src, seen, loader.Keep)
	}
	graph, err := loader.Load(ctx, image.src, root)
	if err != nil {
		return err
	}
	if image.job.Filter.Sparse {
		image.count(seen)
	}
	image.graph, image.Manifests = graph, len(graph.Order)
	if image.job.Filter.Referrers {
		if c.Facts != nil && slices.ContainsFunc(image.Targets, (*TargetPlan).isRegistry) {
			c.watch(ctx, image)
		}
		found, err := c.findExtras(ctx, image)
		if err != nil {
			return err
		}
		image.extras = found
		for _, e := range found {
			image.Referrers += len(e.graph.Order)
		}
	}
	for _, g := range image.graphs() {
		for _, d := range g.Order {
			if err := g.Manifests[d].Ambiguous(); err != nil {
				return err
			}
		}
	}
	return nil
}

// graphs returns the image's graph and those of what refers to it.
func (image *ImagePlan) graphs() []*content.Graph {
	graphs := []*content.Graph{image.graph}
	for _, e := range image.extras {
		graphs = append(graphs, e.graph)
	}
	return graphs
}

// near returns the destination that holds some version of the image, where
// manifests cost the source nothing. Only a registry is spared like that.
func (image *ImagePlan) near() content.Source {
	if _, costly := content.As[content.Originer](image.job.Src); !costly {
		return nil
	}
	for _, t := range image.Targets {
		if t.root.Digest == "" || t.Err != nil {
			continue
		}
		if src, ok := content.As[content.Source](t.sink); ok {
			return src
		}
	}
	return nil
}

// putAside gives the manifests to the spool: the plan refers to them from here on.
func (image *ImagePlan) putAside() {
	aside := func(g *content.Graph) []node {
		nodes := make([]node, 0, len(g.Order))
		for _, d := range g.Order {
			nodes = append(nodes, image.spool.keep(g.Manifests[d]))
		}
		return nodes
	}
	image.body = aside(image.graph)
	for i, e := range image.extras {
		image.extras[i] = extra{body: aside(e.graph), tag: e.tag}
	}
	image.graph, image.src = nil, nil
}

// askTargets finds out which of blobs each target lacks; the first own of them
// are the image's, the others those of what refers to it.
func (c *Copier) askTargets(ctx context.Context, image *ImagePlan, blobs []ocispec.Descriptor, own int) {
	var wg sync.WaitGroup
	for _, t := range image.Targets {
		if t.Done || t.Err != nil {
			continue
		}
		if !c.Deep && image.retags(t) {
			t.retags, t.Present = true, len(blobs)
			continue
		}
		wanted := blobs
		if t.rooted {
			wanted = blobs[own:]
		}
		wg.Go(func() { t.Err = t.ask(ctx, wanted) })
	}
	wg.Wait()
}

// retags reports whether t is the repository that the image comes from.
func (image *ImagePlan) retags(t *TargetPlan) bool {
	src, ok := content.As[content.Originer](image.job.Src)
	if !ok || !t.isRegistry() || image.Root.Digest != image.Source.Digest {
		return false
	}
	dst, _ := content.As[content.Originer](t.sink)
	srcHost, srcRepository := src.Origin()
	dstHost, dstRepository := dst.Origin()
	return srcHost == dstHost && srcRepository == dstRepository
}

func (t *TargetPlan) ask(ctx context.Context, blobs []ocispec.Descriptor) error {
	has := make([]bool, len(blobs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(askJobs)
	for i, d := range blobs {
		g.Go(func() (err error) {
			has[i], err = t.sink.Has(ctx, d)
			return at(Dst, OpAsk, d, err)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, d := range blobs {
		if has[i] {
			t.Present++
			continue
		}
		t.Missing = append(t.Missing, d)
	}
	t.Missing = slices.Clip(t.Missing)
	return nil
}

// wantedBlobs lists every blob of the image and of what refers to it, each
// once, in the order of the graphs, without the foreign layers that stay
// behind. The first own of them are the image's.
func (image *ImagePlan) wantedBlobs(ctx context.Context) (blobs []ocispec.Descriptor, own int, err error) {
	normal := image.normalBlobs()
	seen := sizes{}
	for i, g := range image.graphs() {
		for _, d := range g.Blobs() {
			fresh, err := seen.add(d)
			if err != nil {
				return nil, 0, err
			}
			if !fresh {
				continue
			}
			if usual, ok := normal[d.Digest]; ok {
				blobs = append(blobs, bare(usual))
				continue
			}
			keep, err := image.keepsBlob(ctx, d)
			if err != nil {
				return nil, 0, err
			}
			if !keep {
				image.LeftOut++
				continue
			}
			blobs = append(blobs, bare(d))
		}
		if i == 0 {
			own = len(blobs)
		}
	}
	return blobs, own, nil
}

// bare returns d with what moving it takes. What else a manifest says of a blob may
// be long, and stays there.
func bare(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: unique.Make(d.MediaType).Value(), Digest: d.Digest, Size: d.Size, URLs: d.URLs}
}

// sizes are those of the blobs that were seen. A blob has one.
type sizes map[digest.Digest]int64

func (s sizes) add(d ocispec.Descriptor) (fresh bool, err error) {
	size, known := s[d.Digest]
	if known && size != d.Size {
		return false, &content.MismatchError{Want: d, Size: size}
	}
	s[d.Digest] = d.Size
	return !known, nil
}

// normalBlobs returns the blobs that some manifest names as what they are. One
// that is a foreign layer elsewhere in the image has to come along all the same.
func (image *ImagePlan) normalBlobs() map[digest.Digest]ocispec.Descriptor {
	normal := map[digest.Digest]ocispec.Descriptor{}
	for _, g := range image.graphs() {
		for _, m := range g.Order {
			for _, d := range g.Manifests[m].Blobs() {
				if _, known := normal[d.Digest]; !known && !content.IsForeign(d.MediaType) {
					normal[d.Digest] = d
				}
			}
		}
	}
	return normal
}

// keepsBlob applies the policy to foreign layer d. Whether the source has one
// is found out by asking for its first byte.
func (image *ImagePlan) keepsBlob(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	switch image.job.Filter.Foreign {
	case ForeignFetch:
		return true, nil
	case ForeignSkip:
		return false, nil
	case ForeignAuto:
	}
	rc, err := image.job.Src.Open(ctx, d, content.Range{Len: min(1, d.Size)})
	if content.IsMissing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, rc.Close()
}
