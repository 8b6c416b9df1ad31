package durable

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Facts remember small things beyond the process: one file a fact, readable by
// its owner only, in a folder that is made when the first is remembered. Facts
// that cannot be kept are forgotten without a word, and everything works
// without them. The zero Facts remember nothing.
type Facts struct {
	Dir    string
	MaxAge time.Duration // a fact older than this is forgotten; 0 means 30 days

	sweep sync.Once
}

type fact struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

const maxFact = 1 << 20

// Fact returns what was remembered under key.
func (f *Facts) Fact(key string) (value string, known bool) {
	if f.Dir == "" {
		return "", false
	}
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return "", false
	}
	defer root.Close() //nolint:errcheck // nothing was written
	name := fileName(key)
	fi, err := root.Lstat(name)
	if err != nil || f.expired(fi) {
		return "", false
	}
	raw, err := ReadRegular(root, name, maxFact, ErrNotRegular)
	if err != nil {
		return "", false
	}
	var got fact
	if json.Unmarshal(raw, &got) != nil || got.Key != key {
		return "", false
	}
	return got.Value, true
}

// Remember keeps value under key, in place of what was there.
func (f *Facts) Remember(key, value string) {
	if f.Dir == "" {
		return
	}
	// The contract has no error: what is not kept is not known the next time.
	_ = f.remember(key, value)
}

func (f *Facts) remember(key, value string) error {
	raw, err := json.Marshal(fact{Key: key, Value: value})
	if err != nil || len(raw) > maxFact {
		return err
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return err
	}
	f.sweep.Do(f.removeExpired)
	return putFile(f.Dir, fileName(key), raw)
}

// removeExpired takes away what has expired, files of writers that were killed
// included.
func (f *Facts) removeExpired() {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() && f.expired(fi) {
			_ = os.Remove(filepath.Join(f.Dir, e.Name())) // somebody else removed it, or it stays
		}
	}
}

func (f *Facts) expired(fi fs.FileInfo) bool {
	age := f.MaxAge
	if age == 0 {
		age = 30 * 24 * time.Hour
	}
	return time.Since(fi.ModTime()) > age
}

// fileName returns the name of the file of key, which may hold anything.
func fileName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
