// Bench compares wherry with its peers: the same real image, the same registry on loopback, one run of each tool after
// the other, and again. It writes medians, ratios and their spread into docs/benchmarks.md.
//
//	go run ./bench [-runs N] [-only SCENARIO,…]     from the root of the repository, after make build
//
// Every tool runs in a home of its own that is new for each run, sees nothing of the user's, and what it wrote is hashed
// before its time counts. Peers that are not installed are left out and named.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settings are what the command line chose.
type settings struct {
	runs   int
	only   string
	doc    string
	json   string
	memory string
	disk   string
	wherry string
	image  string
	note   string
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == measureWord {
		os.Exit(measured(os.Args[2], os.Args[3:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, parse())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse() settings {
	var s settings
	flag.IntVar(&s.runs, "runs", 5, "measured runs of each tool, after one that does not count")
	flag.StringVar(&s.only, "only", "", "comma-separated `scenarios`: "+strings.Join(scenarioNames(), ", "))
	flag.StringVar(&s.doc, "doc", "docs/benchmarks.md", "page whose tables are written anew")
	flag.StringVar(&s.json, "out", "bench/results/latest.json", "`file` for every single run")
	flag.StringVar(&s.memory, "memory", "/dev/shm", "`folder` on a memory file system")
	flag.StringVar(&s.disk, "disk", cacheFolder(), "`folder` on a disk")
	flag.StringVar(&s.wherry, "wherry", "bin/wherry", "the binary to compare")
	flag.StringVar(&s.image, "image", filepath.Join(cacheFolder(), "wherry-images", "big.tar"), "docker `archive` with gzip layers; made where it is missing")
	flag.StringVar(&s.note, "note", "", "`text` beside the machine's description: what was special about this run")
	flag.Parse()
	return s
}

// run measures what was asked for and writes it down.
func run(ctx context.Context, s settings) (err error) {
	chosen, err := choose(s.only)
	if err != nil {
		return err
	}
	tools, absent, err := findTools(s.wherry)
	if err != nil {
		return err
	}
	if err := ensureImage(ctx, s.image); err != nil {
		return err
	}
	b, err := newBench(ctx, s, tools)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	all := results{Machine: describe(ctx, b, absent)}
	for _, sc := range chosen {
		r, err := b.measure(ctx, sc)
		if err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
		all.Scenarios = append(all.Scenarios, r)
	}
	if err := writeJSON(s.json, all); err != nil {
		return err
	}
	return writePage(s.doc, all)
}

// choose returns the scenarios named in a comma-separated list, all for "".
func choose(list string) ([]scenario, error) {
	if list == "" {
		return scenarios, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario is called %q; there are %s", name, strings.Join(scenarioNames(), ", "))
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}

// A bench is the place where tools are measured: two registries on loopback whose blobs are in memory, and work folders.
type bench struct {
	runs         int
	tools        []tool
	memory, disk string // work folders of this process
	src, dst     *registry
	real, large  image // large is made when a scenario asks for it
	imageFile    string
	note         string
	started      time.Time
}

func newBench(ctx context.Context, s settings, tools []tool) (b *bench, err error) {
	b = &bench{runs: s.runs, tools: tools, imageFile: s.image, note: s.note, started: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.memory, err = os.MkdirTemp(s.memory, "wherry-bench-"); err != nil {
		return nil, err
	}
	if b.disk, err = os.MkdirTemp(s.disk, "wherry-bench-"); err != nil {
		return nil, err
	}
	if b.src, err = startRegistry(ctx, filepath.Join(b.memory, "src")); err != nil {
		return nil, err
	}
	if b.dst, err = startRegistry(ctx, filepath.Join(b.memory, "dst")); err != nil {
		return nil, err
	}
	b.real, err = b.src.pushArchive(ctx, b.imageFile, "real")
	return b, err
}

// close ends the registries and removes the work folders.
func (b *bench) close() error {
	for _, r := range []*registry{b.src, b.dst} {
		if r != nil {
			r.stop()
		}
	}
	var errs []error
	for _, dir := range []string{b.memory, b.disk} {
		if dir != "" {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}
