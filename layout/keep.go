package layout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

var (
	_ content.NameKeeper = (*Layout)(nil)
	_ content.NameKeeper = (*Dir)(nil)
)

// Holder implements [content.NameKeeper].
func (l *Layout) Holder(_ context.Context, name string) (ocispec.Descriptor, error) {
	x, err := l.index()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	i := slices.IndexFunc(x.entries, func(e entry) bool { return e.is(name) })
	if i < 0 {
		return ocispec.Descriptor{}, l.disk.fail("read", indexFile, fmt.Errorf("no image is called %q: %w", name, content.ErrNotFound))
	}
	return x.entries[i].descriptor(), nil
}

// PutNewNames implements [content.NameKeeper]. It looks at index.json under the
// lock under which it writes it.
func (l *Layout) PutNewNames(ctx context.Context, m content.Manifest, names ...string) (kept []string, err error) {
	if err := l.store(ctx, m, names); err != nil {
		return nil, err
	}
	d, refers := entryDescriptor(m)
	err = l.edit(ctx, func(x *index) (bool, error) {
		held := func(name string) bool {
			return slices.ContainsFunc(x.entries, func(e entry) bool { return e.is(name) })
		}
		var free []string
		kept, free = split(names, held)
		if len(free) == 0 && !refers {
			return false, nil
		}
		return x.put(d, free)
	})
	return kept, err
}

// split tells the names that are held from those that are free.
func split(names []string, held func(name string) bool) (kept, free []string) {
	for _, name := range names {
		if held(name) {
			kept = append(kept, name)
			continue
		}
		free = append(free, name)
	}
	return kept, free
}

// Holder implements [content.NameKeeper]. All names but digest tags are those of
// the one image there is.
func (d *Dir) Holder(ctx context.Context, name string) (ocispec.Descriptor, error) {
	if !content.IsDigestTag(name) {
		name = ""
	}
	return d.Resolve(ctx, name)
}

// PutNewNames implements [content.NameKeeper]. A directory that has an image
// keeps it.
func (d *Dir) PutNewNames(ctx context.Context, m content.Manifest, names ...string) (kept []string, err error) {
	err = d.put(ctx, m, func() error {
		var errs []error
		var free []string
		kept, free = split(names, func(name string) bool {
			held, err := d.holds(ctx, m, name)
			errs = append(errs, err)
			return held
		})
		if err := errors.Join(errs...); err != nil || len(names) > 0 && len(free) == 0 {
			return err
		}
		return d.write(m, d.files(ctx, m, free))
	})
	return kept, err
}

// holds reports whether another than m would lose name to it. What was put
// before by the same writer is not held against it.
func (d *Dir) holds(ctx context.Context, m content.Manifest, name string) (bool, error) {
	if d.aside(ctx, m, name) {
		return false, nil
	}
	there, err := d.Holder(ctx, name)
	if errors.Is(err, content.ErrNotFound) {
		return false, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return there.Digest != m.Digest() || d.root != m.Digest(), err
}
