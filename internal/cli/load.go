package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/transfer"
)

type loadOptions struct {
	moveOptions
	Input    string
	To       string
	Compress choice[archive.Compression]
}

func newLoad(f *Factory) *cobra.Command {
	o := loadOptions{Compress: newCompress()}
	cmd := &cobra.Command{
		Use:   "load [-i PATH] [--to REGISTRY/NAMESPACE]",
		Short: "Load the images of an archive into the local store or a registry",
		Long: "Load the images of an archive or an OCI layout folder, as docker load does. What it is, and whether it is compressed,\n" +
			"is found out. They go into the local store, those without a name too; with --to those that have a name go to a registry:\n" +
			"docker.io/library/nginx:1.27 goes to REGISTRY/NAMESPACE/nginx:1.27. One called 1.27 alone goes to REGISTRY/NAMESPACE:1.27,\n" +
			"and the only image of an archive, if it has no name, to REGISTRY/NAMESPACE:latest where no other image\n" +
			"is. What is not loaded is told.",
		Example: "  wherry load -i images.tar\n  gunzip -c nginx.tar.gz | wherry load\n" +
			"  wherry load -i images.tar --to registry.example/mirror\n" +
			"  docker save nginx | wherry load --to localhost:5000",
		Args: noArgs,
	}
	flags := cmd.Flags()
	o.bind(flags)
	flags.StringVarP(&o.Input, "input", "i", "-", "read `PATH`, an archive or an OCI layout folder; - is standard input")
	flags.StringVar(&o.To, "to", "", "the `REGISTRY/NAMESPACE` that gets the images")
	flags.Var(&o.Compress, "compress", "raw layers become `gzip|zstd|none`; gzip by default")
	return f.Run(cmd, func(ctx context.Context, _ []string) (render.Result, error) {
		return runLoad(ctx, f, o)
	})
}

func runLoad(ctx context.Context, f *Factory, o loadOptions) (_ render.Result, err error) {
	if o.To == "" {
		return loadIntoStore(ctx, f, o)
	}
	target, err := loadTarget(o.To, "image", "tag")
	if err != nil {
		return render.Result{}, err
	}
	from, err := loadSource(o.Input)
	if err != nil {
		return render.Result{}, err
	}
	f.SrcHost, f.DstHost = target.Host, target.Host // the only registry there is
	filter := o.filter()
	filter.Here = true
	m, err := f.newMover(moverOptions{
		moveOptions: o.moveOptions, Filter: filter, Compress: compression(o.Compress, []endpoint.Endpoint{target}),
		Partly: "in the archive: those are loaded, in an index of their own",
	})
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := m.addArchive(ctx, from, o.To); err != nil {
		return render.Result{}, err
	}
	result, err := m.run(ctx)
	if o.DryRun {
		return result.render(), err
	}
	return render.Result{Value: result, Lines: m.loaded(result)}, err
}

// loadSource returns where -i leads: to standard input, to what has a transport
// in front, or to a path, whatever it looks like.
func loadSource(input string) (endpoint.Endpoint, error) {
	path := endpoint.Endpoint{Transport: endpoint.Archive, Path: input}
	if input == "" {
		return path, usagef("-i is empty: name an archive or a folder")
	}
	if _, err := os.Stat(input); err == nil {
		return path, nil
	}
	e, err := endpoint.Parse(input)
	switch {
	case err != nil && !strings.Contains(input, ":"):
		return path, nil
	case err != nil:
		return path, err
	case strings.HasPrefix(input, "docker://"):
		return path, usagef("-i takes a file or a folder: copy moves %s", e)
	case e.Transport == endpoint.Registry:
		return path, nil
	case e.Digest != "":
		return path, usagef("-i takes images with names: copy moves %s", e)
	}
	return e, nil
}

// loadTarget returns where an image called repository:tag goes below to.
func loadTarget(to, repository, tag string) (endpoint.Endpoint, error) {
	e, err := endpoint.Parse(strings.TrimSuffix(to, "/") + "/" + repository + ":" + tag)
	if err != nil {
		return e, err
	}
	if e.Transport != endpoint.Registry {
		return e, usagef("--to %s is no registry", to)
	}
	return e, nil
}

// addArchive adds every image of the archive that has a name, or its only image.
func (m *mover) addArchive(ctx context.Context, from endpoint.Endpoint, to string) error {
	src, err := m.source(ctx, from)
	if err != nil {
		return err
	}
	names, passed, err := namesAt(ctx, src, from)
	if err != nil {
		return err
	}
	if from.Name == "" {
		m.rest = &remainder{src: src, tags: passed, referrers: m.o.Filter.Referrers}
	}
	taken := claims{}
	for _, name := range names {
		repository, tag := content.SplitName(name)
		target, err := placeUnder(to, repository, tag)
		if err != nil {
			return copyInstead(src, from, name, to, fmt.Errorf("image %q: %w", name, err))
		}
		if err := taken.claim(target, name); err != nil {
			return copyInstead(src, from, name, to, err)
		}
		job := transfer.Job{Name: nameIn(src, from, name), Src: src, Filter: m.o.Filter}
		if err := m.addJob(ctx, job, from.Tagged(name), []endpoint.Endpoint{target}); err != nil {
			return err
		}
	}
	if len(names) == 0 && len(passed) > 0 {
		return fmt.Errorf("there is nothing in it but what refers to images: %w", content.ErrNotFound)
	}
	if len(names) == 0 {
		return m.addOnly(ctx, src, from, to)
	}
	return nil
}

// nameIn returns how messages call an image of an archive: as copy takes it, and
// by its name alone where it comes from standard input.
func nameIn(src *endpoint.Source, from endpoint.Endpoint, name string) string {
	if from.Transport == endpoint.Stream {
		return name
	}
	from.Transport = src.Found
	return from.Tagged(name).String()
}

// addOnly adds the only image of an archive, which has no name: like one that is
// called by a tag alone it goes to the namespace itself.
func (m *mover) addOnly(ctx context.Context, src *endpoint.Source, from endpoint.Endpoint, to string) error {
	_, err := src.Manifest(ctx, "")
	several, ok := errors.AsType[*content.SeveralError](err)
	target, nowhere := placeUnder(to, "", "latest")
	switch {
	case ok:
		from.Digest = digest.Digest(several.Images[0])
		return copyInstead(src, from, "", to, fmt.Errorf("none of the %d images in it has a name: %w", len(several.Images), content.ErrNotFound))
	case err != nil:
		return err
	case nowhere != nil:
		return copyInstead(src, from, "", to, fmt.Errorf("no image in it has a name: %w", content.ErrNotFound))
	}
	if err := m.refuseOther(ctx, src, target); err != nil {
		return copyInstead(src, from, "", to, err)
	}
	return m.addJob(ctx, transfer.Job{Src: src, Filter: m.o.Filter}, from, []endpoint.Endpoint{target})
}

// refuseOther is [content.ErrConflict] where another image than the only one of src is at
// target: a name that nobody gave takes the place of none, such as that of the archive
// before. Where target cannot be asked there is no reason.
func (m *mover) refuseOther(ctx context.Context, src *endpoint.Source, target endpoint.Endpoint) (err error) {
	ours, err := src.Manifest(ctx, "")
	if err != nil {
		return err
	}
	there, err := m.f.lookAt(ctx, target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, there.Close()) }()
	if d, unknown := there.resolve(ctx); unknown != nil || d.Digest == ours.Digest() {
		return nil
	}
	return fmt.Errorf("no image in it has a name, and %s is another image: %w", target, content.ErrConflict)
}

// namesAt returns what the images at e are called, or the name that e has, and
// the names that stand for what refers to them.
func namesAt(ctx context.Context, src *endpoint.Source, e endpoint.Endpoint) (names, passed []string, _ error) {
	if e.Name != "" {
		return []string{e.Name}, nil, nil
	}
	lister, ok := content.As[content.TagLister](src)
	if !ok {
		return nil, nil, fmt.Errorf("%s does not list its images: %w", e, errors.ErrUnsupported)
	}
	for name, err := range lister.Tags(ctx) {
		switch {
		case err != nil:
			return nil, nil, err
		case content.IsDigestTag(name):
			passed = append(passed, name)
		default:
			names = append(names, name)
		}
	}
	return names, passed, nil
}

// A nameError is an image that gets no name of its own from load. Copy takes it
// under one that the user chooses.
type nameError struct {
	err      error
	src, dst string // arguments for copy
}

func (e *nameError) Error() string { return e.err.Error() }
func (e *nameError) Unwrap() error { return e.err }

// copyInstead returns err with the arguments of a copy that works.
func copyInstead(src *endpoint.Source, from endpoint.Endpoint, name, to string, err error) error {
	e := &nameError{err: err, src: from.String()}
	if from.Transport != endpoint.Stream {
		from.Transport = src.Found
		if name != "" {
			from = from.Tagged(name)
		}
		e.src = from.String()
	}
	repository, tag := content.SplitName(name)
	if name == "" {
		tag = "TAG"
	}
	if host, rest, ok := strings.Cut(repository, "/"); ok && strings.ContainsAny(host, ".:") {
		repository = rest
	}
	e.dst = strings.TrimSuffix(to, "/") + "/" + cmp.Or(strings.ToLower(repository), "NAME") + ":" + tag
	return e
}

// placeUnder returns where an image of an archive goes. The last part of its
// repository stays; one that is called by a tag alone goes to the namespace
// itself.
func placeUnder(to, repository, tag string) (endpoint.Endpoint, error) {
	last := repository[strings.LastIndexByte(repository, '/')+1:]
	parent := to
	if last == "" {
		to = strings.TrimSuffix(to, "/")
		slash := strings.LastIndexByte(to, '/')
		if slash < 0 {
			return endpoint.Endpoint{}, fmt.Errorf("it has no repository in the archive and --to has none either: %w", content.ErrInvalid)
		}
		parent, last = to[:slash], to[slash+1:]
	}
	target, err := loadTarget(parent, last, tag)
	if err != nil {
		// The archive is to blame, not the command line.
		return target, fmt.Errorf("%v: %w", err, content.ErrInvalid) //nolint:errorlint // its class must not survive
	}
	return target, nil
}

// loaded says in docker's words which images are there now.
func (m *mover) loaded(r MoveResult) []string {
	var lines []string
	for i, image := range r.Images {
		for j, to := range image.Destinations {
			if image.Error == "" && to.Error == "" {
				lines = append(lines, "Loaded image: "+m.ends[i][j].FullName())
			}
		}
	}
	return lines
}
