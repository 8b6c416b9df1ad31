package image

import (
	"path"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/internal/installed"
)

// distroless is about an image that is one program on top of a distribution: above
// the layers that have packages there is nothing else that runs, and no library.
// Whether the program needs those of the distribution is not looked into.
type distroless struct {
	top     int // layer with packages that has none above it
	program File
	not     bool // it is another kind of image
	base    heap
}

func (a *Analysis) newDistroless() *distroless {
	const least = 500_000 // a script has less, a program with all it needs has more
	d := &distroless{top: a.lastPackages()}
	program, ok := a.program()
	d.program = program
	d.not = d.top < 0 || !ok || program.Layer <= d.top || program.Entry.Size < least || !a.isThere("bin/sh", "usr/bin/sh")
	return d
}

// add looks at a file of the image.
func (d *distroless) add(f File) {
	switch {
	case d.not:
	case f.Layer <= d.top:
		d.base.add(f)
	default:
		d.not = f.ID() != d.program.ID() && runs(f)
	}
}

func (d *distroless) advise() []Advice {
	if d.not {
		return nil
	}
	return []Advice{{ID: "distroless", Bytes: d.base.bytes, Layers: d.base.layers, Files: d.base.files, Path: d.program.Path}}
}

// lastPackages returns the highest layer that installs packages; -1 where none does.
func (a *Analysis) lastPackages() int {
	last := -1
	for i, changes := range a.Tree.changes() {
		tells := func(c change) bool {
			_, ok := installed.Of(c.at.path())
			return ok && c.now.layer > 0
		}
		if slices.ContainsFunc(changes, tells) {
			last = i
		}
	}
	return last
}

func (a *Analysis) isThere(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, err := a.Tree.Follow(name)
		return err == nil
	})
}

// program returns the file that a container runs.
func (a *Analysis) program() (File, bool) {
	if len(a.Command) == 0 {
		return File{}, false
	}
	name := a.Command[0]
	names := []string{name}
	if !strings.Contains(name, "/") {
		names = nil
		for _, dir := range []string{"usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"} {
			names = append(names, path.Join(dir, name))
		}
	}
	for _, n := range names {
		f, err := a.Tree.Follow(n)
		if err == nil && f.Entry != nil && f.Entry.Size > 0 {
			return f, true
		}
	}
	return File{}, false
}

// runs reports whether f is a program, or a part of one.
func runs(f File) bool {
	switch path.Ext(f.Path) {
	case ".so", ".py", ".js", ".mjs", ".rb", ".php", ".pl", ".jar", ".class", ".sh":
		return true
	}
	return strings.Contains(path.Base(f.Path), ".so.") || f.Entry.Mode&0o111 != 0
}
