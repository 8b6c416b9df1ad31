package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

// A mover carries out a verb that moves images: it opens both ends, plans,
// runs and reports. It must be closed.
type mover struct {
	f      *Factory
	o      moverOptions
	opener *endpoint.Opener
	copier *transfer.Copier

	allTags bool // images are told apart by their names
	streams bool // standard output carries an archive
	inOne   bool // images get their names in one step at the end: none is done before

	rest  *remainder // of a source all of which is wanted
	jobs  []transfer.Job
	ends  [][]endpoint.Endpoint // the destinations of each job
	sinks map[endpoint.Endpoint]openSink
	held  []heldSink
	store *layout.Store // the user's, once it was asked for
	close []func() error
}

// moverOptions are what a verb asks of its mover.
type moverOptions struct {
	moveOptions

	Filter    transfer.Filter
	Compress  archive.Compression // what raw layers become
	KeepNames bool                // names that exist at a destination are left alone
	Whole     bool                // all images or none: a file gets its name only when all are in it
	KeepWhole string              // what is said behind a rewritten index
	Partly    string              // what is said of an image of which only some platforms are there

	AnyPlatform bool // nobody named a platform: an image that is for one only is taken as it is
}

// An openSink is a destination, or why it is none.
type openSink struct {
	content.Sink
	err      error
	replaced bool // an archive that takes the place of a file
}

func (f *Factory) newMover(o moverOptions) (*mover, error) {
	jobs, err := f.jobs(o.Jobs)
	if err != nil {
		return nil, err
	}
	shared, err := f.Opener()
	if err != nil {
		return nil, err
	}
	opener := *shared
	opener.Archive.Compress, opener.Layout.Deep = o.Compress, o.Deep
	if o.Filter.Foreign == transfer.ForeignFetch && opener.Client != nil {
		opener.Client.ForeignLayers = registry.ForeignFetch
	}
	copier := &transfer.Copier{Jobs: jobs, Lanes: max(o.Lanes, 0), Deep: o.Deep, Spool: f.spool}
	if opener.Client != nil {
		copier.Limits, copier.Facts = opener.Client.Limits, opener.Client.Facts
	}
	m := &mover{f: f, o: o, opener: &opener, copier: copier, sinks: map[endpoint.Endpoint]openSink{}}
	opener.OpenStore = m.openStore
	f.resumes = m.resumes
	return m, nil
}

// resumes reports whether a second run finds something of what this one has
// moved: archives are begun anew.
func (m *mover) resumes() bool {
	for _, e := range slices.Concat(m.ends...) {
		if _, file := m.opener.File(e); !file && e.Transport != endpoint.Stream {
			return true
		}
	}
	return false
}

// Close closes all ends.
func (m *mover) Close() error {
	var errs []error
	for _, closeEnd := range m.close {
		errs = append(errs, closeEnd())
	}
	return errors.Join(errs...)
}

// source opens e for reading until the mover is closed.
func (m *mover) source(ctx context.Context, e endpoint.Endpoint) (*endpoint.Source, error) {
	if e.Transport == endpoint.Stream && term.IsTerminal(m.f.In) {
		return nil, usagef("standard input is a terminal: an archive is expected there")
	}
	m.f.Log().InfoContext(ctx, "read", "place", e.String())
	src, err := m.opener.Source(ctx, e)
	if err != nil {
		return nil, err
	}
	src = m.opener.Near(src)
	m.close = append(m.close, src.Close)
	m.f.checkTag(ctx, src, e)
	return src, nil
}

// openStore opens the user's store until the mover is closed, once for all that are read
// from it or put into it.
func (m *mover) openStore() (_ *layout.Store, err error) {
	if m.store != nil {
		return m.store, nil
	}
	if m.store, err = m.f.openStoreWith(m.opener.Layout); err == nil {
		m.close = append(m.close, m.store.Close)
	}
	return m.store, err
}

// sink opens the place of e for writing what was read from src. A place is
// opened once. One that cannot be opened fails when it is used: it is the
// matter of its own images only.
func (m *mover) sink(ctx context.Context, e, src endpoint.Endpoint) (content.Sink, error) {
	if e.Transport == endpoint.Stream && !m.o.DryRun {
		if err := m.stream(); err != nil {
			return nil, err
		}
	}
	place := placeOf(e)
	if known, ok := m.sinks[place]; ok {
		return known.orBroken(), nil
	}
	m.f.Log().InfoContext(ctx, "write", "place", place.String())
	m.warnPlain(e)
	replaced := m.replaces(e)
	opened := m.open(ctx, e, src)
	opened.replaced = replaced
	m.sinks[place] = opened
	return opened.orBroken(), nil
}

// placeOf returns e without what an image is called there. The store is one place.
func placeOf(e endpoint.Endpoint) endpoint.Endpoint {
	if e.Transport == endpoint.Store {
		return endpoint.Endpoint{Transport: endpoint.Store}
	}
	return endpoint.Endpoint{Transport: e.Transport, Host: e.Host, Repository: e.Repository, Path: e.Path}
}

// stream notes that an archive goes to standard output, which then has room for
// nothing else.
func (m *mover) stream() error {
	switch {
	case term.IsTerminal(m.f.Out.Writer):
		return usagef("standard output is a terminal: an archive does not belong there; name a file or use a pipe")
	case m.f.Flags.JSON, m.f.Flags.Format.String() != "":
		return usagef("standard output carries the archive: there is no room for --json and --format")
	}
	m.streams = true
	return nil
}

func (s openSink) orBroken() content.Sink {
	if s.err != nil {
		return brokenSink{s.err}
	}
	return s.Sink
}

func (m *mover) open(ctx context.Context, e, src endpoint.Endpoint) openSink {
	if err := m.checkFolder(e); err != nil {
		return openSink{err: err}
	}
	if m.o.DryRun && e.Transport != endpoint.Registry {
		return m.rehearsal(ctx, e)
	}
	sink, err := m.opener.Sink(ctx, e, src)
	if err != nil {
		return openSink{err: err}
	}
	m.close = append(m.close, sink.Close)
	if !m.o.Whole {
		return openSink{Sink: sink}
	}
	held := heldSink{sink}
	m.held = append(m.held, held)
	return openSink{Sink: held}
}

// rehearsal opens a file or folder without making it: an archive is always
// written anew, a folder may be there already.
func (m *mover) rehearsal(ctx context.Context, e endpoint.Endpoint) openSink {
	switch e.Transport {
	case endpoint.Layout, endpoint.Dir, endpoint.Store:
	default:
		return openSink{Sink: &content.Memory{}}
	}
	src, err := m.opener.Source(ctx, e)
	if errors.Is(err, content.ErrNotFound) {
		return openSink{Sink: &content.Memory{}}
	}
	if err != nil {
		return openSink{err: err}
	}
	m.close = append(m.close, src.Close)
	sink, ok := content.As[content.Sink](src.Source)
	if !ok {
		return openSink{err: fmt.Errorf("%s cannot be written to: %w", e, errors.ErrUnsupported)}
	}
	return openSink{Sink: sink}
}

// A heldSink is a file that is not to get its name from the engine: with one
// image in it that engine would take it for done.
type heldSink struct{ content.Sink }

// Unwrap shows the other abilities of the file.
func (s heldSink) Unwrap() any { return s.Sink }

// Commit implements [content.Committer] and does nothing.
func (heldSink) Commit(context.Context) error { return nil }

// commit gives the file its name.
func (s heldSink) commit(ctx context.Context) error {
	committer, ok := content.As[content.Committer](s.Sink)
	if !ok {
		return nil
	}
	return committer.Commit(ctx)
}

// A brokenSink is a destination that could not be opened.
type brokenSink struct{ err error }

func (s brokenSink) Has(context.Context, ocispec.Descriptor) (bool, error) { return false, s.err }

func (s brokenSink) PutBlob(context.Context, content.Blob) (content.Outcome, error) { return 0, s.err }

func (s brokenSink) PutManifest(context.Context, content.Manifest, ...string) error { return s.err }

// addImage adds one image on its way from src to all of dst.
func (m *mover) addImage(ctx context.Context, src endpoint.Endpoint, dst []endpoint.Endpoint) error {
	from, err := m.source(ctx, src)
	if err != nil {
		return err
	}
	if err := checkOnly(ctx, from, src); err != nil {
		return err
	}
	return m.addJob(ctx, transfer.Job{Src: from, Filter: m.o.Filter}, src, dst)
}

// addJob adds job, which has a source and a filter, as the image src on its way
// to all of dst. Without a name of its own it is called as src is written.
func (m *mover) addJob(ctx context.Context, job transfer.Job, src endpoint.Endpoint, dst []endpoint.Endpoint) error {
	job.Name, job.Ref = cmp.Or(job.Name, src.String()), src.Ref()
	called := src
	if slices.ContainsFunc(dst, func(e endpoint.Endpoint) bool { return len(e.Names(src)) == 0 }) {
		called = withOnlyName(ctx, job.Src, src)
	}
	for _, e := range dst {
		sink, err := m.sink(ctx, e, src)
		if err != nil {
			return err
		}
		names := e.Names(called)
		job.Dst = append(job.Dst, transfer.Target{Name: calledThere(e, names), Sink: sink, Names: names, KeepNames: m.o.KeepNames})
	}
	m.jobs = append(m.jobs, job)
	m.ends = append(m.ends, dst)
	return nil
}

// calledThere returns how messages call the destination e of an image that is
// called names there. The store as a whole is no place that anybody types.
func calledThere(e endpoint.Endpoint, names []string) string {
	switch {
	case e.Transport != endpoint.Store || e.Name != "":
		return e.String()
	case len(names) == 0:
		return "the store"
	}
	return endpoint.InStore(names[0]).String()
}
