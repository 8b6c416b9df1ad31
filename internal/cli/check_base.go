package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
)

// CheckBaseResult is what `wherry check-base` says.
type CheckBaseResult struct {
	Name    string        `json:"name"`
	Digest  digest.Digest `json:"digest"` // of the image that was looked at; of an index the platform's
	Current bool          `json:"current"`
	By      string        `json:"by"`             // digest or layers: what was compared
	Base    *BaseResult   `json:"base,omitempty"` // as the image says it; absent with --base
	Now     digest.Digest `json:"now,omitempty"`  // what the base's name stands for, where digests were compared
	Bases   []BaseMatch   `json:"bases,omitempty"`
}

// A BaseMatch is an image whose layers were compared.
type BaseMatch struct {
	Name    string        `json:"name"`
	Digest  digest.Digest `json:"digest"` // of the image that was compared
	Layers  int           `json:"layers"`
	Matches bool          `json:"matches"` // its layers are the first of the image
}

// The words of CheckBaseResult.By.
const (
	byDigest = "digest"
	byLayers = "layers"
)

type checkBaseOptions struct {
	Platform Platform
	Base     []string
}

func newCheckBase(f *Factory) *cobra.Command {
	var o checkBaseOptions
	cmd := &cobra.Command{
		Use:   "check-base IMAGE",
		Short: "Find out if the base image of an image is out of date",
		Long: "Find out if the base image of an image is out of date: exit code 0 says that it is not, and 7 that it is.\n\n" +
			"What the base image was is told by the annotations org.opencontainers.image.base.name and .digest, of the image,\n" +
			"of its index, or as labels; the digest may be that of an index or of an image in it. An image that tells only the\n" +
			"name, or nothing, is compared by its layers: those of the base, which --base names, must be its first ones. Of\n" +
			"several --base one must match.",
		Example: "  wherry check-base ghcr.io/org/app:2\n  wherry check-base --base alpine:3.20 --base alpine:3.19 ghcr.io/org/app:2",
		Args:    exactArgs(1),
	}
	cmd.Flags().Var(&o.Platform, "platform", "of the image for `PLATFORM`, os/arch[/variant], in an index; this machine's by default")
	cmd.Flags().StringArrayVar(&o.Base, "base", nil, "compare layers with those of `REF`, whatever the image says of its base (repeatable)")
	return f.RunAt(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		r, err := checkBase(ctx, f, p, o)
		if err != nil {
			return render.Result{}, err
		}
		result := render.Result{Value: r, Lines: r.lines(), Quiet: []string{}}
		if !r.Current {
			return result, &silentError{errDiffers}
		}
		return result, nil
	})
}

func checkBase(ctx context.Context, f *Factory, p *place, o checkBaseOptions) (CheckBaseResult, error) {
	root, err := p.root(ctx)
	if err != nil {
		return CheckBaseResult{}, err
	}
	below, err := p.below(f)
	if err != nil {
		return CheckBaseResult{}, err
	}
	m, err := below.chosen(ctx, root, o.Platform)
	if err != nil {
		return CheckBaseResult{}, err
	}
	c := baseCheck{f: f, of: below, image: m, platform: o.Platform}
	r := CheckBaseResult{Name: p.at.String(), Digest: m.Digest(), By: byLayers}
	if len(o.Base) > 0 {
		return r, c.byLayers(ctx, &r, o.Base)
	}
	base, err := below.baseOf(ctx, root, m)
	if err != nil {
		return CheckBaseResult{}, err
	}
	if base.Name == "" {
		return CheckBaseResult{}, p.fail(&noBaseError{})
	}
	r.Base = &BaseResult{base.Name, base.Digest}
	if base.Digest == "" {
		return r, c.byLayers(ctx, &r, []string{base.Name})
	}
	return r, c.byDigest(ctx, &r, base)
}

// A noBaseError is an image that says nothing of its base.
type noBaseError struct{}

func (*noBaseError) Error() string {
	return "nothing in it says what its base image is: there is no annotation org.opencontainers.image.base.name"
}

// Is makes it content that was not found.
func (*noBaseError) Is(target error) bool { return target == content.ErrNotFound }

// baseOf returns what image m of root says that it was built on. The config is read
// where nothing else says it.
func (p *place) baseOf(ctx context.Context, root, m content.Manifest) (image.Base, error) {
	if base := image.BaseOf(m.Annotations(), root.Annotations()); base.Name != "" {
		return base, nil
	}
	config, err := p.imageConfig(ctx, m)
	return image.BaseOf(config.Labels), err
}

// imageConfig reads what a comparison takes of the config of m.
func (p *place) imageConfig(ctx context.Context, m content.Manifest) (image.Config, error) {
	config, err := image.ReadConfig(ctx, p, m)
	return config, p.fail(err)
}

// A baseCheck compares one image with what may be its base.
type baseCheck struct {
	f        *Factory
	of       *place
	image    content.Manifest
	platform Platform // that was given
}

// wanted returns the platform that was given, or else the one that the image is
// for.
func (c *baseCheck) wanted(ctx context.Context) (content.Platform, error) {
	if c.platform.given {
		return c.platform.Platform, nil
	}
	config, err := c.of.imageConfig(ctx, c.image)
	if config.Platform.OS == "" {
		return content.HostPlatform(), err
	}
	return config.Platform, err
}

// open opens a base image. What the image names is in a registry: nothing that
// comes from outside names a file.
func (c *baseCheck) open(ctx context.Context, name string) (*place, error) {
	e, err := c.f.parse(name)
	if err == nil && e.Transport != endpoint.Registry {
		err = fmt.Errorf("%.200q is in no registry", name)
	}
	if err != nil {
		// A reference that stands in an image is no mistake of the command line.
		return nil, c.of.fail(fmt.Errorf("the base image that it names: %s: %w", err.Error(), content.ErrInvalid))
	}
	return c.f.lookAt(ctx, e)
}

// byDigest compares the digest that the base had with the one it has. The image's
// own platform counts: an index may have changed in others.
func (c *baseCheck) byDigest(ctx context.Context, r *CheckBaseResult, base image.Base) (err error) {
	p, err := c.open(ctx, base.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	now, err := p.resolve(ctx)
	if err != nil {
		return err
	}
	r.By, r.Now, r.Current = byDigest, now.Digest, now.Digest == base.Digest
	if r.Current || !content.IsIndex(now.MediaType) {
		return nil
	}
	index, err := p.root(ctx)
	if err != nil {
		return err
	}
	want, err := c.wanted(ctx)
	if err != nil {
		return err
	}
	d, err := content.PickPlatform(index, want)
	if errors.Is(err, content.ErrNotFound) {
		return nil // not for this platform any more
	}
	if err != nil {
		return p.fail(err)
	}
	if d.Digest == base.Digest {
		r.Now, r.Current = d.Digest, true
		return nil
	}
	r.Current, err = had(ctx, p, base.Digest, want, d.Digest)
	return err
}

// had reports whether index was of p had image for the platform. An index that is
// gone, and what is no index, had none; any other failure to look is an error.
func had(ctx context.Context, p *place, was digest.Digest, platform content.Platform, image digest.Digest) (bool, error) {
	index, err := p.Manifest(ctx, was.String())
	if errors.Is(err, content.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, p.fail(err)
	}
	if !index.IsIndex() {
		return false, nil
	}
	d, err := content.PickPlatform(index, platform)
	if errors.Is(err, content.ErrNotFound) {
		return false, nil
	}
	return d.Digest == image, p.fail(err)
}

// byLayers compares the layers of the image with those of each of bases.
func (c *baseCheck) byLayers(ctx context.Context, r *CheckBaseResult, bases []string) error {
	for _, name := range bases {
		match, err := c.compare(ctx, name, r.Base)
		if err != nil {
			return err
		}
		r.Bases = append(r.Bases, match)
		r.Current = r.Current || match.Matches
	}
	return nil
}

// compare compares the layers with those of the image called name, which the user
// named, or told the image itself.
func (c *baseCheck) compare(ctx context.Context, name string, told *BaseResult) (_ BaseMatch, err error) {
	open := c.f.look
	if told != nil {
		open = c.open
	}
	p, err := open(ctx, name)
	if err != nil {
		return BaseMatch{}, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	root, err := p.root(ctx)
	if err != nil {
		return BaseMatch{}, err
	}
	below, err := p.below(c.f)
	if err != nil {
		return BaseMatch{}, err
	}
	want, err := c.wanted(ctx)
	if err != nil {
		return BaseMatch{}, err
	}
	base, err := below.pick(ctx, root, want)
	if err != nil {
		return BaseMatch{}, err
	}
	match := BaseMatch{Name: p.at.String(), Digest: base.Digest(), Layers: len(base.Layers())}
	if match.Layers == 0 {
		return match, p.fail(fmt.Errorf("%s has no layers that could be compared: %w", base.Digest(), content.ErrInvalid))
	}
	match.Matches, err = image.StartsWith(ctx, c.of, c.image, below, base)
	return match, err
}

// lines say it for people.
func (r CheckBaseResult) lines() []string {
	if r.By == byDigest {
		if r.Current {
			return []string{fmt.Sprintf("current: %s is %s still", r.Base.Name, r.Base.Digest)}
		}
		return []string{fmt.Sprintf("out of date: %s is %s now, and was %s", r.Base.Name, r.Now, r.Base.Digest)}
	}
	i := slices.IndexFunc(r.Bases, func(b BaseMatch) bool { return b.Matches })
	if i < 0 {
		names := make([]string, len(r.Bases))
		for i, b := range r.Bases {
			names[i] = b.Name
		}
		return []string{fmt.Sprintf("out of date: %s does not begin with the layers of %s", r.Name, strings.Join(names, " or of "))}
	}
	var lines []string
	for _, b := range r.Bases {
		if b.Matches {
			lines = append(lines, fmt.Sprintf("current: %s begins with the %s of %s", r.Name, count(b.Layers, "layer"), b.Name))
		}
	}
	return lines
}
