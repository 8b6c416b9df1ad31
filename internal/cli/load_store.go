package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/transfer"
)

// loadIntoStore loads all that is in an archive: what has a full name is called so
// in the store, and anything else by its digest alone, as with docker.
func loadIntoStore(ctx context.Context, f *Factory, o loadOptions) (_ render.Result, err error) {
	from, err := loadSource(o.Input)
	if err != nil {
		return render.Result{}, err
	}
	filter := o.filter()
	filter.Here, filter.Sparse = true, true // an index in the store is the registry's, whatever of it is there
	m, err := f.newMover(moverOptions{
		moveOptions: o.moveOptions, Filter: filter, Compress: cmp.Or(o.Compress.value, archive.Gzip),
		Partly: "in the archive: those are loaded",
	})
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := m.addAllOf(ctx, from); err != nil {
		return render.Result{}, err
	}
	result, err := m.run(ctx)
	if o.DryRun {
		return result.render(), err
	}
	m.noteCame(ctx, result, layout.Loaded, func(int) string { return o.Input })
	lines, idErr := m.inStore(ctx, result)
	return render.Result{Value: result, Lines: lines}, errors.Join(err, idErr)
}

// addAllOf adds every image of an archive on its way into the store.
func (m *mover) addAllOf(ctx context.Context, from endpoint.Endpoint) error {
	src, err := m.source(ctx, from)
	if err != nil {
		return err
	}
	names, passed, err := namesAt(ctx, src, from)
	if err != nil {
		return err
	}
	m.rest = &remainder{src: src, tags: passed, referrers: m.o.Filter.Referrers}
	rest := &remainder{src: src, tags: passed, taken: map[digest.Digest]bool{}, known: map[digest.Digest]content.Manifest{}}
	for _, name := range names {
		root, err := src.Manifest(ctx, name)
		if err != nil {
			return err
		}
		rest.taken[root.Digest()] = true
		if err := m.addStored(ctx, src, from, name, root.Digest()); err != nil {
			return err
		}
	}
	if from.Name != "" {
		return nil
	}
	for _, d := range rest.unnamed(ctx) {
		if err := m.addStored(ctx, src, from, "", d); err != nil {
			return err
		}
	}
	if len(m.jobs) == 0 {
		return fmt.Errorf("there is no image in it: %w", content.ErrNotFound)
	}
	return nil
}

// addStored adds image d of an archive on its way into the store. What is called
// by a tag alone has no repository, and no name there, like what has no name.
func (m *mover) addStored(ctx context.Context, src *endpoint.Source, from endpoint.Endpoint, name string, d digest.Digest) error {
	job := transfer.Job{Name: nameIn(src, from, name), Src: src, Filter: m.o.Filter}
	if to := endpoint.InStore(name); content.IsFullName(name) && to.Repository != "" {
		return m.addJob(ctx, job, from.Tagged(name), []endpoint.Endpoint{to})
	}
	from.Name, from.Digest = "", d
	return m.addJob(ctx, job, from, []endpoint.Endpoint{endpoint.InStore("")})
}

// inStore says in docker's words which images of r are in the store now: those
// without a name by their ID.
func (m *mover) inStore(ctx context.Context, r MoveResult) (lines []string, err error) {
	store, err := m.openStore()
	if err != nil {
		return nil, err
	}
	for i, image := range r.Images {
		if image.Error != "" || image.Destinations[0].Error != "" {
			continue
		}
		if end := m.ends[i][0]; end.Name != "" {
			lines = append(lines, "Loaded image: "+shownName(end))
			continue
		}
		found, err := store.Find(ctx, image.Digest.String())
		if err != nil {
			return lines, err
		}
		lines = append(lines, "Loaded image ID: "+found.ID(content.HostPlatform()).String())
	}
	return lines, nil
}
