package cli

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/spool"
	"github.com/wherry-dev/wherry/transfer"
)

// cacheFolder returns where what can be had again is kept.
func (f *Factory) cacheFolder() string { return f.folder("XDG_CACHE_HOME", ".cache") }

// spool opens a file that goes away with this process, or when it is closed.
func (f *Factory) spool() (transfer.File, error) {
	file, err := spool.Create(f.spoolFolder())
	if err != nil {
		return nil, err
	}
	return file, nil
}

// spoolFolder returns where temporary files go. It is in the cache folder: what is
// for temporary files is memory on many machines, and what goes there is what is
// too much for memory. Where nothing can be written there it is "", which is that
// for temporary files.
func (f *Factory) spoolFolder() string {
	cache := f.cacheFolder()
	if cache == "" {
		return ""
	}
	dir := filepath.Join(cache, "wherry")
	if err := writable(dir); err != nil {
		f.Log().Debug("no cache", "error", err)
		return ""
	}
	return dir
}

// writable makes the folder dir and returns why no file can be made in it, if so. A disk
// that is full is no reason: it is told where something is to be written.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := spool.Create(dir)
	if errors.Is(err, content.ErrNoSpace) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}
