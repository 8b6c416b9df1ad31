package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/registry"
)

// An Opener opens endpoints. Its zero value opens files only.
type Opener struct {
	Client  *registry.Client
	Layout  layout.Options
	Archive archive.Options
	In      io.Reader // what - is to a source
	Out     io.Writer // what - is to a destination
	Home    string    // what ~ stands for; empty leaves it alone
	Store   string    // the folder of the user's store; empty where there can be none

	// OpenStore gives the store in place of opening Store each time; nil does that.
	// It stays open, for who gave it, when what was opened with it is closed.
	OpenStore func() (*layout.Store, error)
}

// A Source is an endpoint that is open for reading. It must be closed.
type Source struct {
	content.Source
	Ref   string    // what to ask Source for; empty is the only image there
	Found Transport // which kind of place it turned out to be, for Archive too
	close func() error
}

// Unwrap lets content.As find what the place can do.
func (s *Source) Unwrap() any { return s.Source }

// Close closes the place.
func (s *Source) Close() error { return s.close() }

// A Sink is an endpoint that is open for writing. It must be closed; what has
// to be committed is committed by whoever writes.
type Sink struct {
	content.Sink
	Names []string // what the image will be called there
	close func() error
}

// Unwrap lets content.As find what the place can do.
func (s *Sink) Unwrap() any { return s.Sink }

// Close closes the place. What was not committed is gone.
func (s *Sink) Close() error { return s.close() }

func nothing() error { return nil }

// Source opens e for reading. A file or folder that is not there is
// [content.ErrNotFound].
func (o *Opener) Source(ctx context.Context, e Endpoint) (*Source, error) {
	s, err := o.source(ctx, e)
	if err != nil {
		return nil, err
	}
	s.Ref, s.Found = e.Ref(), o.sniff(e.Transport, o.path(e.Path))
	if a, ok := s.Source.(*archive.Archive); ok && s.Found == Archive {
		s.Found = DockerArchive
		if a.IsLayout() {
			s.Found = OCIArchive
		}
	}
	return s, nil
}

func (o *Opener) source(ctx context.Context, e Endpoint) (*Source, error) {
	path := o.path(e.Path)
	switch o.sniff(e.Transport, path) {
	case Registry:
		return o.registrySource(e)
	case Stream:
		if o.In == nil {
			return nil, fmt.Errorf("there is no standard input: %w", content.ErrNotFound)
		}
		return opened(archive.Read(ctx, newStream(ctx, o.In, nil), o.Archive))
	case Store:
		s, closeStore, err := o.store()
		return &Source{Source: s, close: closeStore}, err
	case Layout:
		l, err := o.Layout.Open(path)
		return opened(l, err)
	case Dir:
		d, err := o.Layout.OpenDir(path)
		return opened(d, err)
	default:
		return opened(archive.Open(ctx, path, o.Archive))
	}
}

// opened makes a Source of a place on disk.
func opened[P interface {
	content.Source
	io.Closer
}](p P, err error) (*Source, error) {
	if err != nil {
		return nil, err
	}
	return &Source{Source: p, close: p.Close}, nil
}

// Sink opens e for writing an image that was read from src.
func (o *Opener) Sink(ctx context.Context, e, src Endpoint) (*Sink, error) {
	s, err := o.sink(ctx, e)
	if err != nil {
		return nil, err
	}
	s.Names = e.Names(src)
	return s, nil
}

func (o *Opener) sink(ctx context.Context, e Endpoint) (*Sink, error) {
	path := o.path(e.Path)
	switch o.sniff(e.Transport, path) {
	case Registry:
		return o.registrySink(e)
	case Stream:
		if o.Out == nil {
			return nil, fmt.Errorf("there is no standard output: %w", content.ErrNotFound)
		}
		w := archive.NewWriter(newStream(ctx, nil, o.Out))
		return &Sink{Sink: w, close: w.Close}, nil
	case Store:
		s, closeStore, err := o.store()
		return &Sink{Sink: s, close: closeStore}, err
	case Layout:
		l, err := o.Layout.Create(path)
		return created(l, err)
	case Dir:
		d, err := o.Layout.CreateDir(path)
		return created(d, err)
	default:
		return created(archive.Create(path))
	}
}

// store opens the user's store, and returns what closes it.
func (o *Opener) store() (s *layout.Store, closeStore func() error, err error) {
	switch {
	case o.OpenStore != nil:
		s, err = o.OpenStore()
		return s, nothing, err
	case o.Store == "":
		return nil, nil, fmt.Errorf("there is no folder for a store: %w", content.ErrNotFound)
	}
	if s, err = o.Layout.OpenStore(o.Store); err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// created makes a Sink of a place on disk.
func created[P interface {
	content.Sink
	io.Closer
}](p P, err error) (*Sink, error) {
	if err != nil {
		return nil, err
	}
	return &Sink{Sink: p, close: p.Close}, nil
}

// Names returns what an image from src is called at e: by the tag or name that e
// has; else in a registry "latest", as docker has it, and elsewhere as it was
// called at src, in a registry by its full reference. None means that it is
// known by its digest alone.
func (e Endpoint) Names(src Endpoint) []string {
	var names []string
	switch {
	case e.Transport == Store && e.Name != "":
		return []string{e.FullName()}
	case e.Transport == Registry && (e.Tag != "" || e.Digest == ""):
		names = append(names, e.tagOrLatest())
	case e.Transport != Registry && e.Name != "":
		names = append(names, e.Name)
	case e.Transport != Registry && e.Digest == "":
		names = append(names, src.givenName()...)
	}
	if e.Digest != "" {
		names = append(names, e.Digest.String())
	}
	return names
}

// givenName returns the name an image takes along; what is asked for by digest
// alone has none.
func (e Endpoint) givenName() []string {
	if e.Transport == Store && e.Repository == "" {
		return nil
	}
	if e.Digest != "" && e.Tag == "" && e.Name == "" || e.Transport != Registry && e.Name == "" {
		return nil
	}
	return []string{e.FullName()}
}

func (o *Opener) registrySource(e Endpoint) (*Source, error) {
	if o.Client == nil {
		return nil, noClient(e)
	}
	src, err := o.Client.Source(e.Host, e.Repository)
	return &Source{Source: src, close: nothing}, err
}

// registrySink opens what is written to: nothing is read from there any more in
// place of another registry.
func (o *Opener) registrySink(e Endpoint) (*Sink, error) {
	if o.Client == nil {
		return nil, noClient(e)
	}
	r, err := o.Client.Repository(e.Host, e.Repository)
	if err != nil {
		return nil, err
	}
	host, _ := r.Origin()
	o.Client.Avoid(host)
	return &Sink{Sink: r, close: nothing}, nil
}

func noClient(e Endpoint) error {
	return fmt.Errorf("%s: no registry can be reached from here: %w", e, errors.ErrUnsupported)
}

// sniff returns which kind of place is at path: the one the user said, or, for
// one of any kind, what a folder looks like. What does not end like a file and
// is none will be a layout.
func (o *Opener) sniff(t Transport, path string) Transport {
	if t != Archive {
		return t
	}
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && path != "" && os.IsPathSeparator(path[len(path)-1]):
		return Layout
	case err != nil || !fi.IsDir():
		return Archive
	}
	if _, err := os.Lstat(filepath.Join(path, "manifest.json")); err == nil {
		if _, err := os.Lstat(filepath.Join(path, "oci-layout")); err != nil {
			return Dir
		}
	}
	return Layout
}

// File returns the path of the archive that e is, or will be; false where e is
// anything else.
func (o *Opener) File(e Endpoint) (string, bool) {
	path := o.path(e.Path)
	found := o.sniff(e.Transport, path)
	return path, found == Archive || found == OCIArchive || found == DockerArchive
}

// path puts the home folder for ~, which a shell does not do behind oci:. A slash
// at the end stays: it says that a folder is meant.
func (o *Opener) path(path string) string {
	if o.Home == "" {
		return path
	}
	if path == "~" {
		return o.Home
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return strings.TrimSuffix(o.Home, "/") + "/" + rest
	}
	return path
}
