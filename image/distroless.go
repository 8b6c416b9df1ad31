package image

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// databases are where package managers keep what is installed.
var databases = []string{"var/lib/dpkg/status", "lib/apk/db/installed", "usr/lib/apk/db/installed", "var/lib/rpm", "usr/lib/sysimage/rpm"}

// adviseDistroless is about an image that is one program on top of a distribution:
// above the layers that have packages there is nothing else that runs, and no
// library. Whether the program needs those of the distribution is not looked into.
func (a *Analysis) adviseDistroless(files []File) []Advice {
	top := a.lastPackages()
	if top < 0 || !a.isThere("bin/sh", "usr/bin/sh") {
		return nil
	}
	program, ok := a.program()
	if !ok || program.Layer <= top {
		return nil
	}
	const least = 500_000 // a script has less, a program with all it needs has more
	if program.Entry.Size < least || needsMore(files, top, program) {
		return nil
	}
	var base heap
	for _, f := range files {
		if f.Layer <= top {
			base.add(f)
		}
	}
	return []Advice{{
		ID: "distroless", Bytes: base.bytes, Layers: base.layers,
		Text: fmt.Sprintf("All that runs is /%s, on %s of a distribution with a shell and a package manager: where it is linked statically, "+
			"scratch or a distroless base (some 2MB) would do.", program.Path, size(base.bytes)),
	}}
}

// lastPackages returns the highest layer that installs packages; -1 where none does.
func (a *Analysis) lastPackages() int {
	last := -1
	for i := range a.Tree.Layers() {
		for _, c := range a.Tree.Changes(i) {
			if c.Now.Entry != nil && slices.ContainsFunc(databases, func(d string) bool { return c.Path == d || strings.HasPrefix(c.Path, d+"/") }) {
				last = i
				break
			}
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

// needsMore reports whether the layers above top have anything beside program
// that runs.
func needsMore(files []File, top int, program File) bool {
	return slices.ContainsFunc(files, func(f File) bool {
		if f.Layer <= top || f.Entry == program.Entry {
			return false
		}
		switch path.Ext(f.Path) {
		case ".so", ".py", ".js", ".mjs", ".rb", ".php", ".pl", ".jar", ".class", ".sh":
			return true
		}
		return strings.Contains(path.Base(f.Path), ".so.") || f.Entry.Mode&0o111 != 0
	})
}
