package kept

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// errDoomed is why work that was cancelled ends.
var errDoomed = errors.New("broken off")

// A doom strikes work at one of its moments: when something is read of a source,
// when an event is told, and when the context is looked at. The zero doom never
// strikes.
type doom struct {
	left   int    // moments before it; 0 is never
	strike func() // what becomes of the work

	mu     sync.Mutex
	struck bool
}

// pass is called at each moment.
func (d *doom) pass() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left == 0 {
		return
	}
	if d.left--; d.left == 0 {
		d.struck = true
		d.strike()
	}
}

// A doomed context passes a moment when it is looked at.
type doomed struct {
	context.Context //nolint:containedctx // it is a context

	d *doom
}

func (c doomed) Err() error {
	c.d.pass()
	return c.Context.Err()
}

// A doomedSource passes a moment when something of it is read.
type doomedSource struct {
	*content.Memory
	d *doom
}

func (s *doomedSource) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	s.d.pass()
	return s.Memory.Manifest(ctx, ref)
}

func (s *doomedSource) Open(ctx context.Context, b ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	s.d.pass()
	rc, err := s.Memory.Open(ctx, b, r)
	return doomedReader{rc, s.d}, err
}

type doomedReader struct {
	io.ReadCloser
	d *doom
}

func (r doomedReader) Read(p []byte) (int, error) {
	r.d.pass()
	return r.ReadCloser.Read(p)
}

// snapshot makes a copy of a store as it is at this moment, in which nobody holds
// a lock: what is left where all that works on it is killed. Blobs come last, so
// that those are in it which are named; they are never written to again.
func snapshot(t *testing.T, from, to string) {
	t.Helper()
	for _, part := range []string{"index.json", "oci-layout", ".wherry", "blobs"} {
		err := filepath.WalkDir(filepath.Join(from, part), func(path string, e fs.DirEntry, err error) error {
			rel, relErr := filepath.Rel(from, path)
			if err == nil && relErr == nil {
				err = reproduce(e, path, filepath.Join(to, rel))
			}
			if errors.Is(err, fs.ErrNotExist) {
				err = nil // it has moved to where it belongs
			}
			return errors.Join(err, relErr)
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// reproduce makes a folder, or a file with the same bytes.
func reproduce(e fs.DirEntry, path, target string) error {
	if e.IsDir() {
		return os.MkdirAll(target, 0o755)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, raw, 0o644)
}
