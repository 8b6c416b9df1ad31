package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A Cache keeps what takes long to find out beyond the process, as [Facts] do,
// where that is more than a few words: one file a key, readable by its owner only.
// When there is too much of it, what was not asked for the longest goes first.
// What cannot be kept is forgotten without a word. The zero Cache keeps nothing.
// It is safe for concurrent use, and for several processes.
type Cache struct {
	Dir     string
	MaxAge  time.Duration // what nobody asked for that long is forgotten; 0 means 90 days
	MaxSize int64         // bytes of all files; 0 means 256 MiB

	sweep sync.Once
}

// maxCached is how many bytes one file of a cache may have.
const maxCached = 64 << 20

// Load returns what was stored under key, and whether anything was.
func (c *Cache) Load(key string) (raw []byte, ok bool) {
	if c.Dir == "" {
		return nil, false
	}
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return nil, false
	}
	defer root.Close() //nolint:errcheck // nothing was written
	name := fileName(key)
	raw, err = ReadRegular(root, name, maxCached, ErrNotRegular)
	if err != nil {
		return nil, false
	}
	now := time.Now()
	_ = root.Chtimes(name, now, now) // it goes earlier then, that is all
	return raw, true
}

// Store keeps raw under key, in place of what was there.
func (c *Cache) Store(key string, raw []byte) {
	if c.Dir == "" || len(raw) > maxCached {
		return
	}
	if os.MkdirAll(c.Dir, 0o700) != nil || putFile(c.Dir, fileName(key), raw) != nil {
		return // the contract has no error: what is not kept is not known the next time
	}
	c.sweep.Do(c.shrink)
}

// shrink takes away what has expired and, the oldest first, what is too much. A
// process does it once: what it adds on top the next one takes away.
func (c *Cache) shrink() {
	age, left := c.MaxAge, c.MaxSize
	if age == 0 {
		age = 90 * 24 * time.Hour
	}
	if left == 0 {
		left = 256 << 20
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() {
			files = append(files, fi)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, fi := range files {
		if left -= fi.Size(); left < 0 || time.Since(fi.ModTime()) > age {
			_ = os.Remove(filepath.Join(c.Dir, fi.Name())) // somebody else removed it, or it stays
		}
	}
}

// putFile writes raw to the file name in dir: others see all of it or what was
// there before. Nothing waits for the disk: what a crash leaves may be broken.
func putFile(dir, name string, raw []byte) error {
	tmp, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(raw)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
