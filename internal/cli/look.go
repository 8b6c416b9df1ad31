package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// A place is an argument that is open for reading. It must be closed.
type place struct {
	*endpoint.Source
	at endpoint.Endpoint
}

// look opens what arg names.
func (f *Factory) look(ctx context.Context, arg string) (*place, error) {
	e, err := f.parse(arg)
	if err != nil {
		return nil, err
	}
	return f.lookAt(ctx, e)
}

// lookAt opens e.
func (f *Factory) lookAt(ctx context.Context, e endpoint.Endpoint) (*place, error) {
	if e.Transport == endpoint.Stream && term.IsTerminal(f.In) {
		return nil, usagef("standard input is a terminal: an archive is expected there")
	}
	opener, err := f.Opener()
	if err != nil {
		return nil, err
	}
	f.Log().InfoContext(ctx, "open", "place", e.String())
	src, err := opener.Source(ctx, e)
	if err != nil {
		return nil, err
	}
	f.checkTag(ctx, src, e)
	if a, ok := content.As[*archive.Archive](src.Source); ok && a.CutOff() {
		f.Warn("%s has no end marker, it may be cut off", e)
	}
	return &place{src, e}, nil
}

// RunAt is Run for a command whose only argument is a place. It is open while do
// runs.
func (f *Factory) RunAt(cmd *cobra.Command, do func(ctx context.Context, p *place) (render.Result, error)) *cobra.Command {
	return f.Run(cmd, func(ctx context.Context, args []string) (_ render.Result, err error) {
		p, err := f.look(ctx, args[0])
		if err != nil {
			return render.Result{}, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		return do(ctx, p)
	})
}

// RunStored is RunAt for docker's verbs: a bare name is an image of the store, or
// of its registry as --pull says.
func (f *Factory) RunStored(cmd *cobra.Command, do func(ctx context.Context, p *place) (render.Result, error)) *cobra.Command {
	return f.RunInside(cmd, func(ctx context.Context, p *place, _ []string) (render.Result, error) { return do(ctx, p) })
}

// RunInside is RunStored for a command that has more arguments after the place.
func (f *Factory) RunInside(cmd *cobra.Command, do func(ctx context.Context, p *place, rest []string) (render.Result, error)) *cobra.Command {
	var pull choice[pullPolicy]
	bindPull(cmd.Flags(), &pull)
	f.completeStored(cmd, 1, cobra.ShellCompDirectiveDefault)
	return f.Run(cmd, func(ctx context.Context, args []string) (_ render.Result, err error) {
		e, err := f.stored(ctx, args[0], pull.value)
		if err != nil {
			return render.Result{}, err
		}
		p, err := f.lookAt(ctx, e)
		if err != nil {
			return render.Result{}, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		f.noteUsed(ctx, e)
		return do(ctx, p, args[1:])
	})
}

// checkTag warns where e has a tag beside its digest, which counts, and the tag
// stands for something else.
func (f *Factory) checkTag(ctx context.Context, src *endpoint.Source, e endpoint.Endpoint) {
	r, ok := content.As[content.Resolver](src.Source)
	if !ok || e.Transport != endpoint.Registry || e.Tag == "" || e.Digest == "" {
		return
	}
	switch d, err := r.Resolve(ctx, e.Tag); {
	case errors.Is(err, content.ErrNotFound):
		f.Warn("%s: tag %s is not there, the digest counts", e, e.Tag)
	case err == nil && d.Digest != e.Digest && d.Digest.Algorithm() == e.Digest.Algorithm():
		f.Warn("%s: tag %s is %s now, the digest counts", e, e.Tag, d.Digest)
	}
}

// fail adds to err which argument it is about, where it does not say so itself.
func (p *place) fail(err error) error {
	if err == nil || p.at.Transport != endpoint.Registry {
		return err
	}
	return fmt.Errorf("%s: %w", p.at, err)
}

// root returns the manifest that the argument stands for.
func (p *place) root(ctx context.Context) (content.Manifest, error) {
	m, err := p.Manifest(ctx, p.Ref)
	return m, p.fail(sayWhich(p.Source, p.at, err))
}

// resolve returns the descriptor of what the argument stands for, with a HEAD
// where there is such a thing.
func (p *place) resolve(ctx context.Context) (ocispec.Descriptor, error) {
	if r, ok := content.As[content.Resolver](p.Source); ok {
		d, err := r.Resolve(ctx, p.Ref)
		return d, p.fail(sayWhich(p.Source, p.at, err))
	}
	m, err := p.root(ctx)
	return m.Descriptor(), err
}

// image returns what the argument stands for or, where a platform was given, the
// image for it.
func (p *place) image(ctx context.Context, platform Platform) (content.Manifest, error) {
	m, err := p.root(ctx)
	if err != nil || !platform.given {
		return m, err
	}
	return p.narrow(ctx, m, platform.Platform)
}

// only returns the image that the argument stands for: of an index the one for
// the platform that was given, or else for this machine.
func (p *place) only(ctx context.Context, platform Platform) (content.Manifest, error) {
	m, err := p.root(ctx)
	if err != nil {
		return m, err
	}
	return p.chosen(ctx, m, platform)
}

// chosen returns the image of m for the platform that was given, or else for this
// machine; m itself where it is no index.
func (p *place) chosen(ctx context.Context, m content.Manifest, platform Platform) (content.Manifest, error) {
	if platform.given {
		return p.narrow(ctx, m, platform.Platform)
	}
	found, err := p.pick(ctx, m, content.HostPlatform())
	if errors.Is(err, content.ErrNotFound) && p.at.Transport == endpoint.Store {
		return p.firstHere(ctx, m, err)
	}
	return found, err
}

// below returns p for what is below a manifest that it gave. What is read by digest
// is read once, and from a registry kept beyond the process.
func (p *place) below(f *Factory) (*place, error) {
	src := *p.Source
	if _, counted := content.As[content.Originer](p.Source); counted {
		client, err := f.Client()
		if err != nil {
			return nil, err
		}
		src.Source = &content.Recalled{Source: p.Source.Source, Facts: client.Facts}
	}
	src.Source = &content.Shelf{Source: src.Source, Room: shelfRoom}
	return &place{&src, p.at}, nil
}

// firstHere returns the image of index m that serves this machine best of those that
// are here, or the first that is, and else missing.
func (p *place) firstHere(ctx context.Context, m content.Manifest, missing error) (content.Manifest, error) {
	children := m.Children()
	slices.SortStableFunc(children, content.HostPlatform().CompareImages)
	for _, child := range children {
		if content.IsAttestation(child) {
			continue
		}
		found, err := p.Manifest(ctx, child.Digest.String())
		if !errors.Is(err, content.ErrNotFound) {
			return found, p.fail(err)
		}
	}
	return m, missing
}

// narrow returns the image for a platform: m itself where it is no index.
func (p *place) narrow(ctx context.Context, m content.Manifest, want content.Platform) (content.Manifest, error) {
	if m.IsIndex() {
		return p.pick(ctx, m, want)
	}
	err := content.CheckPlatform(ctx, p, m, []content.Platform{want}, content.Limits{})
	if errors.Is(err, content.ErrNotFound) {
		return m, fmt.Errorf("%s: %w", p.at, err)
	}
	return m, p.fail(err)
}

// pick returns the image for a platform that an index has; m itself, whatever it
// is for, where it is no index.
func (p *place) pick(ctx context.Context, m content.Manifest, want content.Platform) (content.Manifest, error) {
	found, err := content.ImageFor(ctx, p, m, want, content.Limits{})
	if errors.Is(err, content.ErrNotFound) && p.at.Transport == endpoint.Store && m.IsIndex() {
		if _, missing := content.PickPlatform(m, want); missing == nil {
			return found, fmt.Errorf("%s is in the store without %s, which wherry pull --platform %[2]s brings: %w", shownName(p.at), want, content.ErrNotFound)
		}
	}
	return found, p.fail(err)
}

// config reads and verifies the config of an image.
func (p *place) config(ctx context.Context, m content.Manifest) ([]byte, error) {
	raw, err := content.ReadConfig(ctx, p, m, content.Limits{})
	return raw, p.fail(err)
}

// Platform is the flag --platform of verbs that look into one image.
type Platform struct {
	content.Platform

	given bool
}

// Set reads s.
func (p *Platform) Set(s string) (err error) {
	p.Platform, err = content.ParsePlatform(s)
	p.given = true
	return err
}

// String returns the platform; nothing where none was given.
func (p *Platform) String() string {
	if !p.given {
		return ""
	}
	return p.Platform.String()
}

// Type is how help texts call the value.
func (p *Platform) Type() string { return "PLATFORM" }

// exact returns raw as it is, except for eyes: a terminal gets it escaped, with
// a line end behind it.
func (f *Factory) exact(raw []byte) io.WriterTo {
	if f.Out.TTY {
		return strings.NewReader(strings.TrimRight(term.SafeText(string(raw)), "\n") + "\n")
	}
	return bytes.NewReader(raw)
}

// warnAmbiguous says that others may read m in another way than wherry shows it.
func (f *Factory) warnAmbiguous(m content.Manifest) {
	if err := m.Ambiguous(); err != nil {
		f.Warn("%v; it can be looked at, but not copied", err)
	}
}
