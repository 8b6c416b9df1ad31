package cli

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

type diffOptions struct {
	layerFlags

	Semantic bool
	ExitCode bool
	Full     bool
	Patch    bool
	All      bool
	Only     []string

	pull choice[pullPolicy]
	part bool // not all is compared
}

func newDiff(f *Factory) *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff A B [PATH…]",
		Short: "Show how two images differ: settings, packages, files, layers",
		Long: "Show how image B differs from image A: settings, packages with their versions, files that were added, removed or changed,\n" +
			"and layers. Either may be anywhere. PATHs narrow it to files, and folders with what is in them.\n" +
			"Only layers are read that one of the images alone has. What a layer has is remembered by its digest; where what a layer\n" +
			"of both has is not remembered and it takes that to know, a file is marked with ? and a note says so: --full reads such\n" +
			"layers too. Through a pipe there is a line for each difference, with tabs between its columns, and none where there is none.",
		Example: "  wherry diff nginx:1.27 nginx:1.28\n  wherry diff --semantic --exit-code app:v1 ./app.tar\n" +
			"  wherry diff --only packages debian:12 registry.example.com/debian:12\n  wherry diff --patch app:v1 app:v2 etc/nginx",
		Args: minArgs(2),
	}
	flags := cmd.Flags()
	o.bind(flags)
	flags.BoolVar(&o.Semantic, "semantic", false, "leave out when things were made, and the order of what has none")
	flags.BoolVar(&o.ExitCode, "exit-code", false, "exit with 7 where the images differ, and with 0 where they do not")
	flags.BoolVar(&o.Full, "full", false, "read layers that both images have, too, so that nothing is left unsettled")
	flags.BoolVar(&o.Patch, "patch", false, "show the text of small files that differ, as diff -u does; their layers are read once more for it")
	flags.BoolVar(&o.All, "all", false, "show all of long lists")
	flags.StringSliceVar(&o.Only, "only", nil, "compare `PARTS` only, of settings,packages,files")
	bindPull(flags, &o.pull)
	f.completeStored(cmd, 2, cobra.ShellCompDirectiveDefault)
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		return runDiff(ctx, f, args, o)
	})
}

func runDiff(ctx context.Context, f *Factory, args []string, o diffOptions) (_ render.Result, err error) {
	how, err := o.compare(args[2:])
	if err != nil {
		return render.Result{}, err
	}
	o.part = how.Parts != 0
	if args[0] == "-" && args[1] == "-" {
		return render.Result{}, usagef("standard input can be one of the images only")
	}
	places, err := f.lookStored(ctx, args[:2], o.pull.value)
	defer func() {
		for _, p := range places {
			err = errors.Join(err, p.Close())
		}
	}()
	if err != nil {
		return render.Result{}, err
	}
	shown, err := f.reading()
	if err != nil {
		return render.Result{}, err
	}
	defer shown.Close()
	var sides [2]image.Side
	var names [2]string
	for i, p := range places {
		m, err := o.image(ctx, f, p)
		if err != nil {
			return render.Result{}, err
		}
		sides[i], names[i] = image.Side{Source: p.watched(shown), Manifest: m}, p.at.String()
	}
	r := o.reader(f)
	c, err := r.Compare(ctx, sides[0], sides[1], how)
	if err != nil {
		return render.Result{}, err
	}
	shown.Close() // before notes
	result := newDiffResult(c, names)
	f.warnUnsettled(c)
	if o.ExitCode && !c.Same() {
		err = &silentError{errDiffers}
	}
	return o.render(f, result), err
}

// parts are what --only takes.
var parts = map[string]image.Parts{"settings": image.PartSettings, "packages": image.PartPackages, "files": image.PartFiles}

// compare returns how images are compared.
func (o diffOptions) compare(paths []string) (image.CompareOptions, error) {
	how := image.CompareOptions{Full: o.Full, Semantic: o.Semantic, Patch: o.Patch}
	for _, word := range o.Only {
		part, ok := parts[word]
		if !ok {
			return how, usagef("--only %s: the parts are settings, packages, files", word)
		}
		how.Parts |= part
	}
	for _, p := range paths {
		how.Paths = append(how.Paths, strings.TrimPrefix(path.Clean("/"+p), "/"))
	}
	if (o.Patch || len(paths) > 0) && how.Parts == 0 {
		how.Parts = image.PartFiles
	}
	if (o.Patch || len(paths) > 0) && how.Parts&image.PartFiles == 0 {
		return how, usagef("--only %s leaves out the files that --patch and PATH are about", strings.Join(o.Only, ","))
	}
	return how, nil
}

// lookStored opens what args mean to docker's verbs, as [Factory.RunStored] does.
// What is open must be closed, beside an error too.
func (f *Factory) lookStored(ctx context.Context, args []string, policy pullPolicy) ([]*place, error) {
	var all []*place
	for _, arg := range args {
		e, err := f.stored(ctx, arg, policy)
		if err != nil {
			return all, err
		}
		p, err := f.lookAt(ctx, e)
		if err != nil {
			return all, err
		}
		f.noteUsed(ctx, e)
		all = append(all, p)
	}
	return all, nil
}

// warnUnsettled says what could not be compared.
func (f *Factory) warnUnsettled(c *image.Comparison) {
	var size int64
	for _, d := range c.Unread {
		size += d.Size
	}
	if n := len(c.Unread); n > 0 {
		f.Note("%s that both images have %s not read, so that some of what differs is not settled (?); --full reads %s",
			count(n, "layer"), map[bool]string{true: "was", false: "were"}[n == 1], term.Size(size))
	}
	for _, path := range c.Unsought {
		f.Warn("whether the images have %s is not known: layers that both have were not read; --full reads them", path)
	}
	var told []string
	for _, u := range c.Unlisted {
		if u.Err != nil && !slices.Contains(told, u.Err.Error()) {
			told = append(told, u.Err.Error())
			f.Warn("the packages of %s are not compared: %v", u.Path, u.Err)
		}
	}
}
