package cli

import (
	"os"
	"path/filepath"

	"github.com/wherry-dev/wherry/internal/spool"
	"github.com/wherry-dev/wherry/transfer"
)

// cacheFolder returns where what can be had again is kept.
func (f *Factory) cacheFolder() string { return f.folder("XDG_CACHE_HOME", ".cache") }

// spool opens a file that goes away with this process, or when it is closed.
func (f *Factory) spool() (transfer.File, error) {
	dir, err := f.spoolFolder()
	if err != nil {
		return nil, err
	}
	file, err := spool.Create(dir)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// spoolFolder returns where temporary files go. It is in the cache folder: what is
// for temporary files is memory on many machines, and what goes there is what is
// too much for memory.
func (f *Factory) spoolFolder() (string, error) {
	cache := f.cacheFolder()
	if cache == "" {
		return "", nil // that for temporary files
	}
	dir := filepath.Join(cache, "wherry")
	return dir, os.MkdirAll(dir, 0o700)
}
