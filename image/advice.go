package image

import (
	"cmp"
	"encoding/hex"
	"path"
	"slices"
	"strings"
)

// An Advice is something that could make an image smaller. What a person is to do
// about it is left to whoever shows it.
type Advice struct {
	ID     string // stays the same from version to version
	Bytes  int64  // that it is about, unpacked
	Layers []int  // that it is about; the lowest is 0
	Files  int    // that it is about, where it is about those

	// Path is the program of "distroless", and the folder where the files of a cache are
	// mostly, with root for the home of any user; else it is empty.
	Path string

	Parts []AdvicePart // of "multi-stage", the largest first
}

// An AdvicePart is a part of what an [Advice] is about.
type AdvicePart struct {
	ID    string // "compilers", "build-programs", "headers", "static-libraries", "jdk-parts"
	Bytes int64
}

// worth is how many bytes an advice has to be about.
const worth = 100_000

// Advice returns what could make the image smaller, what is worth most first.
func (a *Analysis) Advice() []Advice {
	caches, tools := sorter{kinds: caches}, sorter{kinds: tools}
	twice := duplicates{first: map[[16]byte]int{}}
	distroless := a.newDistroless()
	for f := range a.Tree.regular() {
		caches.add(f)
		tools.add(f)
		twice.add(f)
		distroless.add(f)
	}
	all := slices.Concat(a.adviseMerge(), caches.adviseCaches(), tools.adviseStages(), twice.advise(), distroless.advise())
	all = slices.DeleteFunc(all, func(d Advice) bool { return d.Bytes < worth })
	slices.SortStableFunc(all, func(a, b Advice) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.ID, b.ID))
	})
	return all
}

// adviseMerge is about what a layer has and a later one takes away.
func (a *Analysis) adviseMerge() []Advice {
	var all []Advice
	for _, l := range a.Losses {
		layers := []int{l.From, l.By}
		if l.Again >= worth {
			all = append(all, Advice{ID: "copy-with-owner", Bytes: l.Again, Layers: layers})
		}
		id := "merge-layers"
		if l.From == 0 {
			id = "newer-base"
		}
		all = append(all, Advice{ID: id, Bytes: l.Bytes - l.Again, Layers: layers})
	}
	return all
}

// A kind is files that are to be told apart by their names.
type kind struct {
	id    string
	below []string // folders; ~ is that of root, or of any user
	has   func(name string) bool
}

// caches are what builds leave behind. The first that a file belongs to counts.
var caches = []kind{
	{id: "cache-apt", below: []string{"var/cache/apt"}},
	{id: "cache-apt-lists", below: []string{"var/lib/apt/lists"}},
	{id: "cache-apk", below: []string{"var/cache/apk", "etc/apk/cache"}},
	{id: "cache-dnf", below: []string{"var/cache/dnf", "var/cache/yum", "var/cache/libdnf5"}},
	{id: "cache-zypper", below: []string{"var/cache/zypp"}},
	{id: "cache-pip", below: []string{"~/.cache/pip"}},
	{id: "cache-npm", below: []string{"~/.npm"}},
	{id: "cache-yarn", below: []string{"~/.cache/yarn", "~/.yarn/berry/cache", "usr/local/share/.cache/yarn"}},
	{id: "cache-go", below: []string{"~/.cache/go-build", "~/go/pkg/mod", "go/pkg/mod"}},
	{id: "cache-cargo", below: []string{"~/.cargo/registry", "usr/local/cargo/registry"}},
	{id: "cache-maven", below: []string{"~/.m2/repository"}},
	{id: "cache-gradle", below: []string{"~/.gradle/caches", "~/.gradle/wrapper"}},
	{id: "cache-composer", below: []string{"~/.composer/cache", "~/.cache/composer"}},
	{id: "cache-home", below: []string{"~/.cache"}},
	{id: "cache-bytecode", has: ends(".pyc", ".pyo")},
	{id: "temporary-files", below: []string{"tmp", "var/tmp"}},
	{id: "logs", below: []string{"var/log"}},
}

// tools are what programs are built with.
var tools = []kind{
	{id: "compilers", below: []string{
		"usr/lib/gcc", "usr/libexec/gcc", "usr/lib/llvm", "usr/local/go", "usr/lib/go", "usr/local/rustup", "~/.rustup", "usr/lib/rustlib",
	}},
	{id: "build-programs", has: func(name string) bool {
		dir, base := path.Split(name)
		return (dir == "usr/bin/" || dir == "usr/local/bin/" || dir == "bin/") && isBuilder(base)
	}},
	{id: "headers", below: []string{"usr/include", "usr/local/include"}},
	{id: "static-libraries", has: func(name string) bool {
		return path.Ext(name) == ".a" && (strings.HasPrefix(name, "usr/") || strings.HasPrefix(name, "lib"))
	}},
	{id: "jdk-parts", has: func(name string) bool {
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

// A sorter sorts files out by their kinds.
type sorter struct {
	kinds []kind
	heaps []heap // of each kind
}

// add puts f on the heap of the first kind that it is of.
func (s *sorter) add(f File) {
	if s.heaps == nil {
		s.heaps = make([]heap, len(s.kinds))
	}
	if i := slices.IndexFunc(s.kinds, func(k kind) bool { return k.holds(f.Path) }); i >= 0 {
		s.heaps[i].add(f)
	}
}

func (s *sorter) adviseCaches() []Advice {
	var all []Advice
	for i, h := range s.heaps {
		k := s.kinds[i]
		d := Advice{ID: k.id, Bytes: h.bytes, Layers: h.layers, Files: h.files}
		if len(k.below) > 0 {
			d.Path = strings.Replace(k.below[0], "~", "root", 1)
		}
		all = append(all, d)
	}
	return all
}

// adviseStages is about what programs are built with and run without.
func (s *sorter) adviseStages() []Advice {
	const least = 5_000_000 // a few headers are no build environment
	d := Advice{ID: "multi-stage"}
	for i, h := range s.heaps {
		d.Bytes += h.bytes
		d.Files += h.files
		d.Layers = append(d.Layers, h.layers...)
		if h.bytes >= worth {
			d.Parts = append(d.Parts, AdvicePart{s.kinds[i].id, h.bytes})
		}
	}
	if d.Bytes < least {
		return nil
	}
	slices.SortStableFunc(d.Parts, func(a, b AdvicePart) int { return cmp.Compare(b.Bytes, a.Bytes) })
	slices.Sort(d.Layers)
	d.Layers = slices.Compact(d.Layers)
	return []Advice{d}
}

// duplicates are files with the same bytes.
type duplicates struct {
	first map[[16]byte]int // layer of the first, by half of its digest: there may be one for each entry
	twice heap             // of the others
}

func (d *duplicates) add(f File) {
	if f.Entry.Digest == "" {
		return
	}
	var sum [16]byte
	_, _ = hex.Decode(sum[:], []byte(f.Entry.Digest.Encoded()[:2*len(sum)])) // it is a sha256
	of, ok := d.first[sum]
	if !ok {
		d.first[sum] = f.Layer
		return
	}
	if !slices.Contains(d.twice.layers, of) {
		d.twice.layers = append(d.twice.layers, of)
	}
	d.twice.add(f)
}

func (d *duplicates) advise() []Advice {
	const least = 1_000_000
	if d.twice.bytes < least {
		return nil
	}
	return []Advice{{ID: "duplicate-files", Bytes: d.twice.bytes, Layers: d.twice.layers, Files: d.twice.files}}
}
