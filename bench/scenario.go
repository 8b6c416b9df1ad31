package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A scenario is one job that every tool does.
type scenario struct {
	name  string // for -only, and the marker in the page
	title string
	note  string // what is done and what counts
	disk  bool   // works on disk and flushes it within the measured time
	quiet bool   // wherry is measured with --no-referrers as well
	short bool   // over in milliseconds: repeated shortTimes as often
	// ready is called once, before before each run. Both may be nil.
	ready, before func(context.Context, *bench) error
	args          func(b *bench, t tool, dir string) []string
	check         func(ctx context.Context, b *bench, dir string) error // nil where there is nothing to check
}

// shortTimes is how many times more often a short scenario is repeated.
const shortTimes = 5

// gibibyte is the size of the file in the large image's layer.
const gibibyte = 1 << 30

var scenarios = []scenario{
	{
		name: "pull-memory", title: "Pull to an OCI layout, memory file system",
		note: "The real image from the registry to a new OCI layout directory on a memory file system, where fsync is free.",
		args: func(b *bench, t tool, dir string) []string {
			return t.pull(b.src.ref(b.real.repository), layoutOf(dir))
		},
		check: func(_ context.Context, b *bench, dir string) error { return checkLayout(layoutOf(dir), b.real) },
	},
	{
		name: "pull-disk", title: "Pull to an OCI layout, disk",
		note: "The same onto a disk. Everybody's time ends after `sync -f` of the file system, so who leaves data in the page cache gains nothing.",
		disk: true,
		args: func(b *bench, t tool, dir string) []string {
			return t.pull(b.src.ref(b.real.repository), layoutOf(dir))
		},
		check: func(_ context.Context, b *bench, dir string) error { return checkLayout(layoutOf(dir), b.real) },
	},
	{
		name: "copy", title: "Copy to another registry",
		note:   "The real image from one registry to another that is empty.",
		before: func(_ context.Context, b *bench) error { return b.dst.empty() },
		args: func(b *bench, t tool, _ string) []string {
			return t.copy(b.src.ref(b.real.repository), b.dst.ref(b.real.repository))
		},
		check: func(ctx context.Context, b *bench, _ string) error {
			return b.dst.check(ctx, b.real.repository, b.real)
		},
	},
	{
		name: "mount", title: "Copy within one registry", short: true,
		note: "The real image to a repository that does not exist yet, in the same registry: blobs can be mounted. skopeo mounts only blobs " +
			"that its cache has seen elsewhere before, and its home is new.",
		args: func(b *bench, t tool, dir string) []string {
			return t.copy(b.src.ref(b.real.repository), b.src.ref(fresh(dir)))
		},
		check: func(ctx context.Context, b *bench, dir string) error { return b.src.check(ctx, fresh(dir), b.real) },
	},
	{
		name: "again", title: "Copy again", short: true,
		note: "The real image to a registry that has it already. By default wherry also looks for signatures and other referrers that came later, " +
			"which costs requests where the registry lacks the referrers API, as this one does; its peers do not look.",
		quiet: true,
		ready: func(ctx context.Context, b *bench) error {
			if err := b.dst.empty(); err != nil {
				return err
			}
			_, err := b.dst.pushArchive(ctx, b.imageFile, b.real.repository)
			return err
		},
		args: func(b *bench, t tool, _ string) []string {
			return t.copy(b.src.ref(b.real.repository), b.dst.ref(b.real.repository))
		},
		check: func(ctx context.Context, b *bench, _ string) error {
			return b.dst.check(ctx, b.real.repository, b.real)
		},
	},
	{
		name: "large", title: "Pull a layer of 1 GiB",
		note: "An image of one layer with 1 GiB of random bytes, to an OCI layout on a memory file system. This is about memory: what counts is peak RSS.",
		ready: func(ctx context.Context, b *bench) (err error) {
			b.large, err = b.src.pushRandom(ctx, "large", gibibyte)
			return err
		},
		args: func(b *bench, t tool, dir string) []string {
			return t.pull(b.src.ref(b.large.repository), layoutOf(dir))
		},
		check: func(_ context.Context, b *bench, dir string) error { return checkLayout(layoutOf(dir), b.large) },
	},
	{
		name: "start", title: "Start", short: true,
		note: "The time to print a version and end.",
		args: func(_ *bench, t tool, _ string) []string { return t.version },
	},
}

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	return names
}

// layoutOf is the layout of one run, which does not exist before it.
func layoutOf(dir string) string { return filepath.Join(dir, "layout") }

// fresh is a repository name that only this run has.
func fresh(dir string) string { return "new/" + filepath.Base(dir) }

// measure runs every tool once without counting, then in turns, each repetition beginning with another tool.
// A peer that fails is left out of the rest of the scenario; wherry has to succeed.
func (b *bench) measure(ctx context.Context, sc scenario) (result, error) {
	if sc.ready != nil {
		if err := sc.ready(ctx, b); err != nil {
			return result{}, err
		}
	}
	runs := b.runs
	if sc.short {
		runs *= shortTimes
	}
	r := result{Name: sc.name, Title: sc.title, Note: sc.note, Runs: runs}
	tools := b.tools
	if sc.quiet && tools[0].name == "wherry" {
		tools = append([]tool{tools[0], tools[0].quiet()}, tools[1:]...)
	}
	for _, t := range tools {
		r.Tools = append(r.Tools, row{Name: t.name})
	}
	for round := range runs + 1 {
		for i := range tools {
			i := (i + round) % len(tools)
			if r.Tools[i].Failed != "" {
				continue
			}
			s, err := b.once(ctx, sc, tools[i], fmt.Sprintf("%s-%d-%d", sc.name, round, i))
			switch {
			case ctx.Err() != nil:
				return result{}, context.Cause(ctx)
			case err != nil && tools[i].path == b.tools[0].path && tools[0].name == "wherry":
				return result{}, err
			case err != nil:
				r.Tools[i].Failed = err.Error()
				fmt.Fprintf(os.Stderr, "%s: %v\n", sc.name, err)
			case round > 0:
				r.Tools[i].Samples = append(r.Tools[i].Samples, s)
				fmt.Fprintf(os.Stderr, "%-12s %2d/%d  %-22s %7.3f s  cpu %6.3f s  %6.1f MiB  %3d requests\n",
					sc.name, round, runs, tools[i].name, s.Wall, s.CPU, float64(s.RSS)/(1<<20), s.Requests)
			}
		}
	}
	return r, nil
}

// once is one run of one tool: its folders are made before and removed after, and what it made is checked.
func (b *bench) once(ctx context.Context, sc scenario, t tool, name string) (s sample, err error) {
	dir, syncFolder := filepath.Join(b.memory, name), noSync
	if sc.disk {
		dir = filepath.Join(b.disk, name)
		syncFolder = b.disk
		if err := flush(b.disk); err != nil { // what others left is not this tool's
			return sample{}, err
		}
	}
	if sc.before != nil {
		if err := sc.before(ctx, b); err != nil {
			return sample{}, err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return sample{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	asked := b.src.log.count() + b.dst.log.count()
	s, err = clock(ctx, t, sc.args(b, t, dir), syncFolder, dir)
	if err == nil && sc.check != nil {
		err = sc.check(ctx, b, dir)
	}
	s.Requests = b.src.log.count() + b.dst.log.count() - asked
	return s, err
}
