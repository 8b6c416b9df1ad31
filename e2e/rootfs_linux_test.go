package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestExportIsWhatUmociUnpacks compares the tar that `wherry export` writes with the folder that umoci unpacks: names,
// kinds, modes, owners, times, links of both kinds, extended attributes, and what is in the files.
func TestExportIsWhatUmociUnpacks(t *testing.T) {
	if os.Getuid() != 0 {
		missing.skip(t, "root (owners of what umoci unpacks)")
	}
	ours := func(file string) func(t *testing.T, b *box) string {
		return func(t *testing.T, _ *box) string {
			t.Helper()
			return sample(t, file)
		}
	}
	for name, archive := range map[string]func(t *testing.T, b *box) string{
		"Alpine":                 ours("alpine-3.20.tar"),
		"busybox with 13 layers": ours("docker-busybox-layers.tar"),
		"whiteouts":              ours("whiteout.tar"),
		"estargz":                ours("oci-estargz.tar"),
		"Debian with an application": func(t *testing.T, _ *box) string {
			t.Helper()
			return realImage(t, "app-v1.tar")
		},
		"links and attributes by us": oddLayers,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			b.wherry("copy", "-q", archive(t, b), "oci:layout:image")
			b.umoci("raw", "unpack", "--image", "layout:image", "rootfs")
			b.wherry("export", "-o", "rootfs.tar", "oci:layout:image")
			got, want := describeTar(t, b.path("rootfs.tar")), describeFolder(t, b.path("rootfs"))
			delete(want, "config.json") // umoci's own
			for _, p := range slices.Sorted(maps.Keys(want)) {
				if got[p] != want[p] {
					t.Errorf("%s\nexported %s\nunpacked %s", p, got[p], want[p])
				}
				delete(got, p)
			}
			if len(got) > 0 {
				t.Errorf("not unpacked by umoci: %v", got)
			}
		})
	}
}

// oddLayers makes an image of three layers that the real ones have nothing of: hard links from layer to layer whose
// targets go away, an opaque folder, a folder that becomes a file, a capability.
func oddLayers(t *testing.T, b *box) string {
	t.Helper()
	regular := func(name, body string) (*tar.Header, string) {
		return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o4751, Uid: 1000, Gid: 50, Size: int64(len(body)), ModTime: time.Unix(1e9, 0)}, body
	}
	other := func(kind byte, name, link string) (*tar.Header, string) {
		return &tar.Header{Typeflag: kind, Name: name, Linkname: link, Mode: 0o777, ModTime: time.Unix(1e9, 0)}, ""
	}
	layers := [3]bytes.Buffer{}
	var w *tar.Writer
	add := func(h *tar.Header, body string) {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	for i := range layers {
		w = tar.NewWriter(&layers[i])
		switch i {
		case 0:
			add(other(tar.TypeDir, "d/", ""))
			add(regular("d/first", "shared"))
			add(regular("d/lower", "lower"))
			add(other(tar.TypeDir, "turns/", ""))
			add(regular("turns/in", "in"))
			add(other(tar.TypeDir, "usr/", ""))
			add(other(tar.TypeDir, "usr/lib/", ""))
			add(other(tar.TypeSymlink, "lib", "usr/lib"))
			h, body := regular("ping", "ping")
			h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
			add(h, body)
		case 1:
			// A hard link has the settings of what it leads to.
			h, body := regular("second", "")
			h.Typeflag, h.Linkname = tar.TypeLink, "d/first"
			add(h, body)
			h, body = regular("third", "")
			h.Typeflag, h.Linkname = tar.TypeLink, "d/first"
			add(h, body)
			add(regular("d/.wh.first", ""))
			add(regular("turns", "a file now"))
			add(regular("lib/x.so", "x"))
		case 2:
			add(other(tar.TypeDir, "d/", ""))
			add(regular("d/.wh..wh..opq", ""))
			add(regular("d/upper", "upper"))
			add(regular("second", "replaced"))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"append", "--oci-empty-base", "--new_tag", "odd.example/image:latest", "--output", b.path("odd.tar")}
	for i := range layers {
		path := b.path(fmt.Sprintf("layer%d.tar", i))
		b.write(path, layers[i].String())
		args = append(args, "--new_layer", path)
	}
	b.crane(args...)
	return b.path("odd.tar")
}

// describeTar says in a line what each name of a tar is; hard links have that of the file.
func describeTar(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines, names := map[string]string{}, map[string][]string{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(h.Name, "/")
		if name == "." {
			continue
		}
		if h.Typeflag == tar.TypeLink {
			names[h.Linkname] = append(names[h.Linkname], name)
			continue
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, r); err != nil {
			t.Fatal(err)
		}
		attributes := map[string]string{}
		for key, value := range h.PAXRecords {
			if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
				attributes[name] = value
			}
		}
		line := fmt.Sprintf("%s %d:%d %q", h.FileInfo().Mode(), h.Uid, h.Gid, attributes)
		switch h.Typeflag {
		case tar.TypeSymlink:
			line += " -> " + h.Linkname
		case tar.TypeReg:
			line += fmt.Sprintf(" %d %x", h.Size, hash.Sum(nil))
		case tar.TypeChar, tar.TypeBlock:
			line += fmt.Sprintf(" %d,%d", h.Devmajor, h.Devminor)
		}
		lines[name] = line + " " + h.ModTime.UTC().String()
		names[name] = append([]string{name}, names[name]...)
	}
	return withLinks(lines, names)
}

// withLinks gives all names of a file its line, and says in it which those are.
func withLinks(lines map[string]string, names map[string][]string) map[string]string {
	all := map[string]string{}
	for first, same := range names {
		slices.Sort(same)
		for _, name := range same {
			all[name] = lines[first]
			if len(same) > 1 {
				all[name] += fmt.Sprint(" also ", same)
			}
		}
	}
	return all
}

// describeFolder is describeTar for a folder.
func describeFolder(t *testing.T, root string) map[string]string {
	t.Helper()
	lines, names, first := map[string]string{}, map[string][]string{}, map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		if known, ok := first[stat.Ino]; ok && stat.Nlink > 1 && !info.IsDir() {
			names[known] = append(names[known], name)
			return nil
		}
		first[stat.Ino], names[name] = name, []string{name}
		lines[name], err = describeFile(path, info, stat)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return withLinks(lines, names)
}

func describeFile(path string, info fs.FileInfo, stat *syscall.Stat_t) (string, error) {
	attributes, err := attributesOf(path, info)
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("%s %d:%d %q", info.Mode(), stat.Uid, stat.Gid, attributes)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		line += " -> " + to
	case info.Mode().IsRegular():
		body, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		line += fmt.Sprintf(" %d %x", info.Size(), sha256.Sum256(body))
	case info.Mode()&fs.ModeDevice != 0:
		line += fmt.Sprintf(" %d,%d", stat.Rdev>>8&0xfff, stat.Rdev&0xff)
	}
	return line + " " + info.ModTime().UTC().String(), nil
}

// attributesOf returns the extended attributes of what is no link.
func attributesOf(path string, info fs.FileInfo) (map[string]string, error) {
	attributes := map[string]string{}
	if info.Mode()&fs.ModeSymlink != 0 {
		return attributes, nil
	}
	buf := make([]byte, 64<<10)
	n, err := syscall.Listxattr(path, buf)
	if errors.Is(err, syscall.ENOTSUP) {
		return attributes, nil
	}
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := syscall.Getxattr(path, name, value)
		if err != nil {
			return nil, err
		}
		attributes[name] = string(value[:n])
	}
	return attributes, nil
}
