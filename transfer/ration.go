package transfer

import (
	"context"
	"sync/atomic"

	"github.com/wherry-dev/wherry/content"
)

// A ration is how many bytes of manifests may be read: each of many may be
// within the limits, and all together have to be within them too.
type ration struct {
	of   string // the manifests, for the message
	most int64
	used atomic.Int64
}

type rationed struct {
	content.Source
	ration *ration
}

// Unwrap shows the abilities of the source.
func (r rationed) Unwrap() any { return r.Source }

// Manifest reads one more, if there is some of the ration left.
func (r rationed) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	if err := r.ration.take(0); err != nil {
		return content.Manifest{}, err
	}
	m, err := r.Source.Manifest(ctx, ref)
	if err != nil {
		return m, err
	}
	return m, r.ration.take(m.Size())
}

func (r *ration) take(n int64) error {
	if r.used.Add(n) > r.most {
		return invalidf("%s have more than %d bytes", r.of, r.most)
	}
	return nil
}
