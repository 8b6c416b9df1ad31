package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wherry-dev/wherry/transfer"
)

// cacheFolder returns where what can be had again is kept.
func (f *Factory) cacheFolder() string { return f.folder("XDG_CACHE_HOME", ".cache") }

// spool opens a file that goes away with this process, or when it is closed. It is
// in the cache folder: what is for temporary files is memory on many machines,
// and what goes there is what is too much for memory.
func (f *Factory) spool() (transfer.File, error) {
	dir := "" // that for temporary files
	if cache := f.cacheFolder(); cache != "" {
		dir = filepath.Join(cache, "wherry")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	file, err := os.CreateTemp(dir, "plan-*")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(file.Name()) // some systems do not part a file from its name while it is open
	return &spoolFile{file}, nil
}

// A spoolFile has no name any more once it is closed.
type spoolFile struct{ *os.File }

func (s *spoolFile) Close() error {
	err := s.File.Close()
	if rerr := os.Remove(s.Name()); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}
