// Package installed reads what package managers note down about what they have
// installed in a root file system, from the bytes of their files.
package installed

import (
	"errors"
	"fmt"
	"strings"
)

// A Manager is a package manager.
type Manager string

// The managers whose notes can be read.
const (
	Dpkg Manager = "dpkg" // https://wiki.debian.org/DpkgInternals
	Apk  Manager = "apk"  // https://wiki.alpinelinux.org/wiki/Apk_spec
	RPM  Manager = "rpm"  // https://rpm.org
)

// A Package is one that is installed.
type Package struct {
	Manager Manager `json:"manager"`
	Name    string  `json:"name"`
	Arch    string  `json:"arch,omitempty"`
	Version string  `json:"version"`
}

// ErrUnread is notes that exist and cannot be read here.
var ErrUnread = errors.New("packages of this kind are not read")

// Folder is where Debian's distroless images have a file for each package, in
// place of one file for all: https://github.com/GoogleContainerTools/distroless
const Folder = "var/lib/dpkg/status.d"

// files are the notes, by their path from the root.
var files = map[string]Manager{
	"var/lib/dpkg/status":               Dpkg,
	"lib/apk/db/installed":              Apk,
	"usr/lib/apk/db/installed":          Apk,
	"var/lib/rpm/Packages":              RPM,
	"var/lib/rpm/Packages.db":           RPM,
	"var/lib/rpm/rpmdb.sqlite":          RPM,
	"usr/lib/sysimage/rpm/Packages":     RPM,
	"usr/lib/sysimage/rpm/Packages.db":  RPM,
	"usr/lib/sysimage/rpm/rpmdb.sqlite": RPM,
	"usr/share/rpm/Packages":            RPM,
	"usr/share/rpm/rpmdb.sqlite":        RPM,
}

// Files returns the paths of all notes, those in [Folder] aside, in any order.
func Files() []string {
	all := make([]string, 0, len(files))
	for path := range files {
		all = append(all, path)
	}
	return all
}

// Of returns whose notes a file is, by its path from the root, and whether it is
// such a file at all.
func Of(path string) (Manager, bool) {
	if name, ok := strings.CutPrefix(path, Folder+"/"); ok {
		return Dpkg, !strings.Contains(name, "/") && !strings.HasSuffix(name, ".md5sums")
	}
	m, ok := files[path]
	return m, ok
}

// MaxPackages is how many packages one file may tell of. A whole desktop has 5000.
const MaxPackages = 50_000

// CanRead reports whether the notes of m can be read here.
func CanRead(m Manager) bool { return m != RPM }

// Read returns the packages that raw, which is a file of m, says are installed. What
// is of no use is passed over: a file may hold anything. One that tells of more than
// MaxPackages is ErrUnread.
func Read(m Manager, raw []byte) ([]Package, error) {
	var all []Package
	switch m {
	case Dpkg:
		all = readDpkg(string(raw))
	case Apk:
		all = readApk(string(raw))
	case RPM:
		return nil, fmt.Errorf("%s: %w", m, ErrUnread)
	}
	if len(all) > MaxPackages {
		return nil, fmt.Errorf("%s: more than %d packages: %w", m, MaxPackages, ErrUnread)
	}
	return all, nil
}

// readDpkg reads paragraphs of fields.
// https://www.debian.org/doc/debian-policy/ch-controlfields.html#syntax-of-control-files
func readDpkg(text string) []Package {
	var all []Package
	p, there := Package{Manager: Dpkg}, true
	end := func() {
		if p.Name != "" && p.Version != "" && there && len(all) <= MaxPackages {
			all = append(all, p)
		}
		p, there = Package{Manager: Dpkg}, true
	}
	paragraphs(text, end, func(name, value string) {
		switch name {
		case "Package":
			p.Name = strings.Clone(value)
		case "Version":
			p.Version = strings.Clone(value)
		case "Architecture":
			p.Arch = strings.Clone(value)
		case "Status": // what is wanted, errors, and what is there
			words := strings.Fields(value)
			there = len(words) == 3 && words[2] == "installed"
		}
	})
	return all
}

// readApk reads paragraphs of fields that have one letter.
func readApk(text string) []Package {
	var all []Package
	p := Package{Manager: Apk}
	end := func() {
		if p.Name != "" && p.Version != "" && len(all) <= MaxPackages {
			all = append(all, p)
		}
		p = Package{Manager: Apk}
	}
	paragraphs(text, end, func(name, value string) {
		switch name {
		case "P":
			p.Name = strings.Clone(value)
		case "V":
			p.Version = strings.Clone(value)
		case "A":
			p.Arch = strings.Clone(value)
		}
	})
	return all
}

// paragraphs calls field for the fields of each paragraph, whatever a field has in
// further lines left out, and end behind each of them.
func paragraphs(text string, end func(), field func(name, value string)) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		switch {
		case line == "":
			end()
		case ok && !strings.HasPrefix(line, " "):
			field(name, strings.TrimSpace(value))
		}
	}
	end()
}
