package image

import (
	"context"
	"encoding/json"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// mediaTypeStatement is that of an in-toto statement, which BuildKit keeps as a layer.
// https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
const mediaTypeStatement = "application/vnd.in-toto+json"

// Statements returns the in-toto statements among the layers of m, an attestation of
// BuildKit's, whose predicate is of a type that is meant.
func Statements(m content.Manifest, means func(predicateType string) bool) []ocispec.Descriptor {
	var found []ocispec.Descriptor
	for _, l := range m.Layers() {
		if predicateType, ok := l.Annotations[inTotoPredicate]; ok && l.MediaType == mediaTypeStatement && means(predicateType) {
			found = append(found, l)
		}
	}
	return found
}

// A statement is what is read of an in-toto statement.
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
type statement struct {
	PredicateType string `json:"predicateType"`
	Predicate     any    `json:"predicate"`
}

// ReadPredicate returns what the statement d, one of [Statements], says, as package
// encoding/json decodes it; nil where it says nothing. What is no statement, or one of
// another type than the manifest calls it, is [content.ErrInvalid]. As many bytes as d
// says are held in memory, and several times that once decoded: how many may be is for
// the caller to say.
func ReadPredicate(ctx context.Context, src content.Source, d ocispec.Descriptor) (any, error) {
	raw, err := content.ReadBlob(ctx, src, d)
	if err != nil {
		return nil, err
	}
	var s statement
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("attestation %s: %w: %w", d.Digest, err, content.ErrInvalid)
	}
	if want := d.Annotations[inTotoPredicate]; s.PredicateType != want {
		return nil, fmt.Errorf("attestation %s is of type %.80q, and its manifest says %.80q: %w", d.Digest, s.PredicateType, want, content.ErrInvalid)
	}
	return s.Predicate, nil
}
