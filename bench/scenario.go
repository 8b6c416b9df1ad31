package main

import (
	"context"
	"path/filepath"
	"slices"
)

// A scenario is one job that every tool does, or some work that wherry does alone.
type scenario struct {
	name     string // for -only, and the marker in the page
	title    string
	note     string                   // what is done and what counts
	runs     int                      // measured runs of each tool; 0 is usualRuns
	peerRuns int                      // of them, those that peers take part in; 0 is all
	cold     bool                     // no run goes before that does not count
	disk     bool                     // works on disk and flushes it within the measured time
	quiet    bool                     // wherry is measured with --no-referrers as well
	behind   func(b *bench) *registry // tools reach this one over a link as longLink is
	// ready is called once, before before each run. Both may be nil.
	ready, before func(context.Context, *bench) error
	args          func(b *bench, t tool, dir string) []string
	check         func(ctx context.Context, b *bench, dir string) error // nil where there is nothing to check
	bars          func(r result) []bar                                  // nil where nothing is asked
	alone         func(ctx context.Context, b *bench, r *result) error  // instead of args
}

const (
	usualRuns = 5
	pairRuns  = 15 // where a few in a hundred count
	shortRuns = 25 // where a run is over in milliseconds
)

// gibibyte is the size of the file in the large image's layer.
const gibibyte = 1 << 30

// scenarios are all of them, in the order of the page.
func scenarios() []scenario {
	return slices.Concat(loopback, longLinks, []scenario{mirrors, mirrorsSecure, links, limited, narrow, memoryUse, paced, fan, store, tagList})
}

// loopback are those in which there is no network to wait for.
var loopback = []scenario{
	{
		name: "pull-memory", title: "Pull to an OCI layout, memory file system", runs: pairRuns,
		note: "The real image from the registry to a new OCI layout directory on a memory file system, where fsync is free.",
		args: func(b *bench, t tool, dir string) []string {
			return t.pull(b.src.place(b.real.repository), layoutOf(dir))
		},
		check: func(_ context.Context, b *bench, dir string) error { return checkLayout(layoutOf(dir), b.real) },
		bars:  func(r result) []bar { return []bar{r.level("wall", wall), r.level("CPU", cpu)} },
	},
	{
		name: "pull-disk", title: "Pull to an OCI layout, disk", runs: pairRuns,
		note: "The same onto a disk. Everybody's time ends after `sync -f` of the file system, so who leaves data in the page cache gains nothing.",
		disk: true,
		args: func(b *bench, t tool, dir string) []string {
			return t.pull(b.src.place(b.real.repository), layoutOf(dir))
		},
		check: func(_ context.Context, b *bench, dir string) error { return checkLayout(layoutOf(dir), b.real) },
		bars:  func(r result) []bar { return []bar{r.level("wall", wall), r.level("CPU", cpu)} },
	},
	{
		name: "copy", title: "Copy to another registry", runs: pairRuns,
		note:   "The real image from one registry to another that is empty.",
		before: func(_ context.Context, b *bench) error { return b.dst.empty() },
		args: func(b *bench, t tool, _ string) []string {
			return t.copy(b.src.place(b.real.repository), b.dst.place(b.real.repository))
		},
		check: func(ctx context.Context, b *bench, _ string) error {
			return b.dst.check(ctx, b.real.repository, b.real)
		},
		// oras hashes nothing on its way between registries.
		bars: func(r result) []bar { return []bar{r.level("wall", wall), r.level("CPU", cpu, "oras")} },
	},
	{
		name: "mount", title: "Copy within one registry", runs: shortRuns,
		note: "The real image to a repository that does not exist yet, in the same registry: blobs can be mounted. skopeo mounts only blobs " +
			"that its cache has seen elsewhere before, and its home is new.",
		args: func(b *bench, t tool, dir string) []string {
			return t.copy(b.src.place(b.real.repository), b.src.place(fresh(dir)))
		},
		check: func(ctx context.Context, b *bench, dir string) error { return b.src.check(ctx, fresh(dir), b.real) },
	},
	{
		name: "again", title: "Copy again", runs: shortRuns,
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
			return t.copy(b.src.place(b.real.repository), b.dst.place(b.real.repository))
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
			return t.pull(b.src.place(b.large.repository), layoutOf(dir))
		},
		check: func(_ context.Context, b *bench, dir string) error { return checkLayout(layoutOf(dir), b.large) },
	},
	{
		name: "start", title: "Start", runs: shortRuns,
		note: "The time to print a version and end.",
		args: func(_ *bench, t tool, _ string) []string { return t.version },
	},
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// layoutOf is the layout of one run, which does not exist before it.
func layoutOf(dir string) string { return filepath.Join(dir, "layout") }

// fresh is a repository name that only this run has.
func fresh(dir string) string { return "new/" + filepath.Base(dir) }
