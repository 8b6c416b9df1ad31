package e2e

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A disk is an OCI layout in a folder, read with nothing but os and encoding/json: neither wherry's code nor that of a
// peer judges it.
type disk struct {
	t    *testing.T
	Path string
}

func onDisk(t *testing.T, path string) *disk {
	t.Helper()
	return &disk{t: t, Path: path}
}

const (
	refName       = "org.opencontainers.image.ref.name"
	containerName = "io.containerd.image.name"
)

// index reads index.json, and wants a layout around it.
func (l *disk) index() manifest {
	l.t.Helper()
	var marker struct {
		Version string `json:"imageLayoutVersion"`
	}
	l.decode("oci-layout", &marker)
	if marker.Version != "1.0.0" {
		l.t.Errorf("%s: layout version %q", l.Path, marker.Version)
	}
	var index manifest
	l.decode("index.json", &index)
	return index
}

func (l *disk) decode(file string, into any) {
	l.t.Helper()
	text, err := os.ReadFile(filepath.Join(l.Path, file))
	if err != nil {
		l.t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		l.t.Fatalf("%s: %v\n%s", filepath.Join(l.Path, file), err, text)
	}
}

// names maps the names of index.json to what they stand for.
func (l *disk) names() map[string]string {
	l.t.Helper()
	all := map[string]string{}
	for _, d := range l.index().Manifests {
		name := d.Annotations[containerName]
		if name == "" {
			name = d.Annotations[refName]
		}
		if name == "" {
			continue
		}
		if other, ok := all[name]; ok {
			l.t.Errorf("%s: %q is both %s and %s", l.Path, name, other, d.Digest)
		}
		all[name] = d.Digest
	}
	return all
}

func (l *disk) file(digest string) string {
	algorithm, hex, _ := strings.Cut(digest, ":")
	return filepath.Join(l.Path, "blobs", algorithm, hex)
}

// walk hashes everything under a digest and returns the digests, sorted and once each. What is missing or does not
// match fails the test.
func (l *disk) walk(digest string) []string {
	l.t.Helper()
	seen := map[string]bool{}
	l.visit(digest, seen)
	all := make([]string, 0, len(seen))
	for d := range seen {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

func (l *disk) visit(digest string, seen map[string]bool) {
	l.t.Helper()
	if seen[digest] {
		return
	}
	seen[digest] = true
	text, err := os.ReadFile(l.file(digest))
	if err != nil {
		l.t.Errorf("%s: %v", l.Path, err)
		return
	}
	if got := digestOf(digest, text); got != digest {
		l.t.Errorf("%s: %s has bytes of %s", l.Path, digest, got)
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		l.t.Errorf("%s: %s: %v", l.Path, digest, err)
		return
	}
	for _, child := range m.Manifests {
		l.visit(child.Digest, seen)
	}
	blobs := slices.Clone(m.Layers)
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, d := range blobs {
		if seen[d.Digest] || len(d.URLs) > 0 {
			continue
		}
		seen[d.Digest] = true
		f, err := os.Open(l.file(d.Digest))
		if err != nil {
			l.t.Errorf("%s: %v", l.Path, err)
			continue
		}
		got, n := digestFrom(l.t, d.Digest, f)
		_ = f.Close()
		if n != d.Size || got != d.Digest {
			l.t.Errorf("%s: %s has %d bytes of %d, hash %s", l.Path, d.Digest, n, d.Size, got)
		}
	}
}

// valid wants what holds at any moment, after a crash too: a marker and an index that can be read, every name's image
// whole, and no file under blobs/ that is not what its name says.
func (l *disk) valid() {
	l.t.Helper()
	for _, d := range l.index().Manifests {
		l.walk(d.Digest)
	}
	l.noneWrong()
}

func (l *disk) noneWrong() {
	l.t.Helper()
	blobs := filepath.Join(l.Path, "blobs")
	err := filepath.WalkDir(blobs, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // it was only read
		want := filepath.Base(filepath.Dir(path)) + ":" + filepath.Base(path)
		if got, n := digestFrom(l.t, want, f); got != want {
			l.t.Errorf("%s: %d bytes with hash %s", path, n, got)
		}
		return nil
	})
	if err != nil {
		l.t.Error(err)
	}
}

// bytesIn counts what lies in a folder, whatever it is; what goes away meanwhile does not count, nor do the holes of files.
func bytesIn(folder string) int64 {
	var sum int64
	_ = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // it is being written to: a file may be gone
		}
		if info, err := entry.Info(); err == nil {
			sum += allocated(info)
		}
		return nil
	})
	return sum
}

// allocated returns the bytes of a file without its holes: those of one that came over several connections have some.
func allocated(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(info.Size(), stat.Blocks*512)
	}
	return info.Size()
}

// sameFleet wants everything of a fleet in the layout, by names that other tools find it by.
func (l *disk) sameFleet(want fleet, name string) {
	l.t.Helper()
	names := l.names()
	if names[name] != want.Index.Digest {
		l.t.Errorf("%s: %q is %s, want %s", l.Path, name, names[name], want.Index.Digest)
	}
	l.walk(want.Index.Digest)
	if got := names[sibling(name, want.SigTag)]; got != want.Signature.Digest {
		l.t.Errorf("%s: signature under %q is %q, want %s", l.Path, sibling(name, want.SigTag), got, want.Signature.Digest)
	}
	rooted := map[string]bool{}
	for _, d := range l.index().Manifests {
		for _, below := range l.walk(d.Digest) {
			rooted[below] = true
		}
	}
	for _, referrers := range want.Referrers {
		for _, d := range referrers {
			if !rooted[d.Digest] {
				l.t.Errorf("%s: index.json does not lead to referrer %s", l.Path, d.Digest)
			}
		}
	}
}

// sibling is tag in the same repository as name, or tag alone beside a bare tag.
func sibling(name, tag string) string {
	if i := strings.LastIndex(name, ":"); i >= 0 {
		return name[:i+1] + tag
	}
	return tag
}

// untar unpacks an archive into a new folder of the box.
func untar(b *box, file string) string {
	b.t.Helper()
	folder, err := os.MkdirTemp(b.Dir, "untar-")
	if err != nil {
		b.t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	for r := tar.NewReader(f); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return folder
		}
		if err != nil {
			b.t.Fatalf("%s: %v", file, err)
		}
		if err := unpack(filepath.Join(folder, filepath.FromSlash(header.Name)), header, r); err != nil {
			b.t.Fatalf("%s: %s: %v", file, header.Name, err)
		}
	}
}

func unpack(path string, header *tar.Header, r io.Reader) error {
	if header.Typeflag == tar.TypeDir {
		return os.MkdirAll(path, 0o755)
	}
	if header.Typeflag != tar.TypeReg {
		return errors.New("neither file nor folder")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
