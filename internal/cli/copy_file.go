package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/internal/endpoint"
)

// checkSources refuses a bare path to a file that exists where there are
// several destinations: whoever writes it may mean a second source.
func (m *mover) checkSources(dst []string) error {
	if len(dst) < 2 {
		return nil
	}
	for _, arg := range dst {
		e, err := endpoint.Parse(arg)
		if err != nil {
			return err
		}
		if e.Transport == endpoint.Archive && !strings.HasPrefix(arg, "archive:") && m.replaces(e) {
			return usagef("%s is there already, and copy takes one source, the first argument; to replace it name it docker-archive:%[1]s", arg)
		}
	}
	return nil
}

// checkPlaces refuses a file or folder that is given twice under two spellings,
// as destinations or as source and destination: each would be written as if it
// were another. Of one spelling a folder takes several images, and may give
// what it gets; an archive is always written anew.
func (m *mover) checkPlaces(src, dst []endpoint.Endpoint) error {
	written := map[string]endpoint.Endpoint{}
	for _, e := range dst {
		at, err := m.opener.Place(e)
		if err != nil {
			return err
		}
		if first, twice := written[at]; at != "" && twice && placeOf(first) != placeOf(e) {
			return usagef("%s and %s are the same place: name it once, or in one spelling", spelling(first), spelling(e))
		}
		written[at] = e
	}
	for _, e := range src {
		at, err := m.opener.Place(e)
		if err != nil {
			return err
		}
		to, ok := written[at]
		if at == "" || !ok {
			continue
		}
		if _, file := m.opener.File(to); file || placeOf(e) != placeOf(to) {
			both := spelling(e)
			if other := spelling(to); other != both {
				both += " and " + other + " are the same place, which"
			}
			return usagef("%s cannot be source and destination at once", both)
		}
	}
	return nil
}

// spelling returns e much as it was typed.
func spelling(e endpoint.Endpoint) string {
	if e.Transport == endpoint.Archive {
		return e.Path
	}
	return e.String()
}

// replaces reports whether e is an archive that takes the place of a file.
func (m *mover) replaces(e endpoint.Endpoint) bool {
	path, ok := m.opener.File(e)
	if !ok {
		return false
	}
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// warnPlain says of an archive whose name promises compression that there will be
// none: docker save, too, writes a plain tar whatever its name is.
func (m *mover) warnPlain(e endpoint.Endpoint) {
	path, ok := m.opener.File(e)
	if !ok {
		return
	}
	if promisesCompression(path) {
		m.f.Warn("%s becomes a plain tar, it is not compressed", path)
	}
}

func promisesCompression(path string) bool {
	return slices.ContainsFunc([]string{".gz", ".tgz", ".zst", ".tzst", ".xz", ".bz2"}, func(end string) bool {
		return strings.HasSuffix(strings.ToLower(path), end)
	})
}

// checkFolder returns why no archive can be made at e: its folder is missing.
func (m *mover) checkFolder(e endpoint.Endpoint) error {
	path, ok := m.opener.File(e)
	if !ok {
		return nil
	}
	folder := filepath.Dir(path)
	switch fi, err := os.Stat(folder); {
	case errors.Is(err, fs.ErrNotExist):
		// What is not found is no image: the class of err must not survive.
		return fmt.Errorf("folder %s does not exist", folder)
	case err == nil && !fi.IsDir():
		return fmt.Errorf("%s is no folder", folder)
	}
	return nil
}

// checkFolders is checkFolder for all of dst, before any work; one of several
// destinations is only its own matter.
func (m *mover) checkFolders(dst []endpoint.Endpoint) error {
	var errs []error
	for _, e := range dst {
		errs = append(errs, m.checkFolder(e))
	}
	if slices.Contains(errs, nil) {
		return nil
	}
	return errors.Join(errs...)
}
