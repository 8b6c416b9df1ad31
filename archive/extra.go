package archive

import (
	"bytes"
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// Assume notes blobs and manifests that whoever reads the archive has already.
// They are not written: Has finds them, and what is put may need them. The archive
// is whole only together with what has them. It is called before anything is put.
func (w *Writer) Assume(blobs ...ocispec.Descriptor) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range blobs {
		w.assumed[d.Digest] = d.Size
	}
}

// SetIndex makes raw the index.json that Commit writes, in place of one that is
// made of the names that were put. There is no manifest.json then: the archive is
// an OCI layout only.
func (w *Writer) SetIndex(raw []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index = bytes.Clone(raw)
}

// PutFile writes a file beside those that a layout has. What name leads out of
// the archive, or is that of another file of it, is the caller's to avoid.
func (w *Writer) PutFile(ctx context.Context, name string, raw []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ready(ctx); err != nil {
		return err
	}
	return w.entry(name, int64(len(raw)), bytes.NewReader(raw))
}

// File returns the file called name, of at most limit bytes: index.json, or one
// that [Writer.PutFile] wrote. One that is not there is [content.ErrNotFound]; one
// that is no regular file, stands there twice or is larger is [content.ErrInvalid].
func (a *Archive) File(name string, limit int64) ([]byte, error) {
	if !a.index.has(name) {
		return nil, a.fail(a.index.missing(fmt.Errorf("%q is not in it: %w", clip(name), content.ErrNotFound)))
	}
	f, err := a.index.unique(name)
	if err != nil {
		return nil, a.fail(err)
	}
	raw, err := a.small(name, f, limit)
	if err != nil {
		return nil, a.fail(err)
	}
	return raw, nil
}
