package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

// A BuildxSBOM is what templates of buildx have of the SBOMs of an image.
type BuildxSBOM struct {
	SPDX            any   `json:",omitempty"` // a document
	AdditionalSPDXs []any `json:",omitempty"` // more of them, such as of stages of the build
}

// A BuildxProvenance is what templates of buildx have of how an image was built.
type BuildxProvenance struct {
	SLSA any `json:",omitempty"`
}

// mostAttested is how many bytes the SBOMs of all platforms may have together, and the
// provenances.
const mostAttested = 32 << 20

// addAttested adds to r what is attested of images, as far as the template has it. That
// of the index something is not there is a warning then.
func (p *place) addAttested(ctx context.Context, f *Factory, g *content.Graph, images map[string]buildxImage, r *BuildxResult) error {
	r.SBOM, r.Provenance = BuildxSBOM{}, BuildxProvenance{}
	format := f.Flags.format()
	if missing := sayMissing(g); missing != "" && (format.Has("SBOM") || format.Has("Provenance")) {
		f.Warn("%s", missing)
	}
	about := attestationsIn(g)
	if format.Has("SBOM") {
		said, err := p.predicates(ctx, images, func(d digest.Digest) []ocispec.Descriptor { return sbomsIn(about[d]) })
		if err != nil {
			return err
		}
		r.SBOM = perPlatform(images, func(i buildxImage) (BuildxSBOM, bool) {
			if len(said[i.digest]) == 0 {
				return BuildxSBOM{}, false
			}
			return BuildxSBOM{said[i.digest][0], said[i.digest][1:]}, true
		})
	}
	if format.Has("Provenance") {
		said, err := p.predicates(ctx, images, func(d digest.Digest) []ocispec.Descriptor { return provenanceIn(about[d]) })
		if err != nil {
			return err
		}
		r.Provenance = perPlatform(images, func(i buildxImage) (BuildxProvenance, bool) {
			if len(said[i.digest]) == 0 {
				return BuildxProvenance{}, false
			}
			return BuildxProvenance{said[i.digest][0]}, true
		})
	}
	return nil
}

// attestationsIn returns the attestations that are in g, by what they are about, in
// the order of their index.
func attestationsIn(g *content.Graph) map[digest.Digest][]content.Manifest {
	about := map[digest.Digest][]content.Manifest{}
	for child := range childrenOf(g) {
		if m, there := g.Manifests[child.Digest]; there && content.IsAttestation(child) {
			subject := digest.Digest(child.Annotations[content.AnnotationReferenceDigest])
			about[subject] = append(about[subject], m)
		}
	}
	return about
}

// sbomsIn returns the SBOMs in attestations of one image. Buildx knows those of SPDX.
func sbomsIn(attestations []content.Manifest) []ocispec.Descriptor {
	var all []ocispec.Descriptor
	for _, m := range attestations {
		all = append(all, image.Statements(m, func(t string) bool { return t == "https://spdx.dev/Document" })...)
	}
	return all
}

// provenanceIn returns the provenance in attestations of one image, at most one: as
// with buildx that of the last, and in there the first.
func provenanceIn(attestations []content.Manifest) []ocispec.Descriptor {
	for _, m := range slices.Backward(attestations) {
		all := image.Statements(m, func(t string) bool { return strings.HasPrefix(t, "https://slsa.dev/provenance/") })
		if len(all) > 0 {
			return all[:1]
		}
	}
	return nil
}

// predicates reads the statements that of returns of the digests of images, and returns
// in the same order what each says.
func (p *place) predicates(ctx context.Context, images map[string]buildxImage, of func(digest.Digest) []ocispec.Descriptor) (map[digest.Digest][]any, error) {
	statements := map[digest.Digest][]ocispec.Descriptor{}
	left := int64(mostAttested)
	for _, i := range images {
		statements[i.digest] = of(i.digest)
		for _, d := range statements[i.digest] {
			if d.Size > left {
				return nil, fmt.Errorf("the attestations have more than %d bytes: %w", mostAttested, content.ErrInvalid)
			}
			left -= d.Size
		}
	}
	said := map[digest.Digest][]any{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listJobs)
	for subject, all := range statements {
		into := make([]any, len(all))
		said[subject] = into
		for i, d := range all {
			group.Go(func() (err error) {
				into[i], err = image.ReadPredicate(ctx, p, d)
				return err
			})
		}
	}
	return said, group.Wait()
}
