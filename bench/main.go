// Bench compares wherry with its peers: the same real image, the same registry on loopback, one run of each tool after
// the other, and again. It writes medians, ratios and their spread into docs/benchmarks.md.
//
//	go run ./bench [-runs N] [-only SCENARIO,…] [-tools wherry,…] [-seed N]     from the root of the repository, after make build
//
// Every tool runs in a home of its own that is new for each run, sees nothing of the user's, and what it wrote is hashed
// before its time counts. Peers that are not installed are left out and named.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wherry-dev/wherry/internal/testlink"
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
	seed   uint64
	links  int
	tools  string
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
	flag.IntVar(&s.runs, "runs", 0, "measured runs of each tool; 0 is what each scenario deems enough")
	flag.StringVar(&s.only, "only", "", "comma-separated `scenarios`: "+strings.Join(scenarioNames(), ", ")+"; "+secureGroup+" is those that end in -tls")
	flag.StringVar(&s.doc, "doc", "docs/benchmarks.md", "page whose tables are written anew")
	flag.StringVar(&s.json, "out", "bench/results/latest.json", "`file` for every single run")
	flag.StringVar(&s.memory, "memory", "/dev/shm", "`folder` on a memory file system")
	flag.StringVar(&s.disk, "disk", cacheFolder(), "`folder` on a disk")
	flag.StringVar(&s.wherry, "wherry", "bin/wherry", "the binary to compare")
	flag.StringVar(&s.image, "image", filepath.Join(cacheFolder(), "wherry-images", "big.tar"), "docker `archive` with gzip layers; made where it is missing")
	flag.StringVar(&s.note, "note", "", "`text` beside the machine's description: what was special about this run")
	flag.Uint64Var(&s.seed, "seed", rand.Uint64N(1_000_000), "what the scenario links draws its links from")
	flag.IntVar(&s.links, "links", 4, "how many links it draws")
	flag.StringVar(&s.tools, "tools", "", "comma-separated `tools` to measure; all that are there by default")
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
	if tools, err = pick(tools, s.tools); err != nil {
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

	// What takes half an hour is not lost because one scenario fails.
	all := results{Machine: describe(ctx, b, absent)}
	var failed []error
	for _, sc := range chosen {
		r, err := b.measure(ctx, sc)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", sc.name, err))
			fmt.Fprintln(os.Stderr, failed[len(failed)-1])
		default:
			all.Scenarios = append(all.Scenarios, r)
		}
	}
	return errors.Join(append(failed, writeJSON(s.json, all), writePage(s.doc, all))...)
}

// pick returns the tools named in a comma-separated list, all for "".
func pick(tools []tool, list string) ([]tool, error) {
	if list == "" {
		return tools, nil
	}
	names := strings.Split(list, ",")
	picked := slices.DeleteFunc(slices.Clone(tools), func(t tool) bool { return !slices.Contains(names, t.name) })
	if len(picked) < len(names) {
		return nil, fmt.Errorf("not all of %s are here", list)
	}
	return picked, nil
}

// secureGroup is what the scenarios over TLS are called together.
const secureGroup = "wan-tls"

// choose returns the scenarios named in a comma-separated list, all for "".
func choose(list string) ([]scenario, error) {
	all := scenarios()
	if list == "" {
		return all, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(list, ",") {
		before := len(chosen)
		for _, s := range all {
			if s.name == name || name == secureGroup && strings.HasSuffix(s.name, "-tls") {
				chosen = append(chosen, s)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("no scenario is called %q; there are %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	return chosen, nil
}

// A bench is the place where tools are measured: registries on loopback whose blobs are in memory, and work folders.
type bench struct {
	runs         int
	tools        []tool
	memory, disk string // work folders of this process
	src, dst     *registry
	secure       *registry // over the data of src; made when a scenario asks for it, as are the images but real
	keys         keyFiles
	real, large  image
	layer        image
	link         *testlink.Link // between the tools and the source, while one runs in a scenario that wants it
	imageFile    string
	note         string
	started      time.Time
	seed         uint64
	links        int
}

func newBench(ctx context.Context, s settings, tools []tool) (b *bench, err error) {
	b = &bench{runs: s.runs, tools: tools, imageFile: s.image, note: s.note, started: time.Now(), seed: s.seed, links: s.links}
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

// secured starts the registry that speaks https, once.
func (b *bench) secured(ctx context.Context) (err error) {
	if b.secure != nil {
		return nil
	}
	if b.keys, err = makeKeys(b.memory); err != nil {
		return err
	}
	b.secure, err = b.src.secure(ctx, filepath.Join(b.memory, "secure"), b.keys)
	return err
}

// registries are those that were started.
func (b *bench) registries() []*registry {
	return slices.DeleteFunc([]*registry{b.src, b.dst, b.secure}, func(r *registry) bool { return r == nil })
}

// asked is how many requests tools have made of them so far.
func (b *bench) asked() (n int) {
	for _, r := range b.registries() {
		n += r.log.count()
	}
	return n
}

// close ends the registries and removes the work folders.
func (b *bench) close() error {
	for _, r := range b.registries() {
		r.stop()
	}
	var errs []error
	for _, dir := range []string{b.memory, b.disk} {
		if dir != "" {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}
