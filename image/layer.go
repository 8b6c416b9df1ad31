package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/packed"
	"github.com/wherry-dev/wherry/internal/spool"
)

// read calls do for each entry of l, in order, and writes all of its tar to raw.
// Wrong bytes are [content.ErrCorrupt] whatever else seems to be wrong with them.
func (l layer) read(ctx context.Context, src content.Source, most int64, raw io.Writer, do func(*tar.Header, io.Reader) error) error {
	rc, err := content.NewBlob(src, l.Descriptor).Open(ctx, content.Range{})
	if err != nil {
		return err
	}
	defer rc.Close()
	verified, err := content.VerifyReader(rc, l.Descriptor)
	if err != nil {
		return err
	}
	in := packed.NewInput(ctx, verified)
	err = entries(in, most, raw, do)
	if err != nil && !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrCorrupt) {
		return in.Blame(err)
	}
	if _, rerr := io.Copy(io.Discard, in); rerr != nil {
		return rerr
	}
	return in.Blame(err)
}

// entries unpacks in and reads the tar in it.
func entries(in *packed.Input, most int64, raw io.Writer, do func(*tar.Header, io.Reader) error) error {
	unpacked, err := packed.Unpack(in, most)
	if err != nil {
		return err
	}
	defer unpacked.Close()
	all := io.TeeReader(unpacked, raw)
	tr := tar.NewReader(all)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return broken(err)
		}
		if err := do(h, tr); err != nil {
			return broken(err)
		}
	}
	_, err = io.Copy(io.Discard, all) // padding
	return err
}

// broken gives an error of package tar its class.
func broken(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the tar is cut off: %w", content.ErrInvalid)
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return fmt.Errorf("the tar is broken: %w: %w", err, content.ErrInvalid)
	}
	return err
}

// A keeper is a source that keeps the layers it is told to in temporary files.
type keeper struct {
	content.Source

	dir   string
	files map[digest.Digest]*spool.File
}

// keep reads layers into files, each once. They are verified; what was corrupt is
// read again, as [content.Reread] has it.
func (k *keeper) keep(ctx context.Context, layers []layer) error {
	k.files = map[digest.Digest]*spool.File{}
	for _, l := range layers {
		if k.files[l.Digest] != nil {
			continue
		}
		f, err := spool.Create(k.dir)
		if err != nil {
			return err
		}
		k.files[l.Digest] = f
		b := content.NewBlob(k.Source, l.Descriptor)
		if err := content.Reread(ctx, b, func() error { return fill(ctx, f, b) }); err != nil {
			return fmt.Errorf("layer %s: %w", l.Digest, err)
		}
	}
	return nil
}

// fill writes b to f, from its start.
func fill(ctx context.Context, f *spool.File, b content.Blob) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	rc, err := b.Open(ctx, content.Range{})
	if err != nil {
		return err
	}
	defer rc.Close()
	r, err := content.VerifyReader(rc, b.Descriptor())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return err
}

// Open implements [content.Source].
func (k *keeper) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	f := k.files[d.Digest]
	if f == nil {
		return k.Source.Open(ctx, d, r)
	}
	off, n, err := r.Resolve(d.Size)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.NewSectionReader(f, off, n)), nil
}

func (k *keeper) close() error {
	var errs []error
	for _, f := range k.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
