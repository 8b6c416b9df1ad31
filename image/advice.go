package image

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/opencontainers/go-digest"
)

// An Advice says how an image could be smaller.
type Advice struct {
	ID     string // stays the same from version to version
	Text   string // a sentence or two; it may have a path of the image in it
	Bytes  int64  // that it is about, unpacked
	Layers []int  // that it is about; the lowest is 0
}

// worth is how many bytes an advice has to be about.
const worth = 100_000

// Advice returns what could make the image smaller, what is worth most first.
func (a *Analysis) Advice() []Advice {
	files := a.Tree.inodes()
	all := slices.Concat(a.adviseMerge(), adviseCaches(files), adviseStages(files), adviseDuplicates(files), a.adviseDistroless(files))
	all = slices.DeleteFunc(all, func(d Advice) bool { return d.Bytes < worth })
	slices.SortStableFunc(all, func(a, b Advice) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.ID, b.ID))
	})
	return all
}

// inodes returns the regular files of t, each with one of its names.
func (t *Tree) inodes() []File {
	seen := map[fileID]bool{}
	var files []File
	for f := range t.All() {
		at := fileID{f.Layer, f.Entry}
		if f.Entry == nil || f.Entry.Size == 0 || seen[at] {
			continue
		}
		seen[at] = true
		files = append(files, f)
	}
	return files
}

func size(n int64) string { return units.HumanSize(float64(n)) }

// adviseMerge is about what a layer has and a later one takes away.
func (a *Analysis) adviseMerge() []Advice {
	var all []Advice
	for _, l := range a.Losses {
		layers := []int{l.From, l.By}
		if l.Again >= worth {
			all = append(all, Advice{
				ID: "copy-with-owner", Bytes: l.Again, Layers: layers,
				Text: fmt.Sprintf("Layer %d has %s once more that layer %d has already, with another owner, mode or time at most: "+
					"set those where the files are added, as COPY --chown and --chmod do.", l.By+1, size(l.Again), l.From+1),
			})
		}
		d := Advice{ID: "merge-layers", Bytes: l.Bytes - l.Again, Layers: layers}
		d.Text = fmt.Sprintf("Layer %d removes or overwrites %s that layer %d adds: as one RUN the two would leave them out.", l.By+1, size(d.Bytes), l.From+1)
		if l.From == 0 {
			d.ID = "newer-base"
			d.Text = fmt.Sprintf("Layer %d removes or overwrites %s of the lowest layer: a base image that is newer, or has less in it, would leave them out.", l.By+1, size(d.Bytes))
		}
		all = append(all, d)
	}
	return all
}

// A kind is files that are to be told apart by their names.
type kind struct {
	id    string
	what  string
	cure  string
	below []string // folders; ~ is that of root, or of any user
	has   func(name string) bool
}

// caches are what builds leave behind. The first that a file belongs to counts.
var caches = []kind{
	{id: "cache-apt", what: "packages that apt has downloaded", cure: "apt-get clean in the same RUN, or a cache mount there", below: []string{"var/cache/apt"}},
	{id: "cache-apt-lists", what: "apt's lists of packages", cure: "rm -rf /var/lib/apt/lists/* in the same RUN", below: []string{"var/lib/apt/lists"}},
	{id: "cache-apk", what: "what apk has downloaded", cure: "apk add --no-cache", below: []string{"var/cache/apk", "etc/apk/cache"}},
	{id: "cache-dnf", what: "what dnf or yum has downloaded", cure: "dnf clean all in the same RUN", below: []string{"var/cache/dnf", "var/cache/yum", "var/cache/libdnf5"}},
	{id: "cache-zypper", what: "what zypper has downloaded", cure: "zypper clean --all in the same RUN", below: []string{"var/cache/zypp"}},
	{id: "cache-pip", what: "what pip has downloaded", cure: "pip install --no-cache-dir", below: []string{"~/.cache/pip"}},
	{id: "cache-npm", what: "what npm has downloaded", cure: "a cache mount there, or npm cache clean --force in the same RUN", below: []string{"~/.npm"}},
	{id: "cache-yarn", what: "what yarn has downloaded", cure: "a cache mount there, or yarn cache clean in the same RUN", below: []string{"~/.cache/yarn", "~/.yarn/berry/cache", "usr/local/share/.cache/yarn"}},
	{id: "cache-go", what: "what go has downloaded and built", cure: "a stage of its own for the build, or cache mounts there", below: []string{"~/.cache/go-build", "~/go/pkg/mod", "go/pkg/mod"}},
	{id: "cache-cargo", what: "what cargo has downloaded", cure: "a stage of its own for the build, or a cache mount there", below: []string{"~/.cargo/registry", "usr/local/cargo/registry"}},
	{id: "cache-maven", what: "what Maven has downloaded", cure: "a stage of its own for the build, or a cache mount there", below: []string{"~/.m2/repository"}},
	{id: "cache-gradle", what: "what Gradle has downloaded", cure: "a stage of its own for the build, or a cache mount there", below: []string{"~/.gradle/caches", "~/.gradle/wrapper"}},
	{id: "cache-composer", what: "what composer has downloaded", cure: "composer clear-cache in the same RUN", below: []string{"~/.composer/cache", "~/.cache/composer"}},
	{id: "cache-home", what: "other caches in home folders", cure: "rm -rf of them in the same RUN", below: []string{"~/.cache"}},
	{id: "cache-bytecode", what: "bytecode that Python makes again where it is missing", cure: "PYTHONDONTWRITEBYTECODE=1, or pip install --no-compile", has: ends(".pyc", ".pyo")},
	{id: "temporary-files", what: "temporary files", cure: "rm -rf of them in the same RUN", below: []string{"tmp", "var/tmp"}},
	{id: "logs", what: "logs of the build", cure: "rm -rf of them in the same RUN", below: []string{"var/log"}},
}

// tools are what programs are built with.
var tools = []kind{
	{what: "compilers", below: []string{
		"usr/lib/gcc", "usr/libexec/gcc", "usr/lib/llvm", "usr/local/go", "usr/lib/go", "usr/local/rustup", "~/.rustup", "usr/lib/rustlib",
	}},
	{what: "programs for building", has: func(name string) bool {
		dir, base := path.Split(name)
		return (dir == "usr/bin/" || dir == "usr/local/bin/" || dir == "bin/") && isBuilder(base)
	}},
	{what: "headers", below: []string{"usr/include", "usr/local/include"}},
	{what: "static libraries", has: func(name string) bool {
		return path.Ext(name) == ".a" && (strings.HasPrefix(name, "usr/") || strings.HasPrefix(name, "lib"))
	}},
	{what: "parts of a JDK that a JRE has not", has: func(name string) bool {
		return strings.Contains(name, "/jmods/") || strings.HasSuffix(name, "/lib/src.zip") || strings.HasSuffix(name, "/lib/ct.sym")
	}},
}

// isBuilder reports whether a program is a compiler or one of its kind, whatever
// its version: x86_64-linux-gnu-gcc-12 is gcc.
func isBuilder(name string) bool {
	builders := []string{"gcc", "g++", "cc1", "cpp", "clang", "clang++", "ld.bfd", "ld.gold", "lld", "as", "gdb", "make", "cmake", "ninja", "meson", "bazel", "cargo", "rustc", "gofmt", "javac", "mvn", "gradle", "gfortran", "lto-dump"}
	name = strings.TrimRight(name, "0123456789.")
	name = strings.TrimSuffix(name, "-")
	if _, after, ok := strings.Cut(name, "-linux-gnu"); ok {
		_, name, _ = strings.Cut(after, "-")
	}
	return slices.Contains(builders, name)
}

func ends(with ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(with, path.Ext(name)) }
}

// holds reports whether the file with that name is of the kind.
func (k kind) holds(name string) bool {
	if k.has != nil && k.has(name) {
		return true
	}
	home := atHome(name)
	return slices.ContainsFunc(k.below, func(dir string) bool {
		under := name
		if strings.HasPrefix(dir, "~") {
			under = home
		}
		after, ok := strings.CutPrefix(under, dir)
		if dir == "usr/lib/llvm" || dir == "usr/lib/go" { // a version is behind it
			after = strings.TrimLeft(after, "-.0123456789")
		}
		return ok && strings.HasPrefix(after, "/")
	})
}

// atHome returns a name with ~ for the folder of a user; "" where it is in none.
func atHome(name string) string {
	if below, ok := strings.CutPrefix(name, "root/"); ok {
		return "~/" + below
	}
	if below, ok := strings.CutPrefix(name, "home/"); ok {
		if _, below, ok = strings.Cut(below, "/"); ok {
			return "~/" + below
		}
	}
	return ""
}

// A heap is files that belong together.
type heap struct {
	files  int
	bytes  int64
	layers []int
}

func (h *heap) add(f File) {
	h.files++
	h.bytes += f.Entry.Size
	if !slices.Contains(h.layers, f.Layer) {
		h.layers = append(h.layers, f.Layer)
		slices.Sort(h.layers)
	}
}

// sortOut returns the files of each kind.
func sortOut(files []File, kinds []kind) []heap {
	heaps := make([]heap, len(kinds))
	for _, f := range files {
		if i := slices.IndexFunc(kinds, func(k kind) bool { return k.holds(f.Path) }); i >= 0 {
			heaps[i].add(f)
		}
	}
	return heaps
}

func adviseCaches(files []File) []Advice {
	var all []Advice
	for i, h := range sortOut(files, caches) {
		k := caches[i]
		where := ""
		if len(k.below) > 0 {
			where = " (/" + strings.Replace(k.below[0], "~", "root", 1) + ")"
		}
		all = append(all, Advice{
			ID: k.id, Bytes: h.bytes, Layers: h.layers,
			Text: fmt.Sprintf("%s are %s%s: %s.", size(h.bytes), k.what, where, k.cure),
		})
	}
	return all
}

// adviseStages is about what programs are built with and run without.
func adviseStages(files []File) []Advice {
	const least = 5_000_000 // a few headers are no build environment
	var sum heap
	var parts []string
	heaps := sortOut(files, tools)
	order := make([]int, len(heaps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(heaps[j].bytes, heaps[i].bytes) })
	for _, i := range order {
		h := heaps[i]
		sum.bytes += h.bytes
		sum.layers = append(sum.layers, h.layers...)
		if h.bytes >= worth {
			parts = append(parts, size(h.bytes)+" of "+tools[i].what)
		}
	}
	if sum.bytes < least {
		return nil
	}
	slices.Sort(sum.layers)
	return []Advice{{
		ID: "multi-stage", Bytes: sum.bytes, Layers: slices.Compact(sum.layers),
		Text: fmt.Sprintf("A multi-stage build would drop %s that programs are built with and run without: %s.", size(sum.bytes), strings.Join(parts, ", ")),
	}}
}

// adviseDuplicates is about files with the same bytes.
func adviseDuplicates(files []File) []Advice {
	const least = 1_000_000
	first := map[digest.Digest]File{}
	var twice heap
	for _, f := range files {
		of, ok := first[f.Entry.Digest]
		if !ok {
			first[f.Entry.Digest] = f
			continue
		}
		if !slices.Contains(twice.layers, of.Layer) {
			twice.layers = append(twice.layers, of.Layer)
		}
		twice.add(f)
	}
	if twice.bytes < least {
		return nil
	}
	return []Advice{{
		ID: "duplicate-files", Bytes: twice.bytes, Layers: twice.layers,
		Text: fmt.Sprintf("%s are in %d files that are copies of others, byte for byte: links would do.", size(twice.bytes), twice.files),
	}}
}
