package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

var _ content.NameKeeper = (*Writer)(nil)

// Holder implements [content.NameKeeper]. Of a file that is there already every
// name would be lost.
func (w *Writer) Holder(ctx context.Context, name string) (ocispec.Descriptor, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holder(ctx, name)
}

// holder is Holder for who holds the lock.
func (w *Writer) holder(ctx context.Context, name string) (d ocispec.Descriptor, err error) {
	if n, ok := w.names[nameKey(name)]; ok {
		return w.manifests[n.to].desc, nil
	}
	free := fmt.Errorf("no image is called %q: %w", clip(name), content.ErrNotFound)
	if w.file == nil || w.file.final() {
		return d, free
	}
	a, err := Open(ctx, w.file.path, Options{})
	if errors.Is(err, content.ErrNotFound) {
		return d, free
	}
	if err != nil {
		return d, fmt.Errorf("%w: %w", err, content.ErrConflict)
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	same := func(other string) bool { return content.SameName(name, other) }
	for _, r := range a.roots {
		if slices.ContainsFunc(r.names, same) {
			m, err := a.rootManifest(ctx, r)
			return m.Descriptor(), err
		}
	}
	return d, fmt.Errorf("archive %s is there already, with other images: %w", w.file.path, content.ErrConflict)
}

// PutNewNames implements [content.NameKeeper]. A file that is there, or comes to
// be there before Commit, is not replaced.
func (w *Writer) PutNewNames(ctx context.Context, m content.Manifest, names ...string) (kept []string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var free []string
	for _, name := range names {
		_, err := w.holder(ctx, name)
		switch {
		case err == nil:
			kept = append(kept, name)
		case errors.Is(err, content.ErrNotFound):
			free = append(free, name)
		default:
			return nil, err
		}
	}
	if w.file != nil {
		w.file.exclusive = true
	}
	if len(names) > 0 && len(free) == 0 {
		return kept, nil
	}
	return kept, w.put(ctx, m, free)
}

// keeps reports whether nothing is to be written over a file that is there:
// all that was put has found its names in it.
func (w *Writer) keeps() bool {
	if w.file == nil || !w.file.exclusive || len(w.names) > 0 {
		return false
	}
	_, err := os.Lstat(w.file.path)
	return err == nil
}
