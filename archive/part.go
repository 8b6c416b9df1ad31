package archive

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
)

// A file under way is called .NAME.RANDOM.part, and is locked as long as its
// process lives: by that another one tells what a killed process left behind.
const (
	partEnd    = ".part"
	partRandom = 8
)

// newPart makes the file that will be called path.
func newPart(path string) (*destination, error) {
	const tries = 10 // on a file system where none of this holds the last one counts
	for i := 1; ; i++ {
		temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:partRandom]+partEnd)
		f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return nil, err
		}
		// Before it was locked another process may have taken it for a left-over.
		if hold(f) && isAt(f, temp) || i == tries {
			return &destination{f: f, path: path, temp: temp}, nil
		}
		_ = f.Close() // nothing is in it
	}
}

// isAt reports whether f is still the file at path.
func isAt(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(open, there)
}

// sweep removes what killed processes left of an archive at path. What cannot
// be removed harms nobody.
func sweep(path string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, entry := range entries {
		if entry.Type().IsRegular() && isPart(entry.Name(), filepath.Base(path)) {
			removeDead(filepath.Join(filepath.Dir(path), entry.Name()))
		}
	}
}

// isPart reports whether name is that of a file under way to be called base.
func isPart(name, base string) bool {
	rest, begins := strings.CutPrefix(name, "."+base+".")
	random, ends := strings.CutSuffix(rest, partEnd)
	return begins && ends && len(random) == partRandom && strings.Trim(random, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
