package cli

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/layout"
)

// noteUsed writes down that an image was used, where it is one of the store. What
// cannot be written down is no error.
func (f *Factory) noteUsed(ctx context.Context, e endpoint.Endpoint) {
	if e.Transport != endpoint.Store {
		return
	}
	if store, err := f.Store(); err == nil {
		f.noteUse(ctx, store, e)
	}
}

func (f *Factory) noteUse(ctx context.Context, store *layout.Store, e endpoint.Endpoint) {
	if d, err := store.Resolve(ctx, e.Name); err == nil {
		store.Note(ctx, layout.Use{Deed: layout.Used, Digest: d.Digest, Name: shownName(e), Time: f.Now()})
	}
}

// noteUsed writes down that those of refs that are in the store were used, unless all
// was only planned.
func (m *mover) noteUsed(ctx context.Context, refs []endpoint.Endpoint) {
	for _, ref := range refs {
		if m.o.DryRun || ref.Transport != endpoint.Store {
			continue
		}
		if store, err := m.openStore(); err == nil {
			m.f.noteUse(ctx, store, ref)
		}
	}
}

// noteImported writes down that an image was made of a file or URL, where it is one
// of the store.
func (m *mover) noteImported(ctx context.Context, to endpoint.Endpoint, d digest.Digest, from string) {
	if to.Transport != endpoint.Store {
		return
	}
	if store, err := m.openStore(); err == nil {
		store.Note(ctx, layout.Use{Deed: layout.Imported, Digest: d, Name: shownName(to), From: told(from), Time: m.f.Now()})
	}
}

// noteCame writes down that the images of r are in the store, each from where from
// says.
func (m *mover) noteCame(ctx context.Context, r MoveResult, deed layout.Deed, from func(i int) string) {
	store, err := m.openStore()
	if err != nil {
		return
	}
	var uses []layout.Use
	for i, image := range r.Images {
		if image.Error == "" && image.Destinations[0].Error == "" {
			uses = append(uses, layout.Use{
				Deed: deed, Digest: image.Digest, Name: shownName(m.ends[i][0]), From: from(i), Time: m.f.Now(),
			})
		}
	}
	store.Note(ctx, uses...)
}
