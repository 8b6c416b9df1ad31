package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
)

const maxIndex = 16 << 20

// A Part is a backup in a file, open for reading. It must be closed.
type Part struct {
	*archive.Archive
	Description

	Path string
	ID   digest.Digest
	JSON []byte // of its index.json
}

// Open opens the backup at path and looks at what it says of itself. An archive
// that says nothing is [content.ErrInvalid], one without its end
// [content.ErrCorrupt].
func Open(ctx context.Context, path string, o archive.Options) (*Part, error) {
	a, err := archive.Open(ctx, path, o)
	if err != nil {
		return nil, err
	}
	p := &Part{Archive: a, Path: path}
	if err := p.read(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return p, nil
}

func (p *Part) read() error {
	if p.CutOff() {
		return fmt.Errorf("%s is cut off, it has no end marker: %w", p.Path, content.ErrCorrupt)
	}
	raw, err := p.File(File, MaxSize)
	if errors.Is(err, content.ErrNotFound) {
		return fmt.Errorf("%s is no backup, it has no %s: %w", p.Path, File, content.ErrInvalid)
	}
	if err != nil {
		return err
	}
	if p.Description, p.ID, err = Parse(raw); err != nil {
		return fmt.Errorf("%s: %w", p.Path, err)
	}
	if p.JSON, err = p.File(ocispec.ImageIndexFile, maxIndex); err != nil {
		return err
	}
	if got := p.Index.Algorithm().FromBytes(p.JSON); got != p.Index {
		want := ocispec.Descriptor{Digest: p.Index, Size: int64(len(p.JSON))}
		return fmt.Errorf("%s: index.json: %w", p.Path, &content.MismatchError{Want: want, Got: got, Size: want.Size})
	}
	return nil
}

// A Chain is backups of which each is the base of the next.
type Chain []*Part

// NewChain puts parts in order. Those that are not one line are [content.ErrInvalid].
func NewChain(parts []*Part) (Chain, error) {
	next := map[digest.Digest]*Part{} // by base
	known := map[digest.Digest]*Part{}
	for _, p := range parts {
		if same := known[p.ID]; same != nil {
			return nil, fmt.Errorf("%s and %s are the same backup: %w", same.Path, p.Path, content.ErrInvalid)
		}
		known[p.ID] = p
	}
	var first []*Part
	for _, p := range parts {
		if known[p.Base] == nil {
			first = append(first, p)
			continue
		}
		if twin := next[p.Base]; twin != nil {
			return nil, fmt.Errorf("%s and %s both build on %s: %w", twin.Path, p.Path, known[p.Base].Path, content.ErrInvalid)
		}
		next[p.Base] = p
	}
	if len(first) != 1 {
		// IDs are digests of what has the base in it: there is no circle.
		slices.SortFunc(first, func(a, b *Part) int { return cmp.Compare(len(a.Base), len(b.Base)) })
		return nil, apart(first)
	}
	var c Chain
	for p := first[0]; p != nil; p = next[p.ID] {
		c = append(c, p)
	}
	return c, nil
}

// apart says of the beginnings of several lines why they are not one.
func apart(first []*Part) error {
	if len(first) == 0 {
		return fmt.Errorf("no backup was given: %w", content.ErrInvalid)
	}
	last := first[len(first)-1]
	if last.Base == "" {
		return fmt.Errorf("%s and %s are both full backups: %w", first[0].Path, last.Path, content.ErrInvalid)
	}
	return fmt.Errorf("%s builds on backup %s, which is none of those given: %w", last.Path, last.Base, content.ErrInvalid)
}

// Head returns the newest backup, which says what is restored.
func (c Chain) Head() *Part { return c[len(c)-1] }

// Missing returns what the newest backup needs and neither the chain nor the store
// has. A blob that a file has with another size is [content.ErrCorrupt].
func (c Chain) Missing(ctx context.Context, store content.Sink) ([]ocispec.Descriptor, error) {
	var missing []ocispec.Descriptor
	for _, d := range c.Head().Blobs {
		has, err := c.has(ctx, d)
		if err == nil && !has {
			has, err = store.Has(ctx, d)
		}
		if err != nil {
			return nil, err
		}
		if !has {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

func (c Chain) has(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	for _, p := range c {
		size, err := p.BlobSize(ctx, d.Digest)
		switch {
		case errors.Is(err, content.ErrNotFound):
			continue
		case err != nil:
			return false, err
		case size != d.Size:
			return false, fmt.Errorf("%s: %w", p.Path, &content.MismatchError{Want: d, Size: size})
		}
		return true, nil
	}
	return false, nil
}

// Source returns what is in the chain, the newest first, and else in store.
func (c Chain) Source(store Stock) Stock {
	s := &sources{}
	for _, p := range slices.Backward(c) {
		s.all = append(s.all, p)
	}
	s.all = append(s.all, store)
	return s
}

// sources are asked one after the other. They have to be asked by digest.
type sources struct{ all []Stock }

// Manifest implements [content.Source].
func (s *sources) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	return ask(s, func(one Stock) (content.Manifest, error) { return one.Manifest(ctx, ref) })
}

// Open implements [content.Source].
func (s *sources) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	return ask(s, func(one Stock) (io.ReadCloser, error) { return one.Open(ctx, d, r) })
}

// BlobSize implements [content.Sizer].
func (s *sources) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	return ask(s, func(one Stock) (int64, error) { return one.BlobSize(ctx, d) })
}

// ask returns the first answer that is not that nothing is there.
func ask[T any](s *sources, question func(Stock) (T, error)) (answer T, err error) {
	for _, one := range s.all {
		if answer, err = question(one); !errors.Is(err, content.ErrNotFound) {
			break
		}
	}
	return answer, err
}
