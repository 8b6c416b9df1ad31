package registry

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// errNoIndex is a fallback tag that names something else than an index: it is
// somebody's own tag, and left alone.
var errNoIndex = fmt.Errorf("the referrers tag names no index: %w", content.ErrConflict)

// fallbackIndex returns the index under the fallback tag of subject. What is no
// index is errNoIndex, and a warning.
func (r *Repository) fallbackIndex(ctx context.Context, subject digest.Digest) (content.Manifest, error) {
	tag := content.FallbackTag(subject)
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

// missingFrom returns those of all that index, which may be none, does not list.
func missingFrom(index content.Manifest, all []ocispec.Descriptor) []ocispec.Descriptor {
	listed := map[digest.Digest]bool{}
	for _, c := range index.Children() {
		listed[c.Digest] = true
	}
	var missing []ocispec.Descriptor
	for _, d := range all {
		if !listed[d.Digest] {
			listed[d.Digest] = true
			missing = append(missing, d)
		}
	}
	return missing
}

// withChildren returns the bytes of index, or of a new one, with more children.
// What others wrote into it stays, known to wherry or not.
func withChildren(index content.Manifest, more []ocispec.Descriptor) ([]byte, error) {
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
	for _, d := range more {
		child, err := json.Marshal(d)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	all, err := json.Marshal(children)
	if err != nil {
		return nil, err
	}
	fields["schemaVersion"] = json.RawMessage("2")
	fields["mediaType"] = json.RawMessage(`"` + ocispec.MediaTypeImageIndex + `"`)
	fields["manifests"] = all
	return json.Marshal(fields)
}
