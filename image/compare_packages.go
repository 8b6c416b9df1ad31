package image

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/installed"
)

// A PackageChange is a package that differs between two images. Was is empty where
// it was added, Now where it was removed. Several versions that are installed beside
// each other have commas between them.
type PackageChange struct {
	Manager string // "dpkg", "apk", "rpm"
	Name    string
	Arch    string
	Was     string // version, or versions
	Now     string
	Change  string // "added", "removed", "upgraded", "downgraded", or "changed" where versions cannot be compared
}

// UnlistedPackages is a file that says which packages are installed, and that
// was not compared: because of Err, or, where that is nil, because a layer that both
// images have was not read.
type UnlistedPackages struct {
	Path string
	Err  error
}

// A packageFile is a file that says which packages are installed.
type packageFile struct {
	path  string
	entry *Entry
	layer int
}

// comparePackages returns the packages that differ.
func (c *comparer) comparePackages(ctx context.Context) ([]PackageChange, []UnlistedPackages, error) {
	files, unlisted := c.packageFiles()
	differ, large := c.fitting(files)
	unlisted = append(unlisted, large...)
	var all [2]map[installed.Package][]string
	skip := skipped(large)
	total := 0
	for side := range differ {
		all[side] = map[installed.Package][]string{}
		for _, f := range differ[side] {
			if m, _ := installed.Of(f.path); skip[m] {
				continue
			}
			packages, err := c.packagesIn(ctx, side, f)
			if total += len(packages); total > installed.MaxPackages {
				err = errLarge
			}
			if errors.Is(err, installed.ErrUnread) || errors.Is(err, errLarge) {
				unlisted = append(unlisted, UnlistedPackages{f.path, err})
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			for _, p := range packages {
				version := p.Version
				p.Version = ""
				all[side][p] = append(all[side][p], version)
			}
		}
	}
	slices.SortFunc(unlisted, func(a, b UnlistedPackages) int { return strings.Compare(a.Path, b.Path) })
	return comparePackageLists(all[0], all[1], skipped(unlisted)), unlisted, nil
}

// skipped returns the managers whose packages cannot be compared: where one of two
// files is not read, all that the other has would seem to be new.
func skipped(unlisted []UnlistedPackages) map[installed.Manager]bool {
	skip := map[installed.Manager]bool{}
	for _, u := range unlisted {
		m, _ := installed.Of(u.Path)
		skip[m] = skip[m] || u.Err != nil
	}
	return skip
}

// fitting returns the files that one image alone has, by path, as many as fit into
// memory together, and those that do not. What else was kept of the layers is
// forgotten.
func (c *comparer) fitting(files [2]map[digest.Digest]packageFile) (differ [2][]packageFile, large []UnlistedPackages) {
	total, wanted := int64(0), map[digest.Digest]bool{}
	for side := range files {
		for d, f := range files[side] {
			if _, both := files[1-side][d]; !both {
				differ[side] = append(differ[side], f)
			}
		}
		slices.SortFunc(differ[side], func(a, b packageFile) int { return strings.Compare(a.path, b.path) })
		differ[side] = slices.DeleteFunc(differ[side], func(f packageFile) bool {
			m, _ := installed.Of(f.path)
			if !installed.CanRead(m) { // no byte of it is read
				return false
			}
			if f.entry.Size > maxKept-total {
				large = append(large, UnlistedPackages{f.path, errLarge})
				return true
			}
			total += f.entry.Size
			wanted[f.entry.Digest] = true
			return false
		})
	}
	c.kept.only(wanted)
	return differ, large
}

// packageFiles returns the files of each image that say which packages are
// installed, by their digest: a file that both have, wherever, says the same of both.
func (c *comparer) packageFiles() (files [2]map[digest.Digest]packageFile, unlisted []UnlistedPackages) {
	paths := installed.Files()
	files[0], files[1] = map[digest.Digest]packageFile{}, map[digest.Digest]packageFile{}
	for _, s := range c.sides {
		for _, name := range s.view.in(installed.Folder) {
			if _, ok := installed.Of(installed.Folder + "/" + name); ok {
				paths = append(paths, installed.Folder+"/"+name)
			}
		}
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		a, b := c.sides[0].view.at(path), c.sides[1].view.at(path)
		if f, differs := c.settle(a, b); differs && f.Unsettled {
			unlisted = append(unlisted, UnlistedPackages{Path: path})
			continue
		}
		for side, s := range []saying{a, b} {
			if s.what == present && s.entry != nil && s.entry.Digest != "" {
				files[side][s.entry.Digest] = packageFile{path, s.entry, s.layer}
			}
		}
	}
	return files, unlisted
}

// packagesIn returns the packages that f of an image tells of.
func (c *comparer) packagesIn(ctx context.Context, side int, f packageFile) ([]installed.Package, error) {
	m, _ := installed.Of(f.path)
	if c.Cache != nil {
		var known []installed.Package
		if raw, ok := c.Cache.Load(packagesKey(m, f.entry)); ok && json.Unmarshal(raw, &known) == nil {
			return known, nil
		}
	}
	if !installed.CanRead(m) {
		return nil, fmt.Errorf("%s: %w", m, installed.ErrUnread)
	}
	raw, err := c.bytesOf(ctx, side, f.layer, f.entry)
	if err != nil {
		return nil, err
	}
	return c.readPackages(m, f.entry, raw)
}

// packagesKey returns what the packages are kept under that a file of m tells of.
func packagesKey(m installed.Manager, e *Entry) string {
	return fmt.Sprintf("packages 1 %s %s", m, e.Digest)
}

// readPackages returns the packages that raw, which is e, tells of, and keeps them in
// the cache.
func (c *comparer) readPackages(m installed.Manager, e *Entry, raw []byte) ([]installed.Package, error) {
	all, err := installed.Read(m, raw)
	if err != nil || c.Cache == nil {
		return all, err
	}
	if raw, err := json.Marshal(all); err == nil { // what is not kept is read again
		c.Cache.Store(packagesKey(m, e), raw)
	}
	return all, nil
}

// rememberPackages keeps in the cache what the files tell that were caught of a layer:
// it will not have to be read for them again.
func (c *comparer) rememberPackages(contents *Contents) {
	if c.Cache == nil {
		return
	}
	for _, e := range contents.All() {
		m, ok := installed.Of(e.Path)
		if raw, caught := c.kept.get(e); ok && caught {
			_, _ = c.readPackages(m, e, raw) // whoever needs it will say what is wrong with it
		}
	}
}

// comparePackageLists returns the packages that differ, by manager and name. The
// lists have the versions of packages that have none themselves.
func comparePackageLists(a, b map[installed.Package][]string, skip map[installed.Manager]bool) []PackageChange {
	var all []PackageChange
	add := func(p installed.Package) {
		was, now := a[p], b[p]
		slices.Sort(was)
		slices.Sort(now)
		if skip[p.Manager] || slices.Equal(was, now) {
			return
		}
		all = append(all, PackageChange{
			Manager: string(p.Manager),
			Name:    p.Name,
			Arch:    p.Arch,
			Was:     strings.Join(was, ","),
			Now:     strings.Join(now, ","),
			Change:  changeOf(p.Manager, was, now),
		})
	}
	for p := range a {
		add(p)
	}
	for p := range b {
		if _, both := a[p]; !both {
			add(p)
		}
	}
	slices.SortFunc(all, func(x, y PackageChange) int {
		return cmp.Or(strings.Compare(x.Manager, y.Manager), strings.Compare(x.Name, y.Name), strings.Compare(x.Arch, y.Arch))
	})
	return all
}

// changeOf returns what became of a package with those versions.
func changeOf(m installed.Manager, was, now []string) string {
	switch {
	case len(was) == 0:
		return "added"
	case len(now) == 0:
		return "removed"
	case len(was) > 1 || len(now) > 1:
		return "changed"
	}
	switch installed.Compare(m, was[0], now[0]) {
	case installed.Higher:
		return "upgraded"
	case installed.Lower:
		return "downgraded"
	case installed.Unknown, installed.Equal:
	}
	return "changed"
}
