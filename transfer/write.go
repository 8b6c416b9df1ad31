package transfer

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// write puts the manifests of the image and of what refers to it, each after
// what it needs, and the names at the very end.
func (tr *targetRun) write(ctx context.Context) error {
	body, names := tr.image.body, tr.plan.Names
	root := body[len(body)-1]
	if len(names) == 0 {
		names = []string{root.digest.String()}
	}
	if tr.plan.rooted {
		return tr.writeExtras(ctx, names[0])
	}
	if err := tr.writeChildren(ctx, body); err != nil {
		return err
	}
	if len(tr.image.extras) > 0 {
		if err := tr.with(ctx, root, func(m content.Manifest) error { return tr.put(ctx, m, m.Digest().String()) }); err != nil {
			return err
		}
		if err := tr.writeExtras(ctx, names[0]); err != nil {
			return err
		}
	}
	return tr.with(ctx, root, func(m content.Manifest) error { return tr.name(ctx, m, names...) })
}

// with calls do with a manifest that was put aside, when there is room for it.
func (tr *targetRun) with(ctx context.Context, n node, do func(content.Manifest) error) error {
	spool := tr.image.spool
	leave, err := spool.enter(ctx, spool.size(n))
	if err != nil {
		return err
	}
	defer leave()
	m, err := spool.get(n)
	if err != nil {
		return at(Src, OpLoad, n.descriptor(), err)
	}
	return do(m)
}

// writeChildren writes everything below the root: images side by side where
// the sink takes them so, then nested indexes from the bottom up.
func (tr *targetRun) writeChildren(ctx context.Context, body []node) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(askJobs)
	if isSequential(tr.plan.sink) {
		g.SetLimit(1)
	}
	var indexes []node
	for _, n := range body[:len(body)-1] {
		if content.IsIndex(n.mediaType) {
			indexes = append(indexes, n)
			continue
		}
		g.Go(func() error { return tr.with(gctx, n, func(m content.Manifest) error { return tr.put(gctx, m) }) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, n := range indexes {
		if err := tr.with(ctx, n, func(m content.Manifest) error { return tr.put(ctx, m) }); err != nil {
			return err
		}
	}
	return nil
}

// writeExtras writes what refers to the image. Digest tags get their names
// beside name.
func (tr *targetRun) writeExtras(ctx context.Context, name string) error {
	for _, e := range tr.image.extras {
		if err := tr.writeChildren(ctx, e.body); err != nil {
			return err
		}
		err := tr.with(ctx, e.body[len(e.body)-1], func(m content.Manifest) error {
			if e.tag == "" {
				return tr.put(ctx, m)
			}
			_, tag := content.SplitName(e.tag)
			return tr.name(ctx, m, content.BesideName(name, tag))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// put stores m unless the target, which has had some version of the image, has
// it already. That a referrer is there does not prove that it is listed: an
// earlier run may have ended in between.
func (tr *targetRun) put(ctx context.Context, m content.Manifest, names ...string) error {
	if tr.plan.keepNames && len(names) > 0 {
		return at(Dst, OpPut, m.Descriptor(), tr.nameNew(ctx, m, names)) // in a plain directory the root is the image
	}
	if tr.plan.retags || tr.plan.root.Digest != "" && tr.standsFor(ctx, m.Digest().String(), m) && tr.lists(ctx, m) {
		return nil
	}
	return at(Dst, OpPut, m.Descriptor(), tr.store(ctx, m, names...))
}

// name stores m under names, unless each of them stands for it already.
func (tr *targetRun) name(ctx context.Context, m content.Manifest, names ...string) error {
	if tr.plan.keepNames {
		return at(Dst, OpName, m.Descriptor(), tr.nameNew(ctx, m, names))
	}
	if tr.plan.retags || tr.plan.root.Digest != "" {
		var rest []string
		for _, name := range names {
			if !tr.standsFor(ctx, name, m) || isByDigest(name) && (!tr.roots(ctx, m) || !tr.holds(ctx, name)) {
				rest = append(rest, name)
			}
		}
		if len(rest) == 0 {
			return nil
		}
		names = rest
	}
	return at(Dst, OpName, m.Descriptor(), tr.store(ctx, m, names...))
}

// store puts m and counts it.
func (tr *targetRun) store(ctx context.Context, m content.Manifest, names ...string) error {
	err := tr.insist(ctx, m, func() error { return tr.plan.sink.PutManifest(ctx, m, names...) })
	if err == nil {
		tr.wrote()
	}
	return err
}

func (tr *targetRun) wrote() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.result.Written++
}

// nameNew stores m under those of names that are still free, and notes the
// others as kept. Only a NameKeeper can be sure that nobody takes one meanwhile.
func (tr *targetRun) nameNew(ctx context.Context, m content.Manifest, names []string) error {
	keeper, ok := content.As[content.NameKeeper](tr.plan.sink)
	if ok {
		var kept []string
		err := tr.insist(ctx, m, func() (err error) {
			kept, err = keeper.PutNewNames(ctx, m, names...)
			return err
		})
		tr.kept(kept)
		if err == nil && len(kept) < len(names) {
			tr.wrote()
		}
		return err
	}
	var free, kept []string
	for _, name := range names {
		_, err := tr.plan.holder(ctx, name)
		switch {
		case content.IsMissing(err):
			free = append(free, name)
		case err != nil:
			return err
		default:
			kept = append(kept, name)
		}
	}
	tr.kept(kept)
	if len(free) == 0 {
		return nil
	}
	return tr.store(ctx, m, free...)
}

// kept notes which of the image's names were left alone after all.
func (tr *targetRun) kept(names []string) {
	left := func(name string) bool { return slices.Contains(names, name) }
	for _, name := range tr.result.Names {
		if left(name) {
			tr.result.Kept = append(tr.result.Kept, name)
		}
	}
	tr.result.Names = slices.DeleteFunc(slices.Clone(tr.result.Names), left)
}

func (tr *targetRun) standsFor(ctx context.Context, name string, m content.Manifest) bool {
	resolver, ok := content.As[content.Resolver](tr.plan.sink)
	if !ok {
		return false
	}
	d, err := resolver.Resolve(ctx, name)
	return err == nil && d.Digest == m.Digest()
}

// isByDigest reports whether name is a digest, or ends in one: then it stands for
// whatever is there with that digest, also where nothing keeps that but another
// image.
func isByDigest(name string) bool {
	return content.CheckDigest(digest.Digest(name[strings.LastIndexByte(name, '@')+1:])) == nil
}

// holds reports whether the target calls something name, if it can say so. Asked for
// REPOSITORY@DIGEST a place gives what has the digest, whatever that is called.
func (tr *targetRun) holds(ctx context.Context, name string) bool {
	keeper, able := content.As[content.NameKeeper](tr.plan.sink)
	if !able || !strings.Contains(name, "@") {
		return true
	}
	_, err := keeper.Holder(ctx, name)
	return !errors.Is(err, content.ErrNotFound)
}

// roots reports whether the target keeps m for its own sake, if it can say so.
func (tr *targetRun) roots(ctx context.Context, m content.Manifest) bool {
	lister, able := content.As[content.RootLister](tr.plan.sink)
	if !able {
		return true
	}
	for d, err := range lister.Roots(ctx) {
		if err != nil {
			return false
		}
		if d.Digest == m.Digest() {
			return true
		}
	}
	return false
}

// lists reports whether the target lists m as a referrer, if it is one and the
// target lists any. What refers to a manifest is asked for once.
func (tr *targetRun) lists(ctx context.Context, m content.Manifest) bool {
	subject, refers := m.Subject()
	lister, able := content.As[content.ReferrerLister](tr.plan.sink)
	if !refers || !able {
		return true
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	listed, asked := tr.listed[subject.Digest]
	if !asked {
		listed = map[digest.Digest]bool{}
		for d, err := range lister.Referrers(ctx, subject.Digest, "") {
			if err != nil {
				break // what is not known to be listed is put again
			}
			listed[d.Digest] = true
		}
		if tr.listed == nil {
			tr.listed = map[digest.Digest]map[digest.Digest]bool{}
		}
		tr.listed[subject.Digest] = listed
	}
	return listed[m.Digest()]
}
