package endpoint

import "path/filepath"

// Place returns the path of the file or folder that e is, the same for all its
// spellings: absolute, and without links as far as it exists. Of a registry and
// a stream it is empty.
func (o *Opener) Place(e Endpoint) (string, error) {
	if e.Path == "" {
		return "", nil
	}
	path, err := filepath.Abs(o.path(e.Path))
	if err != nil {
		return "", err
	}
	missing := ""
	for {
		found, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(found, missing), nil
		}
		parent := filepath.Dir(path)
		if parent == path {
			return filepath.Join(path, missing), nil
		}
		missing = filepath.Join(filepath.Base(path), missing)
		path = parent
	}
}
