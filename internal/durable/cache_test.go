package durable_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/durable"
)

func TestCacheKeepsWhatItIsGiven(t *testing.T) {
	c := &durable.Cache{Dir: filepath.Join(t.TempDir(), "a", "b")}
	if _, ok := c.Load("k"); ok {
		t.Error("an empty cache has something")
	}
	c.Store("k", []byte("old"))
	c.Store("k", []byte("new"))
	c.Store("../k\x00", []byte{0, 255})
	again := &durable.Cache{Dir: c.Dir}
	for key, want := range map[string]string{"k": "new", "../k\x00": "\x00\xff"} {
		if raw, ok := again.Load(key); !ok || string(raw) != want {
			t.Errorf("%q is %q, %t", key, raw, ok)
		}
	}
	files, err := filepath.Glob(filepath.Join(c.Dir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, name := range files {
		if fi, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", fi.Mode(), err)
		}
	}
}

func TestZeroCacheKeepsNothing(t *testing.T) {
	var c durable.Cache
	c.Store("k", []byte("v"))
	if _, ok := c.Load("k"); ok {
		t.Error("it has something")
	}
}

// The process that ran before has left three files, of which the middle one was
// asked for last.
func TestCacheForgetsWhatIsOldOrTooMuch(t *testing.T) {
	dir := t.TempDir()
	kilobyte := bytes.Repeat([]byte("x"), 1000)
	before := &durable.Cache{Dir: dir}
	keys := []string{"expired", "asked for", "oldest"}
	for i, key := range keys {
		before.Store(key, kilobyte)
		for _, name := range newest(t, dir, i+1) {
			at := time.Now().Add(-time.Duration(100-i) * 24 * time.Hour)
			if err := os.Chtimes(name, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, ok := before.Load("asked for"); !ok {
		t.Fatal("it is not there")
	}
	now := &durable.Cache{Dir: dir, MaxAge: 99*24*time.Hour + time.Hour, MaxSize: 2500}
	now.Store("new", kilobyte)
	for key, want := range map[string]bool{"expired": false, "oldest": false, "asked for": true, "new": true} {
		if _, ok := now.Load(key); ok != want {
			t.Errorf("%s is there: %t", key, ok)
		}
	}
}

// newest returns the file of dir that was written last, of so many.
func newest(t *testing.T, dir string, count int) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != count {
		t.Fatalf("%q, %v", files, err)
	}
	var found string
	var last time.Time
	for _, name := range files {
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if fi.ModTime().After(last) {
			found, last = name, fi.ModTime()
		}
	}
	return []string{found}
}

func TestCacheIgnoresWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	c := &durable.Cache{Dir: dir}
	c.Store("k", []byte("v"))
	name := newest(t, dir, 1)[0]
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Load("k"); ok {
		t.Error("a folder was read")
	}
}
