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
	"github.com/wherry-dev/wherry/content"
	"golang.org/x/sync/errgroup"
)

// A part is a manifest or blob to be looked at.
type part struct {
	desc   ocispec.Descriptor
	parent digest.Digest // the manifest that names it, or that it refers to
	root   bool
	depth  int
}

// A validator walks all that a place has.
type validator struct {
	*place
	o      validateOptions
	result ValidateResult

	seen  map[digest.Digest]bool
	blobs []part

	mu sync.Mutex // guards result and blobs
}

// Bounds of the walk: content that leads on and on is broken.
const (
	maxDepth     = 16
	maxManifests = 1 << 16
	walkJobs     = 8
	blobJobs     = 4
)

// validate walks what the argument stands for. What is wrong with it stands in
// the result; the error is about ctx, or says that there is nothing to look at.
func (p *place) validate(ctx context.Context, o validateOptions) (ValidateResult, error) {
	v := &validator{place: p, o: o, seen: map[digest.Digest]bool{}}
	v.result = ValidateResult{Name: p.at.String(), Fast: o.Fast, Problems: []ProblemResult{}}
	roots, err := v.roots(ctx)
	if err != nil {
		return v.result, err
	}
	v.result.Images = len(roots)
	for level := roots; len(level) > 0 && ctx.Err() == nil; {
		level = v.manifests(ctx, level)
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
		if err != nil {
			return nil, err
		}
		return v.unseen([]part{{desc: d, root: true}}), nil
	}
	var roots []part
	for d, err := range lister.Roots(ctx) {
		if err != nil {
			return nil, v.fail(err)
		}
		roots = append(roots, part{desc: d, root: true})
	}
	if len(roots) == 0 {
		return nil, v.fail(fmt.Errorf("there is no image in it: %w", content.ErrNotFound))
	}
	return v.unseen(roots), nil
}

// unseen returns those parts that were not met before, each once.
func (v *validator) unseen(parts []part) []part {
	return slices.DeleteFunc(parts, func(p part) bool {
		before := v.seen[p.desc.Digest]
		v.seen[p.desc.Digest] = true
		return before
	})
}

// manifests looks at the manifests of a level and returns those below them.
func (v *validator) manifests(ctx context.Context, level []part) []part {
	below := make([][]part, len(level))
	var g errgroup.Group
	g.SetLimit(walkJobs)
	for i, p := range level {
		g.Go(func() error {
			below[i] = v.manifest(ctx, p)
			return nil
		})
	}
	_ = g.Wait() // they have no errors: what is wrong stands in the result
	next := v.unseen(slices.Concat(below...))
	if len(v.seen) > maxManifests {
		v.problem(part{}, "place", fmt.Errorf("more than %d manifests and blobs: %w", maxManifests, content.ErrInvalid))
		return nil
	}
	return next
}

// manifest looks at one manifest, notes its blobs, and returns the manifests it
// leads to.
func (v *validator) manifest(ctx context.Context, p part) []part {
	m, err := v.Manifest(ctx, p.desc.Digest.String())
	if err == nil {
		err = content.CheckChild(m, p.desc)
	}
	if err == nil {
		err = m.Ambiguous()
	}
	if err != nil {
		v.problem(p, "manifest", err)
		return nil
	}
	if p.depth == maxDepth {
		v.problem(p, "manifest", fmt.Errorf("manifests are nested more than %d deep: %w", maxDepth, content.ErrInvalid))
		return nil
	}
	v.note(p, m)
	var next []part
	for _, d := range m.Children() {
		next = append(next, part{desc: d, parent: m.Digest(), depth: p.depth + 1})
	}
	return append(next, v.referrers(ctx, p, m)...)
}

func (v *validator) note(p part, m content.Manifest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.result.Manifests++
	if _, ok := m.Subject(); ok {
		v.result.Referrers++
		if p.root {
			v.result.Images-- // an index.json names referrers beside images
		}
	}
	for _, d := range m.Blobs() {
		v.blobs = append(v.blobs, part{desc: d, parent: m.Digest()})
	}
}

func (v *validator) referrers(ctx context.Context, p part, m content.Manifest) []part {
	lister, ok := content.As[content.ReferrerLister](v.Source)
	if !ok || v.o.NoReferrers {
		return nil
	}
	var found []part
	for d, err := range lister.Referrers(ctx, m.Digest(), "") {
		if errors.Is(err, errors.ErrUnsupported) {
			break
		}
		if err != nil {
			v.problem(p, "referrers", err)
			break
		}
		found = append(found, part{desc: d, parent: m.Digest(), depth: p.depth + 1})
	}
	return found
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
