package transfer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// An extra is a graph that comes along because it refers to the image. One that
// is found by a digest tag has that tag as its name.
type extra struct {
	graph *content.Graph // only while it is planned
	body  []node
	tag   string
}

const loadJobs = 8 // referrers read at once: each may be as large as a manifest may be

// findExtras finds what refers to the image, to its children, and to what was
// found, sorted, so that the same image gives the same plan.
func (c *Copier) findExtras(ctx context.Context, image *ImagePlan) ([]extra, error) {
	f := c.newFinder(image)
	subjects := image.graph.Order
	if image.Root.Digest != image.Source.Digest {
		orphaned, err := f.referrers(ctx, image.Source.Digest)
		if err != nil {
			return nil, err
		}
		image.Orphaned = len(orphaned)
		subjects = slices.DeleteFunc(slices.Clone(subjects), func(d digest.Digest) bool { return d == image.Root.Digest })
	}
	var all []extra
	asked := map[digest.Digest]bool{}
	for depth := 0; ; depth++ {
		// What a tag finds may be the image itself, or what was asked about before.
		subjects = slices.DeleteFunc(slices.Clone(subjects), func(d digest.Digest) bool {
			again := asked[d]
			asked[d] = true
			return again
		})
		if len(subjects) == 0 {
			return all, nil
		}
		if depth > f.limits.Depth {
			return nil, invalidf("what refers to the image is referred to more than %d times over", f.limits.Depth)
		}
		found, err := f.round(ctx, subjects)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
		if len(all) > f.limits.Referrers {
			return nil, invalidf("more than %d manifests refer to the image", f.limits.Referrers)
		}
		subjects = nil
		for _, e := range found {
			subjects = append(subjects, e.graph.Order...)
		}
	}
}

type finder struct {
	copier *Copier
	image  *ImagePlan
	limits content.Limits
	src    content.Source // the image's, for as many bytes as its referrers may have
	near   content.Source // the image's near, likewise; nil where there is none
	ration *ration
	seen   map[digest.Digest]bool
}

func (c *Copier) newFinder(image *ImagePlan) *finder {
	f := &finder{copier: c, image: image, limits: c.Limits.Effective(), seen: map[digest.Digest]bool{}}
	f.ration = &ration{of: "the manifests that refer to the image", most: f.limits.GraphSize}
	f.src = rationed{image.src, f.ration}
	if near := image.near(); near != nil {
		f.near = rationed{near, f.ration}
	}
	return f
}

// round finds what refers to any of subjects and was not found before.
func (f *finder) round(ctx context.Context, subjects []digest.Digest) ([]extra, error) {
	var mu sync.Mutex
	var found []extra
	add := func(e extra) {
		mu.Lock()
		defer mu.Unlock()
		found = append(found, e)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(askJobs)
	for _, subject := range subjects {
		g.Go(func() error {
			refs, err := f.referrers(gctx, subject)
			for _, d := range refs {
				add(extra{graph: &content.Graph{Root: d}})
			}
			return err
		})
	}
	g.Go(func() error {
		tagged, err := f.digestTags(gctx, subjects)
		for _, e := range tagged {
			add(e)
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return f.load(ctx, found)
}

// referrers returns what the source lists. The sizes there are not believed: some
// registries tell those of all that belongs to a referrer.
func (f *finder) referrers(ctx context.Context, subject digest.Digest) ([]digest.Digest, error) {
	lister, ok := content.As[content.ReferrerLister](f.image.job.Src)
	if !ok || f.image.watched && f.image.state == "" && subject == f.image.Source.Digest {
		return nil, nil
	}
	var found []digest.Digest
	for d, err := range lister.Referrers(ctx, subject, "") {
		if content.IsMissing(err) && len(found) == 0 {
			return nil, nil // there is no such list
		}
		if err != nil {
			return nil, err
		}
		if len(found) == f.limits.Referrers {
			return nil, invalidf("more than %d manifests refer to %s", f.limits.Referrers, subject)
		}
		found = append(found, d.Digest)
	}
	return found, nil
}

// digestTags returns the cosign tags of subjects that exist. For the one or two
// subjects of a plain image they are asked for one by one; for many, and where
// names cost nothing, the names are listed.
func (f *finder) digestTags(ctx context.Context, subjects []digest.Digest) ([]extra, error) {
	src := f.image.job.Src
	lister, lists := content.As[content.TagLister](src)
	_, costly := content.As[content.Originer](src)
	if lists && (!costly || len(subjects) > 2) {
		return f.listed(ctx, lister, subjects)
	}
	resolver, ok := content.As[content.Resolver](src)
	if !ok {
		return nil, nil
	}
	var mu sync.Mutex
	var found []extra
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(askJobs)
	for _, tag := range f.candidates(subjects) {
		g.Go(func() error {
			d, err := resolver.Resolve(ctx, tag)
			if content.IsMissing(err) || errors.Is(err, content.ErrHidden) {
				return nil // some registries deny what they do not have
			}
			mu.Lock()
			defer mu.Unlock()
			found = append(found, extra{graph: &content.Graph{Root: d.Digest}, tag: tag})
			return err
		})
	}
	err := g.Wait()
	return found, err
}

// listed is digestTags by the names that lister lists. In a place that has several
// repositories what refers to an image may be in another one than the image is copied
// from, which may have got its name there later; that of the same repository counts first.
func (f *finder) listed(ctx context.Context, lister content.TagLister, subjects []digest.Digest) ([]extra, error) {
	names := map[string]string{} // by tag; none yet for those that are looked for
	for _, d := range subjects {
		for _, tag := range content.DigestTags(d) {
			names[tag] = ""
		}
	}
	begun := false
	for name, err := range lister.Tags(ctx) {
		if content.IsMissing(err) && !begun {
			break // there is no such list
		}
		if err != nil {
			return nil, err
		}
		begun = true
		_, tag := content.SplitName(name)
		if known, wanted := names[tag]; wanted && f.isNearer(name, known) {
			names[tag] = name
		}
	}
	var found []extra
	for _, name := range names {
		if name != "" {
			found = append(found, extra{graph: &content.Graph{}, tag: name})
		}
	}
	return found, nil
}

// isNearer reports whether name is to be taken in place of another with the same tag:
// the one in the repository of the image, or else the first of the alphabet.
func (f *finder) isNearer(name, than string) bool {
	_, tag := content.SplitName(name)
	own := content.NormalName(content.BesideName(f.image.job.Ref, tag))
	switch {
	case than == "" || content.NormalName(name) == own:
		return true
	case content.NormalName(than) == own:
		return false
	}
	return name < than
}

func (f *finder) candidates(subjects []digest.Digest) []string {
	var tags []string
	for _, d := range subjects {
		for _, tag := range content.DigestTags(d) {
			tags = append(tags, content.BesideName(f.image.job.Ref, tag))
		}
	}
	return tags
}

// load reads the graphs of what was found, and drops what is known already.
func (f *finder) load(ctx context.Context, found []extra) ([]extra, error) {
	loader := content.Loader{Jobs: askJobs, Limits: f.copier.Limits, Near: f.near}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(loadJobs)
	for i, e := range found {
		if e.tag == "" && f.seen[e.graph.Root] {
			continue
		}
		g.Go(func() error {
			m, err := f.read(gctx, e)
			if err != nil {
				return err
			}
			found[i].graph, err = loader.Load(gctx, f.src, m)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b extra) int {
		return strings.Compare(a.graph.Root.String()+a.tag, b.graph.Root.String()+b.tag)
	})
	return slices.DeleteFunc(found, func(e extra) bool {
		known := len(e.graph.Order) == 0 || f.seen[e.graph.Root] && e.tag == ""
		f.seen[e.graph.Root] = true
		return known
	}), nil
}

// read reads the root of e; by digest it may be near, where it costs the source
// nothing. What a tag stands for is asked first then.
func (f *finder) read(ctx context.Context, e extra) (content.Manifest, error) {
	root := e.graph.Root
	if resolver, ok := content.As[content.Resolver](f.image.job.Src); ok && f.near != nil && root == "" {
		if d, err := resolver.Resolve(ctx, e.tag); err == nil {
			root = d.Digest
		}
	}
	if f.near != nil && root != "" {
		if m, err := f.near.Manifest(ctx, root.String()); err == nil && m.Digest() == root {
			return m, nil
		}
	}
	if e.tag != "" {
		return f.src.Manifest(ctx, e.tag)
	}
	return f.src.Manifest(ctx, root.String())
}
