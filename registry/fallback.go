package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// errNoIndex is a fallback tag that names something else than an index: it is
// somebody's own tag, and left alone.
var errNoIndex = fmt.Errorf("the referrers tag names no index: %w", content.ErrConflict)

// fallbackTag is where a registry without the referrers API keeps the referrers
// of subject.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
func fallbackTag(subject digest.Digest) string {
	alg, hex := string(subject.Algorithm()), subject.Encoded()
	return alg[:min(len(alg), 32)] + "-" + hex[:min(len(hex), 64)]
}

// fallbackIndex returns the index under the fallback tag of subject. What is no
// index is errNoIndex, and a warning.
func (r *Repository) fallbackIndex(ctx context.Context, subject digest.Digest) (content.Manifest, error) {
	tag := fallbackTag(subject)
	m, err := r.Manifest(ctx, tag)
	if err != nil {
		return content.Manifest{}, err
	}
	if !m.IsIndex() {
		r.host.client.log().WarnContext(ctx, "tag for referrers names no index and is left alone", "repository", r.String(), "tag", tag, "media_type", m.MediaType())
		return content.Manifest{}, errNoIndex
	}
	return m, nil
}

// mergeReferrer adds d to the fallback index of subject, and looks again
// whether it stayed: others may write the same tag. Within the process one
// writes at a time.
func (r *Repository) mergeReferrer(ctx context.Context, subject digest.Digest, d ocispec.Descriptor) error {
	free, err := r.host.merges.lock(ctx, r.name+"@"+subject.String())
	if err != nil {
		return err
	}
	defer free()
	tag := fallbackTag(subject)
	for try := 1; ; try++ {
		index, err := r.fallbackIndex(ctx, subject)
		switch {
		case errors.Is(err, errNoIndex):
			return nil
		case err != nil && !errors.Is(err, content.ErrNotFound):
			return fmt.Errorf("referrers of %s: %w", subject, err)
		case err == nil && hasChild(index, d.Digest):
			return nil
		case try > r.host.client.retries():
			return fmt.Errorf("referrers of %s: others kept overwriting tag %s: %w", subject, tag, content.ErrConflict)
		}
		if try > 1 {
			if err := httpx.Wait(ctx, httpx.Backoff(r.host.client.backoff(), try-1)); err != nil {
				return err
			}
		}
		raw, err := withChild(index, d)
		if err != nil {
			return fmt.Errorf("referrers of %s: %w", subject, err)
		}
		if _, err := r.put(ctx, tag, ocispec.MediaTypeImageIndex, raw); err != nil {
			return fmt.Errorf("referrers of %s: %w", subject, err)
		}
		now, err := r.Resolve(ctx, tag)
		if err == nil && now.Digest == now.Digest.Algorithm().FromBytes(raw) {
			return nil
		}
	}
}

func hasChild(index content.Manifest, d digest.Digest) bool {
	return slices.ContainsFunc(index.Children(), func(c ocispec.Descriptor) bool { return c.Digest == d })
}

// withChild returns the bytes of index, or of a new one, with one more child.
// What others wrote into it stays, known to wherry or not.
func withChild(index content.Manifest, d ocispec.Descriptor) ([]byte, error) {
	fields := map[string]json.RawMessage{}
	var children []json.RawMessage
	if !index.IsZero() {
		if err := index.Ambiguous(); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(index.Raw(), &fields); err != nil {
			return nil, fmt.Errorf("%w: %w", err, content.ErrInvalid)
		}
		if err := json.Unmarshal(fields["manifests"], &children); fields["manifests"] != nil && err != nil {
			return nil, fmt.Errorf("%w: %w", err, content.ErrInvalid)
		}
	}
	child, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	all, err := json.Marshal(append(children, child))
	if err != nil {
		return nil, err
	}
	fields["schemaVersion"] = json.RawMessage("2")
	fields["mediaType"] = json.RawMessage(`"` + ocispec.MediaTypeImageIndex + `"`)
	fields["manifests"] = all
	return json.Marshal(fields)
}
