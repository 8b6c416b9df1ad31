package durable

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/content"
)

var _ content.Facts = (*Facts)(nil)

func TestFactsAreRememberedBeyondTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "facts")
	first := &Facts{Dir: dir}
	if v, known := first.Fact("host a"); known {
		t.Errorf("before: %q", v)
	}
	first.Remember("host a", "lacks referrers")
	first.Remember("host b", "")
	first.Remember("host a", "lacks referrers, and ranges")
	later := &Facts{Dir: dir}
	for key, want := range map[string]string{"host a": "lacks referrers, and ranges", "host b": ""} {
		if v, known := later.Fact(key); v != want || !known {
			t.Errorf("Fact(%q) = %q, %t; want %q", key, v, known, want)
		}
	}
	if v, known := later.Fact("host c"); known {
		t.Errorf("Fact of nothing = %q", v)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d files, %v; want 2", len(entries), err)
	}
	for _, e := range entries {
		if fi, err := e.Info(); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), fi.Mode(), err)
		}
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", fi.Mode(), err)
	}
}

func TestOldFactsAreForgotten(t *testing.T) {
	f := &Facts{Dir: t.TempDir(), MaxAge: time.Hour}
	f.Remember("old", "1")
	f.Remember("young", "2")
	old := filepath.Join(f.Dir, fileName("old"))
	before := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, before, before); err != nil {
		t.Fatal(err)
	}
	if v, known := f.Fact("old"); known {
		t.Errorf("Fact = %q", v)
	}
	if v, known := f.Fact("young"); v != "2" || !known {
		t.Errorf("Fact = %q, %t", v, known)
	}
	next := &Facts{Dir: f.Dir, MaxAge: time.Hour}
	next.Remember("new", "3")
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old file is still there: %v", err)
	}
	if v, known := next.Fact("young"); v != "2" || !known {
		t.Errorf("Fact = %q, %t", v, known)
	}
}

func TestFactsThatCannotBeKeptAreForgotten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*Facts{"no folder": {}, "a file": {Dir: file}, "below a file": {Dir: filepath.Join(file, "x")}} {
		f.Remember("key", "value")
		if v, known := f.Fact("key"); known {
			t.Errorf("%s: Fact = %q", name, v)
		}
	}
	good := &Facts{Dir: t.TempDir()}
	good.Remember("key", "value")
	for _, raw := range []string{"", "{", `{"key":"other key","value":"x"}`} {
		if err := os.WriteFile(filepath.Join(good.Dir, fileName("key")), []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		if v, known := good.Fact("key"); known {
			t.Errorf("Fact of %q = %q", raw, v)
		}
	}
}
