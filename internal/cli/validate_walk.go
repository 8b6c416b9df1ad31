package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// A part is a manifest or blob to be looked at.
type part struct {
	desc   ocispec.Descriptor
	parent digest.Digest // the manifest that names it, or that it refers to
}

// A validator walks all that a place has.
type validator struct {
	*place
	o      validateOptions
	limits content.Limits
	result ValidateResult

	images map[digest.Digest]bool                 // that the walk starts from
	asked  map[digest.Digest]ocispec.Descriptor   // manifests that were read, as they were named first
	below  map[digest.Digest][]ocispec.Descriptor // children of those that are right
	refer  map[digest.Digest][]ocispec.Descriptor // what refers to them
	blobs  []part

	mu sync.Mutex // guards what is above
}

const (
	walkJobs = 8
	blobJobs = 4
)

// validate walks what the argument stands for. What is wrong with it stands in
// the result; the error is about ctx, or says that there is nothing to look at.
func (p *place) validate(ctx context.Context, o validateOptions) (ValidateResult, error) {
	v := &validator{
		place: p, o: o, limits: content.Limits{}.Effective(),
		images: map[digest.Digest]bool{},
		asked:  map[digest.Digest]ocispec.Descriptor{},
		below:  map[digest.Digest][]ocispec.Descriptor{},
		refer:  map[digest.Digest][]ocispec.Descriptor{},
	}
	v.result = ValidateResult{Name: p.at.String(), Fast: o.Fast, Problems: []ProblemResult{}}
	roots, err := v.roots(ctx)
	if err != nil {
		return v.result, err
	}
	v.result.Images = len(v.images)
	v.read(ctx, roots)
	for _, root := range roots {
		if err := v.image(ctx, root); err != nil {
			v.problem(root, "manifest", err)
		}
	}
	v.checkBlobs(ctx)
	if ctx.Err() != nil {
		return v.result, context.Cause(ctx)
	}
	slices.SortFunc(v.result.Problems, func(a, b ProblemResult) int {
		return cmp.Or(cmp.Compare(b.Role, a.Role), cmp.Compare(a.Digest, b.Digest))
	})
	v.result.Valid = len(v.result.errs) == 0
	return v.result, nil
}

// roots returns the image that was named, or all there are.
func (v *validator) roots(ctx context.Context) ([]part, error) {
	lister, ok := content.As[content.RootLister](v.Source)
	if v.Ref != "" || !ok {
		d, err := v.resolve(ctx)
		v.images[d.Digest] = true
		return []part{{desc: d}}, err
	}
	var roots []part
	for d, err := range lister.Roots(ctx) {
		if err != nil {
			return nil, v.fail(err)
		}
		if !v.images[d.Digest] {
			v.images[d.Digest] = true
			roots = append(roots, part{desc: d})
		}
	}
	if len(roots) == 0 {
		return nil, v.fail(fmt.Errorf("there is no image in it: %w", content.ErrNotFound))
	}
	return roots, nil
}

// image walks an image and what refers to it, as a copy of it does and within
// the same limits. It returns why a copy would refuse the whole.
func (v *validator) image(ctx context.Context, root part) error {
	met := map[digest.Digest]bool{root.desc.Digest: true}
	referrers, room := 0, v.limits.GraphSize
	for times, graphs := 0, []part{root}; len(graphs) > 0 && ctx.Err() == nil; times++ {
		if times > v.limits.Depth {
			return fmt.Errorf("what refers to the image is referred to more than %d times over: %w", v.limits.Depth, content.ErrInvalid)
		}
		v.read(ctx, graphs)
		var subjects []part
		for _, g := range graphs {
			all, size, err := v.graph(ctx, g)
			if err != nil {
				return err
			}
			if times > 0 {
				room -= size
			}
			subjects = append(subjects, all...)
		}
		graphs = v.referrers(ctx, subjects, met)
		if referrers += len(graphs); referrers > v.limits.Referrers {
			return fmt.Errorf("more than %d manifests refer to the image: %w", v.limits.Referrers, content.ErrInvalid)
		}
		if room < 0 {
			return fmt.Errorf("the manifests that refer to the image have more than %d bytes: %w", v.limits.GraphSize, content.ErrInvalid)
		}
	}
	return nil
}

// graph walks the manifests below root, level by level, and returns root and
// those of them that are right, and the bytes of all.
func (v *validator) graph(ctx context.Context, root part) (all []part, size int64, _ error) {
	met := map[digest.Digest]bool{root.desc.Digest: true}
	size = root.desc.Size
	for depth, level := 0, []part{root}; len(level) > 0 && ctx.Err() == nil; depth++ {
		all = append(all, level...)
		var wanted []part
		for _, p := range level {
			for _, d := range v.below[p.desc.Digest] {
				child := part{desc: d, parent: p.desc.Digest}
				v.compare(ctx, child)
				if !met[d.Digest] {
					met[d.Digest] = true
					size += d.Size
					wanted = append(wanted, child)
				}
			}
		}
		switch {
		case len(wanted) > 0 && depth == v.limits.Depth:
			return all, size, fmt.Errorf("indexes are nested more than %d deep: %w", v.limits.Depth, content.ErrInvalid)
		case len(met) > v.limits.Nodes:
			return all, size, fmt.Errorf("more than %d manifests: %w", v.limits.Nodes, content.ErrInvalid)
		case size > v.limits.GraphSize:
			return all, size, fmt.Errorf("its manifests have more than %d bytes: %w", v.limits.GraphSize, content.ErrInvalid)
		}
		v.read(ctx, wanted)
		level = wanted
	}
	return all, size, nil
}

// compare looks once more at a manifest that another parent has described in
// other words: one of the two is wrong.
func (v *validator) compare(ctx context.Context, p part) {
	first, ok := v.asked[p.desc.Digest]
	if !ok || first.Size == p.desc.Size && first.MediaType == p.desc.MediaType {
		return
	}
	m, err := v.Manifest(ctx, p.desc.Digest.String())
	if err != nil {
		return // that was told when it was read first
	}
	if err := content.CheckChild(m, p.desc); err != nil {
		v.problem(p, "manifest", err)
	}
}

// read looks at those manifests that nobody has looked at.
func (v *validator) read(ctx context.Context, parts []part) {
	var g errgroup.Group
	g.SetLimit(walkJobs)
	for _, p := range parts {
		if !v.ask(p) || ctx.Err() != nil {
			continue
		}
		g.Go(func() error {
			v.manifest(ctx, p)
			return nil
		})
	}
	_ = g.Wait() // they have no errors: what is wrong stands in the result
}

// ask notes that a manifest is looked at, and reports whether it is for the
// first time.
func (v *validator) ask(p part) (first bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, asked := v.asked[p.desc.Digest]; asked {
		return false
	}
	v.asked[p.desc.Digest] = p.desc
	return true
}

// manifest looks at one manifest and notes its blobs and its children.
func (v *validator) manifest(ctx context.Context, p part) {
	m, err := v.Manifest(ctx, p.desc.Digest.String())
	if err == nil {
		err = content.CheckChild(m, p.desc)
	}
	if err == nil {
		err = m.Ambiguous()
	}
	if err != nil {
		v.problem(p, "manifest", err)
		return
	}
	v.note(m)
}

func (v *validator) note(m content.Manifest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.result.Manifests++
	if _, ok := m.Subject(); ok {
		v.result.Referrers++
		if v.images[m.Digest()] {
			v.result.Images-- // an index.json names referrers beside images
		}
	}
	v.below[m.Digest()] = m.Children()
	for _, d := range m.Blobs() {
		v.blobs = append(v.blobs, part{desc: d, parent: m.Digest()})
	}
}

// referrers returns what refers to any of subjects and was not met before.
func (v *validator) referrers(ctx context.Context, subjects []part, met map[digest.Digest]bool) []part {
	lister, ok := content.As[content.ReferrerLister](v.Source)
	if !ok || v.o.NoReferrers {
		return nil
	}
	var g errgroup.Group
	g.SetLimit(walkJobs)
	for _, p := range subjects {
		g.Go(func() error {
			v.list(ctx, lister, p)
			return nil
		})
	}
	_ = g.Wait() // they have no errors: what is wrong stands in the result
	var found []part
	for _, p := range subjects {
		for _, d := range v.refer[p.desc.Digest] {
			if !met[d.Digest] {
				met[d.Digest] = true
				found = append(found, part{desc: d, parent: p.desc.Digest})
			}
		}
	}
	return found
}

// list notes what refers to p, unless that is known.
func (v *validator) list(ctx context.Context, lister content.ReferrerLister, p part) {
	v.mu.Lock()
	_, right := v.below[p.desc.Digest]
	_, known := v.refer[p.desc.Digest]
	v.mu.Unlock()
	if !right || known {
		return
	}
	found := []ocispec.Descriptor{}
	for d, err := range lister.Referrers(ctx, p.desc.Digest, "") {
		if errors.Is(err, errors.ErrUnsupported) {
			break
		}
		if err != nil {
			v.problem(p, "referrers", err)
			break
		}
		found = append(found, d)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refer[p.desc.Digest] = found
}

// checkBlobs looks at all blobs, each digest once; manifests that state other
// sizes for it are wrong.
func (v *validator) checkBlobs(ctx context.Context) {
	size := map[digest.Digest]int64{}
	var g errgroup.Group
	g.SetLimit(cmp.Or(v.o.Jobs, blobJobs))
	for _, p := range v.blobs {
		if known, ok := size[p.desc.Digest]; ok {
			if known != p.desc.Size {
				v.problem(p, "blob", fmt.Errorf("one manifest says it has %d bytes, another %d: %w", known, p.desc.Size, content.ErrCorrupt))
			}
			continue
		}
		size[p.desc.Digest] = p.desc.Size
		g.Go(func() error {
			v.blob(ctx, p)
			return nil
		})
	}
	_ = g.Wait() // they have no errors: what is wrong stands in the result
}

func (v *validator) blob(ctx context.Context, p part) {
	if ctx.Err() != nil {
		return
	}
	err := v.checkBlob(ctx, p.desc)
	if errors.Is(err, content.ErrNotFound) && content.IsForeign(p.desc.MediaType) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.result.Foreign++
		return
	}
	if err != nil {
		v.problem(p, "blob", err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.result.Blobs++
	v.result.Bytes += p.desc.Size
}

// checkBlob reads a blob to its end, or only asks for it.
func (v *validator) checkBlob(ctx context.Context, d ocispec.Descriptor) error {
	if sizer, ok := content.As[content.Sizer](v.Source); ok && v.o.Fast {
		n, err := sizer.BlobSize(ctx, d.Digest)
		if err == nil && n != d.Size {
			return &content.MismatchError{Want: d, Size: n}
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return v.pour(ctx, d, io.Discard)
}

func (v *validator) problem(p part, role string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.result.Problems = append(v.result.Problems, ProblemResult{
		Digest:  p.desc.Digest,
		Role:    role,
		Parent:  p.parent,
		Message: err.Error(),
	})
	v.result.errs = append(v.result.errs, fmt.Errorf("%s %s: %w", role, p.desc.Digest, err))
}
