package image_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// A model is a file system in memory, by path; "" is the root. It unpacks layers
// in the plainest way there is, and reads what Export wrote.
type model map[string]*modelFile

// A modelFile may have several paths, which are hard links then.
type modelFile struct {
	kind     byte
	body     string
	link     string
	mode     int64
	uid, gid int
	xattrs   string
	device   [2]int64
}

func newModel() model { return model{"": &modelFile{kind: tar.TypeDir}} }

var errModel = errors.New("the model refuses it")

// unpack applies a layer.
func (m model) unpack(layer []entry) error {
	mine := map[string]bool{}
	for _, e := range layer {
		if err := m.apply(e, mine); err != nil {
			return err
		}
	}
	return nil
}

func (m model) apply(e entry, mine map[string]bool) error {
	dir, base, err := cut(e.Name)
	if err != nil {
		return err
	}
	if base == "" {
		if e.Typeflag != tar.TypeDir {
			return errModel
		}
		*m[""] = fileOf(e)
		return nil
	}
	for name := range strings.SplitSeq(dir, "/") {
		if strings.HasPrefix(name, ".wh.") {
			return errModel
		}
	}
	if name, ok := strings.CutPrefix(base, ".wh."); ok {
		return m.whiteout(dir, name, mine)
	}
	parent, err := m.follow(dir, mine)
	if err != nil {
		return err
	}
	at := join(parent, base)
	file := new(fileOf(e))
	if e.Typeflag == tar.TypeLink {
		if file, err = m.linked(e.Linkname, at); err != nil {
			return err
		}
	}
	if old := m[at]; old == nil || old.kind != tar.TypeDir || file.kind != tar.TypeDir {
		m.remove(at, mine)
	}
	m[at], mine[at] = file, true
	return nil
}

func (m model) linked(to, at string) (*modelFile, error) {
	dir, base, err := cut(to)
	if err != nil {
		return nil, err
	}
	folder, err := m.follow(dir, nil)
	if err != nil {
		return nil, err
	}
	to = join(folder, base)
	if f := m[to]; f != nil && f.kind != tar.TypeDir && to != at {
		return f, nil
	}
	return nil, errModel
}

func (m model) whiteout(dir, name string, mine map[string]bool) error {
	switch name {
	case "", ".", "..":
		return errModel
	case ".wh..opq":
		at, err := m.follow(dir, mine)
		if err == nil {
			m.hide(at, mine)
		}
		return err
	}
	at, err := m.follow(dir, nil)
	if errors.Is(err, errMissing) || errors.Is(err, errFile) {
		return nil
	}
	if err != nil {
		return err
	}
	at = join(at, name)
	m.hide(at, mine)
	if m[at] == nil || mine[at] {
		return nil
	}
	if m.hasBelow(at) {
		m[at], mine[at] = &modelFile{kind: tar.TypeDir, mode: 0o755}, true
		return nil
	}
	delete(m, at)
	return nil
}

// hide removes what is below at and not of this layer, deepest first.
func (m model) hide(at string, mine map[string]bool) {
	below := slices.Sorted(maps.Keys(m))
	slices.Reverse(below)
	for _, p := range below {
		switch {
		case !isBelow(p, at) || mine[p]:
		case m.hasBelow(p):
			m[p], mine[p] = &modelFile{kind: tar.TypeDir, mode: 0o755}, true
		default:
			delete(m, p)
		}
	}
}

func (m model) hasBelow(at string) bool {
	for p := range m {
		if isBelow(p, at) {
			return true
		}
	}
	return false
}

func (m model) remove(at string, mine map[string]bool) {
	for p := range m {
		if p == at || isBelow(p, at) {
			delete(m, p)
			delete(mine, p)
		}
	}
}

func isBelow(p, at string) bool { return p != at && (at == "" || strings.HasPrefix(p, at+"/")) }

var (
	errMissing = fmt.Errorf("it is missing: %w", errModel)
	errFile    = fmt.Errorf("a file is no folder: %w", errModel)
)

// follow returns the folder that dir leads to. With mine, missing ones are made.
func (m model) follow(dir string, mine map[string]bool) (string, error) {
	at, todo, hops := "", dir, 0
	for todo != "" {
		name, rest, _ := strings.Cut(todo, "/")
		todo = rest
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			at = strings.TrimPrefix(path.Dir("/"+at), "/")
			continue
		}
		next := join(at, name)
		switch f := m[next]; {
		case f == nil && mine == nil:
			return "", errMissing
		case f == nil && strings.HasPrefix(name, ".wh."):
			return "", errModel
		case f == nil:
			m[next], mine[next] = &modelFile{kind: tar.TypeDir, mode: 0o755}, true
			at = next
		case f.kind == tar.TypeDir:
			at = next
		case f.kind != tar.TypeSymlink:
			return "", errFile
		case hops == 40:
			return "", errModel
		default:
			hops++
			if strings.HasPrefix(f.link, "/") {
				at = ""
			}
			todo = f.link + "/" + todo
		}
	}
	return at, nil
}

func cut(name string) (dir, base string, err error) {
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", "", errModel
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	dir, base = path.Split(name)
	return strings.TrimSuffix(dir, "/"), base, nil
}

func join(dir, name string) string { return strings.TrimPrefix(dir+"/"+name, "/") }

func fileOf(e entry) modelFile {
	f := modelFile{
		kind: e.Typeflag, body: e.body, link: e.Linkname, mode: e.Mode, uid: e.Uid, gid: e.Gid,
		device: [2]int64{e.Devmajor, e.Devminor},
	}
	for _, key := range slices.Sorted(maps.Keys(e.PAXRecords)) {
		if strings.HasPrefix(key, "SCHILY.xattr.") {
			f.xattrs += key + "=" + e.PAXRecords[key] + ";"
		}
	}
	return f
}

// lines describes what m has, a line for each path; hard links name the first
// path of the same file.
func (m model) lines() []string {
	var lines []string
	first := map[*modelFile]string{}
	for _, p := range slices.Sorted(maps.Keys(m)) {
		f := m[p]
		if to, ok := first[f]; ok {
			lines = append(lines, fmt.Sprintf("%s = %s", p, to))
			continue
		}
		first[f] = p
		lines = append(lines, fmt.Sprintf("%s %c %o %d:%d %q %q %s %v", p, f.kind, f.mode, f.uid, f.gid, f.link, f.body, f.xattrs, f.device))
	}
	return lines
}

// readExport reads what Export wrote, and fails where a program that unpacks it
// could meet with anything odd: names that are not clean, that are met twice or
// stand below something else than a folder; links to what did not come yet.
func readExport(tb testing.TB, raw []byte) model {
	tb.Helper()
	m := newModel()
	seen := map[string]bool{}
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			tb.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		name := strings.TrimSuffix(h.Name, "/")
		if name == "." {
			name = ""
		}
		dir, base, err := cut(name)
		switch folder := m[dir]; {
		case err != nil, join(dir, base) != name, strings.HasPrefix(base, ".wh."):
			tb.Fatalf("entry %q is not clean", h.Name)
		case seen[name]:
			tb.Fatalf("entry %q stands there twice", h.Name)
		case folder == nil || folder.kind != tar.TypeDir:
			tb.Fatalf("entry %q comes before the folder it is in, or that is none", h.Name)
		}
		seen[name] = true
		if h.Typeflag != tar.TypeLink {
			m[name] = new(fileOf(entry{*h, string(body)}))
			continue
		}
		to := m[h.Linkname]
		if to == nil || to.kind == tar.TypeDir {
			tb.Fatalf("hard link %q leads to %q, which did not come yet", h.Name, h.Linkname)
		}
		m[name] = to
	}
}
