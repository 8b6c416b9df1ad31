package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// BuildxResult is what `docker buildx imagetools inspect` says of an image with
// --format '{{json .}}', and so does `wherry inspect --compat buildx`
// (docs/schemas/inspect-buildx.json).
// https://docs.docker.com/reference/cli/docker/buildx/imagetools/inspect/
type BuildxResult struct {
	Name     string `json:"name"`
	Manifest any    `json:"manifest"`        // a BuildxIndex, or the descriptor of a single manifest
	Image    any    `json:"image,omitempty"` // the config, or of several platforms each one's

	// SBOM and Provenance are for templates, and read where one has them: a
	// BuildxSBOM and a BuildxProvenance, or of several platforms maps of those that
	// there are.
	SBOM       any `json:"-"`
	Provenance any `json:"-"`
}

// A BuildxIndex is an index with its own digest and size.
type BuildxIndex struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType,omitempty"`
	Digest        digest.Digest        `json:"digest"`
	Size          int64                `json:"size"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Annotations   map[string]string    `json:"annotations,omitempty"`
}

// inspectBuildx shows an image as buildx does: as text from the root alone, as JSON
// or by a template with the configs of all platforms.
func inspectBuildx(ctx context.Context, f *Factory, p *place) (render.Result, error) {
	root, err := p.root(ctx)
	if err != nil {
		return render.Result{}, err
	}
	f.warnAmbiguous(root)
	quiet := []string{root.Digest().String()}
	if !f.Flags.asked() {
		return render.Result{Raw: p.buildxText(root), Quiet: quiet}, nil
	}
	single := root.Descriptor()
	single.ArtifactType = "" // as it stands in no index, buildx knows of none
	r := BuildxResult{Name: p.at.FullName(), Manifest: single}
	if root.IsIndex() {
		index := BuildxIndex{SchemaVersion: 2, MediaType: root.MediaType(), Digest: root.Digest(), Size: root.Size(), Manifests: []ocispec.Descriptor{}}
		index.Manifests = append(index.Manifests, root.Children()...)
		index.Annotations = root.Annotations()
		r.Manifest = index
	}
	below, err := p.below(f)
	if err != nil {
		return render.Result{}, err
	}
	g, err := loadThere(ctx, below.Source, root)
	if err != nil {
		return render.Result{}, p.fail(err)
	}
	images, err := below.configs(ctx, g)
	if err != nil {
		return render.Result{}, p.fail(err)
	}
	if len(images) > 0 {
		r.Image = perPlatform(images, func(i buildxImage) (*ocispec.Image, bool) { return i.config, true })
	}
	if err := below.addAttested(ctx, f, g, images, &r); err != nil {
		return render.Result{}, p.fail(err)
	}
	return render.Result{Value: r, Quiet: quiet}, nil
}

// A buildxImage is an image and its config.
type buildxImage struct {
	digest digest.Digest
	config *ocispec.Image
}

// perPlatform returns what of returns of the images that have it: of several platforms
// a map, of one that alone, which is the zero V where it has none.
func perPlatform[V any](images map[string]buildxImage, of func(buildxImage) (V, bool)) any {
	var one V
	all := map[string]V{}
	for platform, i := range images {
		v, ok := of(i)
		one = v
		if ok {
			all[platform] = v
		}
	}
	if len(images) > 1 {
		return all
	}
	return one
}

// mostConfigs is how many bytes the configs of one image may have all together.
const mostConfigs = 16 << 20

// configs reads the configs of all images of g, by the platform that the index
// states, or else the config. Of several for one platform the last counts.
func (p *place) configs(ctx context.Context, g *content.Graph) (map[string]buildxImage, error) {
	images, stated := imagesOf(g), statedIn(g)
	left := int64(mostConfigs)
	for _, m := range images {
		config, _ := m.ImageConfig()
		if left -= config.Size; left < 0 {
			return nil, fmt.Errorf("the configs have more than %d bytes: %w", mostConfigs, content.ErrInvalid)
		}
	}
	configs := make([]ocispec.Image, len(images))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listJobs)
	for i, m := range images {
		group.Go(func() error {
			raw, err := content.ReadConfig(ctx, p, m, content.Limits{})
			if err != nil {
				return err
			}
			if err := json.Unmarshal(raw, &configs[i]); err != nil {
				return fmt.Errorf("config of %s: %w: %w", m.Digest(), err, content.ErrInvalid)
			}
			return nil
		})
	}
	err := group.Wait()
	all := map[string]buildxImage{}
	for i, m := range images {
		platform := configs[i].Platform
		if stated[m.Digest()] != nil {
			platform = *stated[m.Digest()]
		}
		all[content.PlatformOf(platform).String()] = buildxImage{m.Digest(), &configs[i]}
	}
	return all, err
}

// statedIn returns the platforms that the indexes of g state, by digest.
func statedIn(g *content.Graph) map[digest.Digest]*ocispec.Platform {
	stated := map[digest.Digest]*ocispec.Platform{}
	for child := range childrenOf(g) {
		stated[child.Digest] = child.Platform
	}
	return stated
}

// buildxText is what buildx writes for people. Outside text in it is escaped.
func (p *place) buildxText(root content.Manifest) io.WriterTo {
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	fact(tw, "Name:", p.at.FullName())
	fact(tw, "MediaType:", root.MediaType())
	fact(tw, "Digest:", root.Digest().String())
	_ = tw.Flush()
	if root.IsIndex() {
		fact(tw, "", "")
		fact(tw, "Manifests:", "")
		_ = tw.Flush()
	}
	for i, d := range root.Children() {
		if i > 0 {
			fact(tw, "", "")
		}
		repository, _, _ := strings.Cut(p.at.FullName(), "@")
		fact(tw, "  Name:", repository+"@"+d.Digest.String())
		fact(tw, "  MediaType:", d.MediaType)
		if d.Platform == nil {
			continue // nor does buildx show annotations then
		}
		fact(tw, "  Platform:", written(*d.Platform))
		for _, optional := range [][2]string{
			{"  OSVersion:", d.Platform.OSVersion}, {"  OSFeatures:", strings.Join(d.Platform.OSFeatures, ", ")}, {"  URLs:", strings.Join(d.URLs, ", ")},
		} {
			if optional[1] != "" {
				fact(tw, optional[0], optional[1])
			}
		}
		if len(d.Annotations) == 0 {
			continue
		}
		fact(tw, "  Annotations:", "")
		_ = tw.Flush() // a buffer takes all
		for _, key := range slices.Sorted(maps.Keys(d.Annotations)) {
			fact(tw, "    "+key+":", d.Annotations[key])
		}
		_ = tw.Flush()
	}
	_ = tw.Flush()
	return &b
}

// written returns a platform as it is written, v8 of arm64 included.
func written(p ocispec.Platform) string {
	parts := slices.DeleteFunc([]string{cmp.Or(p.OS, "unknown"), p.Architecture, p.Variant}, func(s string) bool { return s == "" })
	return strings.Join(parts, "/")
}

// fact writes a line of a name and a value, with the values of lines that follow
// each other below each other.
func fact(w io.Writer, name, value string) {
	_, _ = fmt.Fprintf(w, "%s\t%s\n", term.Safe(name), term.Safe(value)) // a buffer takes all
}
