package layout

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
)

// BlobSize implements [content.Sizer].
func (l *Layout) BlobSize(_ context.Context, d digest.Digest) (int64, error) { return l.disk.size(d) }

// BlobSize implements [content.Sizer].
func (d *Dir) BlobSize(_ context.Context, b digest.Digest) (int64, error) { return d.disk.size(b) }

func (k *disk) size(d digest.Digest) (int64, error) {
	f, err := k.openBlob(d)
	if err != nil {
		return 0, err
	}
	fi, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, k.fail("open", k.place(d), err)
	}
	return fi.Size(), nil
}
