package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
)

// ImageInspectResult is an image as `docker image inspect` shows it.
// https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Image/operation/ImageInspect
type ImageInspectResult struct {
	ID           digest.Digest      `json:"Id"`
	RepoTags     []string           `json:"RepoTags"`
	RepoDigests  []string           `json:"RepoDigests"`
	Comment      string             `json:"Comment,omitempty"`
	Created      string             `json:"Created,omitempty"`
	Author       string             `json:"Author,omitempty"`
	Config       *ImageConfig       `json:"Config"`
	Architecture string             `json:"Architecture"`
	Variant      string             `json:"Variant,omitempty"`
	Os           string             `json:"Os"` // as docker's templates have it
	OsVersion    string             `json:"OsVersion,omitempty"`
	Size         int64              `json:"Size"` // of the layers as they are stored
	RootFS       ImageRootFS        `json:"RootFS"`
	Metadata     ImageMetadata      `json:"Metadata"`
	Descriptor   ocispec.Descriptor `json:"Descriptor"`
}

// Id is ID. Docker's templates have both, the one after its struct and the other
// after its JSON.
func (r *ImageInspectResult) Id() digest.Digest { return r.ID }

// ImageConfig is what containers of an image run with, as its config says it.
type ImageConfig struct {
	Hostname     string              `json:"Hostname,omitempty"`
	Domainname   string              `json:"Domainname,omitempty"`
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Healthcheck  *ImageHealthcheck   `json:"Healthcheck,omitempty"`
	ArgsEscaped  bool                `json:"ArgsEscaped,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	OnBuild      []string            `json:"OnBuild,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
	Shell        []string            `json:"Shell,omitempty"`
}

// ImageHealthcheck is how it is found out whether a container works. Times are in
// nanoseconds.
type ImageHealthcheck struct {
	Test          []string      `json:"Test,omitempty"`
	Interval      time.Duration `json:"Interval,omitempty"`
	Timeout       time.Duration `json:"Timeout,omitempty"`
	StartPeriod   time.Duration `json:"StartPeriod,omitempty"`
	StartInterval time.Duration `json:"StartInterval,omitempty"`
	Retries       int           `json:"Retries,omitempty"`
}

// ImageRootFS has the digests of the unpacked layers.
type ImageRootFS struct {
	Type   string          `json:"Type"`
	Layers []digest.Digest `json:"Layers,omitempty"`
}

// ImageMetadata is what no manifest says. But for the first it is wherry's.
type ImageMetadata struct {
	LastTagTime time.Time `json:"LastTagTime"`         // when it came into the store or got a name last
	PulledAt    time.Time `json:"PulledAt,omitzero"`   // when it was pulled, loaded or imported last
	LastUsedAt  time.Time `json:"LastUsedAt,omitzero"` // when anything was done with it last, this time left out
	Source      string    `json:"Source,omitempty"`    // where it came from: a reference, or a file
}

type imageInspectOptions struct {
	Platform Platform
	Pull     choice[pullPolicy]
}

func newImageInspect(f *Factory) *cobra.Command {
	var o imageInspectOptions
	cmd := &cobra.Command{
		Use:   "inspect IMAGE…",
		Short: "Show images as docker image inspect does",
		Long: "Show images of the local store, or else of their registries, in the form of docker image inspect. Size is that of the\n" +
			"layers as they are stored, compressed mostly.",
		Example: "  wherry image inspect nginx:1.27\n" +
			"  wherry image inspect --format '{{.RootFS.Layers}}' nginx:1.27",
		Args: minArgs(1),
	}
	cmd.Flags().Var(&o.Platform, "platform", "of the image for `PLATFORM`, os/arch[/variant], in an index; this machine's by default")
	cmd.Flags().VarP(&f.Flags.Format, "format", "f", formatUsage)
	bindPull(cmd.Flags(), &o.Pull)
	f.completeStored(cmd, anyNumber, cobra.ShellCompDirectiveDefault)
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		found := []*ImageInspectResult{} // templates call their methods
		var errs []error
		for _, arg := range args {
			one, err := inspectImage(ctx, f, arg, o)
			if err == nil {
				found = append(found, &one)
			}
			errs = append(errs, about(arg, err))
		}
		raw, err := json.MarshalIndent(found, "", "    ")
		return render.Result{Value: found, Raw: f.exact(append(raw, '\n'))}, errors.Join(partly(errs, len(found)), err)
	})
}

func inspectImage(ctx context.Context, f *Factory, arg string, o imageInspectOptions) (_ ImageInspectResult, err error) {
	e, err := f.stored(ctx, arg, o.Pull.value)
	if err != nil {
		return ImageInspectResult{}, err
	}
	p, err := f.lookAt(ctx, e)
	if err != nil {
		return ImageInspectResult{}, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	root, err := p.root(ctx)
	if err != nil {
		return ImageInspectResult{}, noSuchImage(arg, e, err)
	}
	m, err := p.only(ctx, o.Platform)
	if err != nil {
		return ImageInspectResult{}, err
	}
	result := ImageInspectResult{ID: m.Digest(), Descriptor: pointTo(root), RepoTags: []string{}, RepoDigests: []string{}}
	if err := result.addConfig(ctx, p, m); err != nil {
		return ImageInspectResult{}, err
	}
	for _, layer := range m.Layers() {
		result.Size += layer.Size
	}
	err = result.addNames(ctx, f, e, root.Digest())
	f.noteUsed(ctx, e)
	return result, err
}

// pointTo returns what points at m, as registries have it.
func pointTo(m content.Manifest) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: m.MediaType(), Digest: m.Digest(), Size: m.Size()}
}

// addConfig adds what the config of m says.
func (r *ImageInspectResult) addConfig(ctx context.Context, p *place, m content.Manifest) error {
	d, ok := m.ImageConfig()
	if !ok {
		return fmt.Errorf("%s is no image, but %s: %w", p.at, m.ArtifactType(), content.ErrInvalid)
	}
	raw, err := p.config(ctx, m)
	if err != nil {
		return err
	}
	var config struct {
		ocispec.Image

		Config  *ImageConfig `json:"config"`
		Comment string       `json:"comment"`
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&config); err != nil {
		return p.fail(fmt.Errorf("config %s: %w: %w", d.Digest, err, content.ErrInvalid))
	}
	r.ID, r.Config, r.Comment, r.Author = d.Digest, config.Config, config.Comment, config.Author
	if r.Comment == "" && len(config.History) > 0 {
		r.Comment = config.History[len(config.History)-1].Comment
	}
	r.Architecture, r.Variant, r.Os, r.OsVersion = config.Architecture, config.Variant, config.OS, config.OSVersion
	r.RootFS = ImageRootFS{Type: config.RootFS.Type, Layers: config.RootFS.DiffIDs}
	if config.Created != nil {
		r.Created = config.Created.Format(time.RFC3339Nano)
	}
	return nil
}

// addNames adds what the image is called in the store, or at e.
func (r *ImageInspectResult) addNames(ctx context.Context, f *Factory, e endpoint.Endpoint, root digest.Digest) error {
	names := []string{shownName(e)}
	if e.Transport == endpoint.Store {
		store, err := f.Store()
		if err != nil {
			return err
		}
		image, err := store.Find(ctx, root.String())
		if err != nil {
			return err
		}
		names = image.Names
		known := store.Uses()[root]
		r.Metadata = ImageMetadata{LastTagTime: known.Named, PulledAt: known.Came, LastUsedAt: known.Used, Source: known.From}
	}
	seen := map[string]bool{}
	for _, name := range names {
		repository, _, byDigest := strings.Cut(name, "@")
		if !byDigest {
			r.RepoTags = append(r.RepoTags, name)
			repository, _ = content.SplitName(name)
		}
		if repository != "" && !seen[repository] {
			seen[repository] = true
			r.RepoDigests = append(r.RepoDigests, repository+"@"+root.String())
		}
	}
	return nil
}
