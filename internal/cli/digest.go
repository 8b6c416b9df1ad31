package cli

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/registry"
)

// DigestResult is what `wherry digest` and `wherry exists` say.
type DigestResult struct {
	Name      string        `json:"name"`
	Exists    bool          `json:"exists"`
	Digest    digest.Digest `json:"digest,omitempty"`
	MediaType string        `json:"mediaType,omitempty"`
	Size      int64         `json:"size,omitempty"` // of the manifest, in bytes
}

func newDigest(f *Factory) *cobra.Command {
	var platform Platform
	cmd := &cobra.Command{
		Use:     "digest IMAGE",
		Short:   "Show an image's digest, without a pull",
		Example: "  wherry digest nginx:1.27\n  wherry digest --platform linux/arm64 oci:images:nginx",
		Args:    exactArgs(1),
	}
	cmd.Flags().Var(&platform, "platform", "the digest of the image for `PLATFORM`, os/arch[/variant], in an index")
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		result, err := runDigest(ctx, f, args[0], platform)
		if err != nil {
			return render.Result{}, err
		}
		return render.Result{Value: result, Lines: []string{result.Digest.String()}}, nil
	})
}

func runDigest(ctx context.Context, f *Factory, arg string, platform Platform) (_ DigestResult, err error) {
	p, err := f.look(ctx, arg)
	if err != nil {
		return DigestResult{}, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	d, err := p.resolve(ctx)
	if err == nil && platform.given {
		var m content.Manifest
		m, err = p.image(ctx, platform)
		d = m.Descriptor()
	}
	if err != nil {
		return DigestResult{}, err
	}
	return DigestResult{Name: p.at.String(), Exists: true, Digest: d.Digest, MediaType: d.MediaType, Size: d.Size}, nil
}

func newExists(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "exists IMAGE",
		Short:   "Exit with 0 if an image exists and with 4 if it does not",
		Example: "  wherry exists -q ghcr.io/org/app:2 || make image",
		Args:    exactArgs(1),
	}
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		result, err := runDigest(ctx, f, args[0], Platform{})
		err = answered(err)
		if errors.Is(err, content.ErrNotFound) && !isUsage(err) {
			result.Name = args[0]
			if f.Flags.Quiet {
				err = &silentError{err}
			}
			return render.Result{Value: result, Quiet: []string{}}, err
		}
		if err != nil {
			return render.Result{}, err
		}
		return render.Result{Value: result, Quiet: []string{}}, nil
	})
}

// answered returns err, with another class where it is the 404 of somebody who was
// not asked for the image, such as a token server.
func answered(err error) error {
	e, ok := errors.AsType[*registry.Error](err)
	if ok && e.Repository == "" && errors.Is(err, content.ErrNotFound) {
		return &noAnswerError{err}
	}
	return err
}

// A noAnswerError is in the way of an answer, which [errors.As] finds.
type noAnswerError struct{ err error }

func (e *noAnswerError) Error() string { return e.err.Error() }

// As finds what is in the way, whose class does not count.
func (e *noAnswerError) As(target any) bool { return errors.As(e.err, target) }

// Unwrap returns ErrUnavailable.
func (e *noAnswerError) Unwrap() error { return content.ErrUnavailable }
