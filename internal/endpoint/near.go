package endpoint

import (
	"context"
	"errors"
	"io"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
)

// A nearSource takes the blobs from a layout near by that are there, and
// everything else from its source: what a registry has, only it can say, but
// the bytes of a digest are the same everywhere.
type nearSource struct {
	content.Source
	near func() (*layout.Layout, error)
}

var _ content.Replicated = (*nearSource)(nil)

// Near returns src, which is open, with the store in front of it: blobs that are
// in the store are not asked for again. It is closed with the store. Where there is
// no store, or none that can be read, src is as it was.
func (o *Opener) Near(src *Source) *Source {
	if o.Store == "" || src.Found != Registry {
		return src
	}
	n := &nearSource{Source: src.Source}
	opened := false
	n.near = sync.OnceValues(func() (*layout.Layout, error) {
		l, err := o.Layout.Open(o.Store)
		opened = err == nil
		return l, err
	})
	with := *src
	with.Source = n
	with.close = func() error {
		if !opened {
			return src.close()
		}
		l, err := n.near()
		return errors.Join(err, l.Close(), src.close())
	}
	return &with
}

// Unwrap shows what the source can do.
func (n *nearSource) Unwrap() any { return n.Source }

// Open implements [content.Source].
func (n *nearSource) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	if l, err := n.near(); err == nil {
		if rc, err := l.Open(ctx, d, r); err == nil {
			return rc, nil
		}
	}
	return n.Source.Open(ctx, d, r)
}

// Replicas implements [content.Replicated]: of a blob that is near there are none.
func (n *nearSource) Replicas(ctx context.Context, d ocispec.Descriptor) []content.Replica {
	far, ok := content.As[content.Replicated](n.Source)
	if !ok || n.has(ctx, d) {
		return nil
	}
	return far.Replicas(ctx, d)
}

func (n *nearSource) has(ctx context.Context, d ocispec.Descriptor) bool {
	l, err := n.near()
	if err != nil {
		return false
	}
	there, err := l.Has(ctx, d)
	return err == nil && there
}
