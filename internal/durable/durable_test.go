package durable

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newRoot(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	})
	return root
}

func write(t *testing.T, root *os.Root, name, text string) {
	t.Helper()
	if err := root.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, root *os.Root, name string) string {
	t.Helper()
	raw, err := root.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func files(t *testing.T, root *os.Root) string {
	t.Helper()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	root := newRoot(t)
	write(t, root, "file", "text")
	if err := errors.Join(root.Mkdir("folder", 0o755), root.Symlink("file", "link"), root.Symlink("nowhere", "dangling"), makePipe(filepath.Join(root.Name(), "pipe"))); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		want error
	}{
		{"file", nil},
		{"folder", ErrNotRegular},
		{"link", ErrNotRegular},
		{"dangling", ErrNotRegular},
		{"pipe", ErrNotRegular},
		{"nothing", fs.ErrNotExist},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw, err := ReadRegular(root, tt.name, 10, nil)
			if !errors.Is(err, tt.want) || err == nil && string(raw) != "text" {
				t.Errorf("ReadRegular = %q, %v; want %v", raw, err, tt.want)
			}
		})
	}
	large := errors.New("large")
	if _, err := ReadRegular(root, "file", 3, large); !errors.Is(err, large) {
		t.Errorf("over the limit: %v", err)
	}
}

func TestFoldersAreMadeAndLinksAreNotFollowed(t *testing.T) {
	root := newRoot(t)
	if err := errors.Join(root.Mkdir("real", 0o755), root.Symlink("real", "link")); err != nil {
		t.Fatal(err)
	}
	write(t, root, "file", "")
	for dir, want := range map[string]error{"a/b/c": nil, ".": nil, "real/x": nil, "link": ErrNotRegular, "link/x": ErrNotRegular, "file": ErrNotRegular, "file/x": ErrNotRegular} {
		if dir == "a/b/c" {
			if err := CheckDir(root, dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("CheckDir(%s) = %v before it is made", dir, err)
			}
		}
		if err := MakeDir(root, dir); !errors.Is(err, want) {
			t.Errorf("MakeDir(%s) = %v, want %v", dir, err, want)
		}
		if err := CheckDir(root, dir); !errors.Is(err, want) {
			t.Errorf("CheckDir(%s) = %v, want %v", dir, err, want)
		}
	}
	if fi, err := root.Lstat("a/b"); err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("a/b: %v, %v", fi.Mode(), err)
	}
	if _, err := root.Lstat("real/x/x"); err == nil {
		t.Error("a folder was made through a link")
	}
}

func TestAFileIsReplacedAsAWhole(t *testing.T) {
	root := newRoot(t)
	write(t, root, "name", "old")
	write(t, root, "precious", "precious")
	// What was left by a writer that was killed, or planted by somebody, is not written through.
	if err := root.Symlink("precious", "temporary"); err != nil {
		t.Fatal(err)
	}
	r, err := Write(root, "temporary", []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, root, "name"); got != "old" {
		t.Errorf("before: %q", got)
	}
	if err := r.Publish("name"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, root, "name"); got != "new" {
		t.Errorf("after: %q", got)
	}
	if got := read(t, root, "precious"); got != "precious" {
		t.Errorf("another file has %q", got)
	}
	dropped, err := Write(root, "temporary", nil)
	if err = errors.Join(err, dropped.Drop()); err != nil {
		t.Error(err)
	}
	if got := files(t, root); got != "name precious" {
		t.Errorf("files are %s", got)
	}
	if err := root.Mkdir("folder", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, root, "temporary", "")
	if err := Publish(root, "temporary", "folder"); !errors.Is(err, ErrNotRegular) {
		t.Errorf("Publish over a folder = %v", err)
	}
}

func TestWhatIsPrivateIsReadByItsOwnerAlone(t *testing.T) {
	root := newRoot(t)
	write(t, root, "name", "open to all")
	r, err := WritePrivate(root, "temporary", []byte("private"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Publish("name"); err != nil {
		t.Fatal(err)
	}
	fi, err := root.Lstat("name")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, root, "name"); got != "private" || !private(fi) {
		t.Errorf("%q with mode %s", got, fi.Mode())
	}
}

func TestAStampTellsEveryChange(t *testing.T) {
	root := newRoot(t)
	stamp := func() string {
		t.Helper()
		fi, err := root.Lstat("file")
		if err != nil {
			t.Fatal(err)
		}
		s, _ := Stamp(fi)
		return s
	}
	write(t, root, "file", "one")
	seen := map[string]string{stamp(): "the first"}
	for name, change := range map[string]func() error{
		"a longer text": func() error { return root.WriteFile("file", []byte("three"), 0o644) },
		"another file":  func() error { return replace(root, "file", "three") },
		"another time": func() error {
			fi, err := root.Lstat("file")
			if err != nil {
				return err
			}
			return root.Chtimes("file", fi.ModTime(), fi.ModTime().Add(-1))
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		s := stamp()
		if before, had := seen[s]; had {
			t.Errorf("%s has the stamp of %s: %s", name, before, s)
		}
		seen[s] = name
	}
	if a, b := stamp(), stamp(); a != b {
		t.Errorf("an unchanged file has stamps %s and %s", a, b)
	}
}

func TestAFileWithASecondNameIsNotSole(t *testing.T) {
	root := newRoot(t)
	write(t, root, "file", "text")
	sole := func() bool {
		t.Helper()
		f, err := OpenRegular(root, "file")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close() //nolint:errcheck // only looked at
		return Sole(f)
	}
	if !sole() {
		t.Error("a file with one name is not sole")
	}
	if err := root.Link("file", "second"); err != nil {
		t.Fatal(err)
	}
	if sole() {
		t.Error("a file with two names is sole")
	}
}

// replace puts another file of that name in place of the one that is there.
func replace(root *os.Root, name, text string) error {
	if err := root.WriteFile("new", []byte(text), 0o600); err != nil {
		return err
	}
	return root.Rename("new", name)
}

func TestFilesThatAreReplacedAllTheTimeCanBeRead(t *testing.T) {
	root := newRoot(t)
	write(t, root, "file", "text")
	stop := make(chan struct{})
	stopped := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := replace(root, "file", "text"); err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 2000 {
		raw, err := ReadRegular(root, "file", 10, nil)
		if err != nil || !bytes.Equal(raw, []byte("text")) {
			t.Errorf("ReadRegular = %q, %v", raw, err)
			break
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeWrittenToItsEndIsTakenAway(t *testing.T) {
	root := newRoot(t)
	full := errors.New("no space")
	_, err := WriteParts(root, "temporary", func(w io.Writer) error {
		if _, err := io.WriteString(w, "a part"); err != nil {
			return err
		}
		return full
	})
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if _, err := root.Lstat("temporary"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a part is left: %v", err)
	}
}
