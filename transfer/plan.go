package transfer

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A Plan is what a run will do. It holds its ends, and can be printed. It refers
// to manifests by digest and has them put aside: what it takes of memory is no
// matter of how large they are.
type Plan struct {
	Images []*ImagePlan

	spool *spool
}

// Close gives up the file with what the plan has put aside, if there is one. A plan
// that is closed can be printed, and not run.
func (p *Plan) Close() error {
	if p.spool == nil {
		return nil
	}
	return p.spool.Close()
}

// An ImagePlan is what will happen to one image.
type ImagePlan struct {
	Name      string
	Source    ocispec.Descriptor // what the job's ref stands for
	Root      ocispec.Descriptor // what will be written; another digest than Source where a filter rewrites the index
	Manifests int                // manifests of the image, without what refers to it
	Referrers int                // manifests that come along because they refer to it
	LeftOut   int                // foreign layers that are not copied
	Orphaned  int                // referrers of the original index, which does not exist at the destination once it is rewritten
	Unmatched []content.Platform // asked for, while the image has others only; a sparse plan does not look into nested indexes
	Offered   int                // images that its indexes name, attestations aside, where the filter takes what is here
	Absent    int                // those of them that the source does not have
	Targets   []*TargetPlan
	Err       error // why the image cannot be copied at all

	job    Job
	spool  *spool
	body   []node // the manifests of the image: children before the indexes that have them
	extras []extra

	// Only while it is planned:
	src   content.Source // manifests are read here: job.Src with a memory and what a filter made
	graph *content.Graph

	state   string // of what refers to the image at the source, to be remembered when all is done
	watched bool   // state is known
}

// Digests yields the manifests of the image and of what comes along with it; none
// where the destinations were found to have it all.
func (image *ImagePlan) Digests() iter.Seq[digest.Digest] {
	return func(yield func(digest.Digest) bool) {
		for _, nodes := range image.bodies() {
			for _, n := range nodes {
				if !yield(n.digest) {
					return
				}
			}
		}
	}
}

// bodies returns the manifests of the image and of what refers to it.
func (image *ImagePlan) bodies() [][]node {
	bodies := [][]node{image.body}
	for _, e := range image.extras {
		bodies = append(bodies, e.body)
	}
	return bodies
}

// A TargetPlan is what will happen at one destination of an image.
type TargetPlan struct {
	Name    string
	Names   []string             // names that will be written
	Kept    []string             // names that exist and are left alone
	Missing []ocispec.Descriptor // blobs to be moved or mounted
	Present int                  // blobs that are there
	Done    bool                 // the destination has it all: nothing is read, nothing is written
	Err     error                // why nothing can be written here

	sink      content.Sink
	root      ocispec.Descriptor // what the first name stands for now; zero when that is not known
	keepNames bool

	// retags is set where the image goes to the repository it comes from, as it
	// is: all it is made of is there, and only its name is written.
	retags bool

	// rooted is set where the registry has the whole image under its name and
	// only what refers to it may be missing.
	rooted bool
}

// Bytes returns the number of bytes of blobs that the plan moves, each blob
// once per destination.
func (p *Plan) Bytes() int64 {
	type place struct {
		sink   content.Sink
		digest string
	}
	var sum int64
	seen := map[place]bool{}
	for _, image := range p.Images {
		for _, t := range image.Targets {
			if t.Err != nil {
				continue
			}
			for _, d := range t.Missing {
				at := place{t.sink, d.Digest.String()}
				if !seen[at] {
					seen[at] = true
					sum += d.Size
				}
			}
		}
	}
	return sum
}

// Forecast returns the result of a run in which nothing else fails and every
// blob that is missing is moved: a plan does not know what will be mounted, and
// of images that share a destination each counts what it misses.
func (p *Plan) Forecast() *Result {
	r := &Result{}
	for _, image := range p.Images {
		res := image.result()
		for i, t := range image.Targets {
			if res.Targets[i].Err != nil || res.Err != nil {
				continue
			}
			res.Targets[i].Stored = len(t.Missing)
			for _, d := range t.Missing {
				res.Targets[i].Bytes += d.Size
			}
		}
		r.Images = append(r.Images, res)
	}
	return r
}

// result returns what is known of the result before anything is moved.
func (image *ImagePlan) result() *ImageResult {
	res := &ImageResult{
		Name: image.Name, Source: image.Source, Root: image.Root, Err: image.Err,
		Referrers: image.Referrers, LeftOut: image.LeftOut, Orphaned: image.Orphaned,
		Unmatched: image.Unmatched,
	}
	for _, t := range image.Targets {
		names := t.Names
		if (image.Err != nil || t.Err != nil) && !t.Done {
			names = nil
		}
		res.Targets = append(res.Targets, &TargetResult{Name: t.Name, Names: names, Kept: t.Kept, UpToDate: t.Done, Existed: t.Present, Err: t.Err})
	}
	return res
}

// Plan finds out what jobs need. An image that cannot be planned has its reason
// in its ImagePlan and leaves the others alone; the error is about ctx only. Where a
// disk has no room for all that goes there nothing is planned for it, which is
// [content.ErrNoSpace] of each target there.
func (c *Copier) Plan(ctx context.Context, jobs ...Job) (*Plan, error) {
	p := &Plan{Images: make([]*ImagePlan, len(jobs)), spool: newSpool(c.Limits, c.Spool)}
	known := &library{spool: p.spool, of: map[content.Source]*shelf{}}
	each(len(jobs), askJobs, func(i int) {
		if err := jobs[i].check(); err != nil {
			p.Images[i] = &ImagePlan{Name: jobs[i].Name, job: jobs[i], Err: err}
			return
		}
		p.Images[i] = &ImagePlan{Name: jobs[i].Name, job: jobs[i], spool: p.spool, src: known.at(jobs[i].Src)}
		c.planImage(ctx, p.Images[i])
	})
	if ctx.Err() != nil {
		return nil, errors.Join(context.Cause(ctx), p.Close())
	}
	p.checkRoom()
	return p, nil
}

// check refuses ends that cannot be told apart by ==, as a run does.
func (j Job) check() error {
	ends := []any{j.Src}
	for _, t := range j.Dst {
		ends = append(ends, t.Sink)
	}
	for _, end := range ends {
		if end == nil || !reflect.ValueOf(end).Comparable() {
			return invalidf("a %T is no end of a copy: it has to be a pointer, or comparable", end)
		}
	}
	return nil
}

// each calls do for 0 to n-1, most of them at a time.
func each(n, most int, do func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, most)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}

func (c *Copier) planImage(ctx context.Context, image *ImagePlan) {
	for _, t := range image.job.Dst {
		image.Targets = append(image.Targets, &TargetPlan{Name: t.Name, Names: t.Names, sink: t.Sink})
	}
	if err := c.fillImage(ctx, image); err != nil {
		image.Err = interrupted(ctx, err)
	}
	image.src, image.graph = nil, nil
}

// fillImage goes from what costs least to what costs most, and stops as soon
// as the destinations are known to have it all.
func (c *Copier) fillImage(ctx context.Context, image *ImagePlan) error {
	root, err := c.resolveEnds(ctx, image)
	if err != nil {
		return err
	}
	filtered := image.job.Filter.narrows()
	if !filtered && c.upToDate(ctx, image) {
		return nil
	}
	// The manifests are in memory from here on, until they have been put aside.
	leave, err := image.spool.enter(ctx, image.Source.Size)
	if err != nil {
		return err
	}
	defer leave()
	if root.IsZero() {
		root, err = image.readRoot(ctx)
		if err != nil {
			return at(Src, OpRead, ocispec.Descriptor{}, err)
		}
	}
	image.Source = root.Descriptor()
	if root, err = c.filter(ctx, image, root); err != nil {
		return at(Src, OpFilter, image.Source, err)
	}
	image.Root = root.Descriptor()
	if filtered && c.upToDate(ctx, image) {
		return nil
	}
	if err := c.load(ctx, image, root); err != nil {
		return at(Src, OpLoad, image.Source, err)
	}
	blobs, own, err := image.wantedBlobs(ctx)
	if err != nil {
		return at(Src, OpOpen, image.Source, err)
	}
	image.putAside()
	leave()
	c.askTargets(ctx, image, blobs, own)
	return nil
}

// readRoot reads the image's manifest.
func (image *ImagePlan) readRoot(ctx context.Context) (content.Manifest, error) {
	if m, ok := image.nearby(ctx, image.Source.Digest); ok && content.CheckChild(m, image.Source) == nil {
		return m, nil
	}
	return image.src.Manifest(ctx, image.sourceRef())
}

// nearby returns manifest d where reading it costs the source nothing.
func (image *ImagePlan) nearby(ctx context.Context, d digest.Digest) (content.Manifest, bool) {
	near := image.near()
	if near == nil || d == "" {
		return content.Manifest{}, false
	}
	m, err := near.Manifest(ctx, d.String())
	return m, err == nil && m.Digest() == d
}

// sourceRef returns the digest once it is known, so that a tag that moves
// meanwhile cannot mix two images.
func (image *ImagePlan) sourceRef() string {
	if image.Source.Digest != "" {
		return image.Source.Digest.String()
	}
	return image.job.Ref
}

// resolveEnds looks up the image at the source and its names at the
// destinations, all at once. A source that cannot resolve is read.
func (c *Copier) resolveEnds(ctx context.Context, image *ImagePlan) (content.Manifest, error) {
	var root content.Manifest
	var srcErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		resolver, ok := content.As[content.Resolver](image.job.Src)
		if ok {
			image.Source, srcErr = resolver.Resolve(ctx, image.job.Ref)
			if !content.IsMissing(srcErr) {
				return
			}
			// Some registries do not find by HEAD what they give by GET.
		}
		root, srcErr = image.src.Manifest(ctx, image.job.Ref)
		image.Source = root.Descriptor()
	})
	for i, t := range image.Targets {
		wg.Go(func() { t.Err = t.resolve(ctx, image.job.Dst[i]) })
	}
	wg.Wait()
	image.Root = image.Source
	return root, at(Src, OpResolve, ocispec.Descriptor{}, srcErr)
}

// resolve finds what the target's names stand for now.
func (t *TargetPlan) resolve(ctx context.Context, to Target) error {
	t.keepNames = to.KeepNames
	names := to.Names
	if !t.keepNames {
		names = names[:min(1, len(names))]
	}
	for i, name := range names {
		d, err := t.holder(ctx, name)
		switch {
		case content.IsMissing(err), t.mends(err), errors.Is(err, content.ErrHidden) && !t.keepNames:
			continue
		case err != nil:
			return at(Dst, OpResolve, ocispec.Descriptor{}, err)
		}
		if i == 0 {
			t.root = d
		}
		if t.keepNames {
			t.keep(name)
		}
	}
	return nil
}

// mends reports whether err is about a manifest on a disk whose bytes went bad,
// which writing it again mends. A name that must be kept is not taken from it.
func (t *TargetPlan) mends(err error) bool {
	wrong, ok := errors.AsType[*content.MismatchError](err)
	return ok && !t.isRegistry() && !t.keepNames && wrong.Got != "" && wrong.Got != wrong.Want.Digest
}

// holder returns what name stands for at the target. A name that must be kept
// is asked for twice rather than lost: some registries do not find by HEAD what
// they give by GET.
func (t *TargetPlan) holder(ctx context.Context, name string) (ocispec.Descriptor, error) {
	keeper, keeps := content.As[content.NameKeeper](t.sink)
	if t.keepNames && keeps {
		return keeper.Holder(ctx, name)
	}
	resolver, ok := content.As[content.Resolver](t.sink)
	if !ok {
		return ocispec.Descriptor{}, content.ErrNotFound
	}
	d, err := resolver.Resolve(ctx, name)
	src, reads := content.As[content.Source](t.sink)
	if !t.keepNames || !reads || !content.IsMissing(err) {
		return d, err
	}
	m, err := src.Manifest(ctx, name)
	return m.Descriptor(), err
}

// keep takes name off the names that are written.
func (t *TargetPlan) keep(name string) {
	t.Kept = append(t.Kept, name)
	var rest []string
	for _, n := range t.Names {
		if n != name {
			rest = append(rest, n)
		}
	}
	t.Names = rest
	t.Done = len(rest) == 0
}
