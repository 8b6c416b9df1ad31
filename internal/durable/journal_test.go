package durable

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/content"
)

var stood = content.Record{
	Session: "https://r.example/v2/app/blobs/uploads/1?_state=x",
	Size:    1 << 30, Offset: 5,
	Hash:  []content.HashState{{Offset: 1 << 20, State: []byte{1, 2}}, {Offset: 2 << 20, State: []byte{3}}},
	Saved: time.Date(2026, 12, 1, 1, 2, 3, 0, time.UTC),
}

// ended lets the process of a journal end, as kill -9 does: the kernel takes its locks.
func ended(t *testing.T, j *Journal) {
	t.Helper()
	for _, lock := range j.held {
		if err := lock.f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func saved(t *testing.T, key string) *Journal {
	t.Helper()
	j := &Journal{Dir: filepath.Join(t.TempDir(), "state", "uploads"), boot: "this one"}
	if err := j.Save(key, stood); err != nil {
		t.Fatal(err)
	}
	ended(t, j)
	return j
}

func TestARecordIsThereForTheNextProcess(t *testing.T) {
	first := saved(t, "a")
	if _, err := os.Stat(filepath.Join(first.Dir, fileName("a"))); err != nil {
		t.Error(err)
	}
	for _, path := range []string{first.Dir, filepath.Join(first.Dir, fileName("a"))} {
		if fi, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	next := &Journal{Dir: first.Dir, boot: "this one"}
	got, found := next.Load("a")
	if !found || !reflect.DeepEqual(got, stood) {
		t.Errorf("%t, %+v; want %+v", found, got, stood)
	}
	if _, found := next.Load("b"); found {
		t.Error("what was not saved is there")
	}
	changed := stood
	changed.Offset = 9
	if err := next.Save("a", changed); err != nil {
		t.Fatal(err)
	}
	if got, _ := next.Load("a"); got.Offset != 9 {
		t.Errorf("offset %d, want the newer", got.Offset)
	}
	if err := next.Drop("a"); err != nil {
		t.Error(err)
	}
	if _, found := next.Load("a"); found {
		t.Error("what was dropped is there")
	}
	if left, err := os.ReadDir(first.Dir); err != nil || len(left) != 0 {
		t.Errorf("%v are left, %v", left, err)
	}
	if err := next.Drop("a"); err != nil {
		t.Errorf("dropped twice: %v", err)
	}
}

func TestARecordIsForOneProcessAtATime(t *testing.T) {
	j := saved(t, "a")
	first, second := &Journal{Dir: j.Dir}, &Journal{Dir: j.Dir}
	if _, found := first.Load("a"); !found {
		t.Fatal("not found")
	}
	if _, found := second.Load("a"); found {
		t.Error("two have the record")
	}
	if second.Save("a", stood) == nil || second.Drop("a") == nil {
		t.Error("another process's record was touched")
	}
	if err := first.Drop("a"); err != nil {
		t.Fatal(err)
	}
	if err := second.Save("a", stood); err != nil {
		t.Errorf("after the first: %v", err)
	}
	if err := second.Drop("a"); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotSurelyARecordIsNone(t *testing.T) {
	tests := map[string]func(t *testing.T, path string) error{
		"corrupt": func(_ *testing.T, path string) error {
			raw, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, bytes.Replace(raw, []byte("uploads/1"), []byte("uploads/2"), 1), 0o600))
		},
		"cut off": func(_ *testing.T, path string) error { return os.Truncate(path, 100) },
		"empty":   func(_ *testing.T, path string) error { return os.Truncate(path, 0) },
		"not JSON": func(_ *testing.T, path string) error {
			return os.WriteFile(path, []byte("session"), 0o600)
		},
		"expired": func(_ *testing.T, path string) error {
			before := time.Now().Add(-8 * 24 * time.Hour)
			return os.Chtimes(path, before, before)
		},
		"a link": makeLink,
		"of another key": func(t *testing.T, path string) error {
			t.Helper()
			return os.Rename(filepath.Join(saved(t, "b").Dir, fileName("b")), path)
		},
		"for others to read": func(t *testing.T, path string) error {
			t.Helper()
			if runtime.GOOS == "windows" {
				t.Skip("files have no such rights")
			}
			return os.Chmod(path, 0o640)
		},
		"somebody else's": func(t *testing.T, path string) error {
			t.Helper()
			if err := os.Chown(path, 12345, 12345); err != nil {
				t.Skip("only root gives files away")
			}
			return nil
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			j := saved(t, "a")
			if err := spoil(t, filepath.Join(j.Dir, fileName("a"))); err != nil {
				t.Fatal(err)
			}
			next := &Journal{Dir: j.Dir, boot: "this one"}
			if got, found := next.Load("a"); found {
				t.Errorf("found %+v", got)
			}
			if err := next.Save("a", stood); err != nil {
				t.Fatal(err)
			}
			if _, found := next.Load("a"); !found {
				t.Error("what was saved over it is not there")
			}
		})
	}
}

// makeLink moves a file away and leaves a link to it.
func makeLink(t *testing.T, path string) error {
	t.Helper()
	aside := filepath.Join(t.TempDir(), "aside")
	if err := os.Rename(path, aside); err != nil {
		return err
	}
	if err := os.Symlink(aside, path); err != nil {
		t.Skip(err)
	}
	return nil
}

func scribble(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestHashStatesOfBeforeARestartAreNotTrusted(t *testing.T) {
	j := saved(t, "a")
	next := &Journal{Dir: j.Dir, boot: "the next one"}
	got, found := next.Load("a")
	if !found || got.Hash != nil || got.Session != stood.Session || got.Offset != stood.Offset {
		t.Errorf("%t, %+v; want all but the hash", found, got)
	}
	if runtime.GOOS == "linux" && Boot() == "" {
		t.Error("this machine's start has no name")
	}
}

func TestOldRecordsMakeRoom(t *testing.T) {
	j := &Journal{Dir: t.TempDir(), Most: 3}
	age := func(name string, by time.Duration) {
		before := time.Now().Add(-by)
		if err := os.Chtimes(filepath.Join(j.Dir, name), before, before); err != nil {
			t.Fatal(err)
		}
	}
	for i, key := range []string{"a", "b", "c", "d", "e"} {
		if err := j.Save(key, stood); err != nil {
			t.Fatal(err)
		}
		age(fileName(key), time.Duration(5-i)*time.Hour)
	}
	age(fileName("e"), 8*24*time.Hour)
	ended(t, j)
	stray := fileName("x") + ".new"
	scribble(t, filepath.Join(j.Dir, stray), "killed while it was written")
	age(stray, 8*24*time.Hour)
	next := &Journal{Dir: j.Dir, Most: 3}
	if err := next.Save("new", stood); err != nil {
		t.Fatal(err)
	}
	there := ""
	for _, key := range []string{"a", "b", "c", "d", "e", "new"} {
		if _, found := next.Load(key); found {
			there += key + " "
		}
	}
	if there != "b c d new " {
		t.Errorf("%sare kept, want the newest three and the new one", there)
	}
	if _, err := os.Stat(filepath.Join(j.Dir, stray)); !os.IsNotExist(err) {
		t.Errorf("what a killed writer left: %v", err)
	}
}

func TestAJournalWithoutAPlaceKeepsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	scribble(t, file, "")
	for name, j := range map[string]*Journal{"no folder": {}, "below a file": {Dir: filepath.Join(file, "x")}} {
		if j.Save("a", stood) == nil {
			t.Errorf("%s: saved", name)
		}
		if _, found := j.Load("a"); found {
			t.Errorf("%s: found", name)
		}
		_ = j.Drop("a") // need not work
	}
}
