package image

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A Kind is what a manifest is.
type Kind string

// The kinds. The first three are told by artifact type, by what a sigstore bundle
// says that it holds, or by the ending of a digest tag.
const (
	KindSignature   Kind = "signature"
	KindSBOM        Kind = "sbom"
	KindAttestation Kind = "attestation"
	KindArtifact    Kind = "artifact" // anything else
	KindImage       Kind = "image"
	KindIndex       Kind = "index"
)

// A Referrer is a manifest that says something of another.
type Referrer struct {
	Kind   Kind
	Type   string // artifact type as a list has it, at most 255 bytes of it; empty where it is not told
	Digest digest.Digest
	Tag    string // digest tag that leads to it; empty where it refers by itself
}

// Annotations that tell what is in a sigstore bundle or an attestation.
// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
const (
	bundleType      = "application/vnd.dev.sigstore.bundle"
	bundleContent   = "dev.sigstore.bundle.content"
	bundlePredicate = "dev.sigstore.bundle.predicateType"
	signPredicate   = "https://sigstore.dev/cosign/sign/v1"

	inTotoPredicate = "in-toto.io/predicate-type" // BuildKit's
	cosignPredicate = "predicateType"
)

// kindOf returns what a referrer is, by its artifact type and its annotations.
func kindOf(artifactType string, annotations map[string]string) Kind {
	t := strings.ToLower(clipped(artifactType))
	if strings.HasPrefix(t, bundleType) {
		return kindOfBundle(annotations)
	}
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(t, word) })
	}
	switch {
	case has("signature", "simplesigning", "artifact.sig."):
		return KindSignature
	case isSBOM(t):
		return KindSBOM
	case has("in-toto", "dsse", "attestation", "slsa", "provenance"):
		return KindAttestation
	}
	return KindArtifact
}

func kindOfBundle(annotations map[string]string) Kind {
	predicate := annotations[bundlePredicate]
	switch {
	case annotations[bundleContent] == "message-signature", predicate == signPredicate:
		return KindSignature
	case isSBOM(predicate):
		return KindSBOM
	}
	return KindAttestation
}

// isSBOM reports whether an artifact type or a predicate's type is that of an SBOM.
func isSBOM(t string) bool {
	t = strings.ToLower(clipped(t))
	return slices.ContainsFunc([]string{"sbom", "spdx", "cyclonedx", "syft"}, func(word string) bool { return strings.Contains(t, word) })
}

// kindOfTag returns what cosign keeps under a digest tag.
func kindOfTag(tag string) Kind {
	switch {
	case strings.HasSuffix(tag, ".sig"):
		return KindSignature
	case strings.HasSuffix(tag, ".att"):
		return KindAttestation
	case strings.HasSuffix(tag, ".sbom"):
		return KindSBOM
	}
	return KindArtifact
}

// clipped returns as much of s as is kept of a text that is no name.
func clipped(s string) string { return strings.Clone(s[:min(len(s), 255)]) }

// gather takes what a list of referrers yields. Of each no more is kept than is
// shown. Where there is no such list at all, nothing is found.
func gather(list iter.Seq2[ocispec.Descriptor, error], most int) ([]Referrer, error) {
	var found []Referrer
	for d, err := range list {
		if content.IsMissing(err) && len(found) == 0 {
			return nil, nil
		}
		if err != nil {
			return found, err
		}
		if len(found) == most {
			return found, fmt.Errorf("more than %d manifests refer to it: %w", most, content.ErrInvalid)
		}
		found = append(found, Referrer{Kind: kindOf(d.ArtifactType, d.Annotations), Type: clipped(d.ArtifactType), Digest: d.Digest})
	}
	return found, nil
}

// followTag returns what a digest tag leads to, if there is one. A fallback tag
// leads to a list.
func followTag(ctx context.Context, src content.Source, name string) ([]Referrer, error) {
	tag := content.TagOf(name)
	resolver, ok := content.As[content.Resolver](src)
	if !ok || kindOfTag(tag) == KindArtifact {
		return readTag(ctx, src, name)
	}
	d, err := resolver.Resolve(ctx, name)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []Referrer{{Kind: kindOfTag(tag), Digest: d.Digest, Tag: tag}}, nil
}

// readTag is followTag with the manifest that the tag names.
func readTag(ctx context.Context, src content.Source, name string) ([]Referrer, error) {
	tag := content.TagOf(name)
	m, err := src.Manifest(ctx, name)
	switch {
	case isAbsent(err):
		return nil, nil
	case err != nil:
		return nil, err
	case kindOfTag(tag) != KindArtifact:
		return []Referrer{{Kind: kindOfTag(tag), Digest: m.Digest(), Tag: tag}}, nil
	}
	var listed []Referrer
	for _, d := range m.Children() {
		listed = append(listed, Referrer{Kind: kindOf(d.ArtifactType, d.Annotations), Type: clipped(d.ArtifactType), Digest: d.Digest, Tag: tag})
	}
	return listed, nil
}

// isAbsent reports whether err says that there is no such tag. Some registries
// deny what they do not have.
func isAbsent(err error) bool { return content.IsMissing(err) || errors.Is(err, content.ErrHidden) }

// digestTags are those of the names in a place under which clients keep what
// refers to something.
type digestTags struct {
	names  map[string]bool
	listed bool // false where the place has no list of names, or shows it to nobody
}

// mostDigestTags is more than any repository has.
const mostDigestTags = 1 << 20

func listDigestTags(ctx context.Context, src content.Source) (digestTags, error) {
	lister, ok := content.As[content.TagLister](src)
	if !ok {
		return digestTags{}, nil
	}
	t := digestTags{names: map[string]bool{}, listed: true}
	for name, err := range lister.Tags(ctx) {
		switch {
		case isAbsent(err) || errors.Is(err, content.ErrDenied):
			return digestTags{}, nil
		case err != nil:
			return digestTags{}, err
		case content.IsDigestTag(name) && len(t.names) < mostDigestTags:
			t.names[name] = true
		}
	}
	return t, nil
}

// of returns the names of the digest tags of subject in the repository of name:
// those that are listed, or where none are all that there may be.
func (t digestTags) of(name string, subject digest.Digest) []string {
	var names []string
	for _, tag := range append(content.DigestTags(subject), content.FallbackTag(subject)) {
		if full := content.BesideName(name, tag); !t.listed || t.names[full] {
			names = append(names, full)
		}
	}
	return names
}
