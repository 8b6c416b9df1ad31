package layout

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// A folder that is to be written to is made, or made ready, when there is
// something to write: of a run that finds nothing to copy nothing stays.

// openIfThere opens the folder if there is one.
func (k *disk) openIfThere() error {
	if _, err := os.Stat(k.path); errors.Is(err, fs.ErrNotExist) { //nolint:gosec // the folder the caller names is the one to make
		return nil
	}
	root, err := openRoot(k.path)
	if errors.Is(err, content.ErrNotFound) {
		return nil // who made it has taken it away again
	}
	k.root = root
	return err
}

// prepare makes the folder ready for what is written into it, once. Before one
// is made that is not there yet begin is called; its error leaves nothing behind.
func (k *disk) prepare(ctx context.Context, begin func() error) error {
	if k.prepared.Load() {
		return nil
	}
	select {
	case k.preparing <- struct{}{}:
		defer func() { <-k.preparing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if k.prepared.Load() {
		return nil
	}
	// A folder that is not made yet may be taken away by who began to make it.
	var made []string
	err := errGone
	for tries := 0; errors.Is(err, errGone) && tries < 100; tries++ {
		made, err = k.prepareOnce(ctx, begin, made)
	}
	if err != nil && !k.made.Load() {
		removeAll(made)
	}
	switch {
	case errors.Is(err, errGone):
		return k.fail("create", "", err)
	case err == nil && k.claim != nil:
		err = k.claim(ctx)
	}
	k.prepared.Store(err == nil)
	return err
}

// noBlob begins what is there already.
func noBlob() error { return nil }

// errGone says that a folder that was to be prepared has been removed.
var errGone = errors.New("removed by another process")

// prepareOnce adds the folders it makes to made, innermost first.
func (k *disk) prepareOnce(ctx context.Context, begin func() error, made []string) (_ []string, err error) {
	if k.root == nil {
		made = append(k.missingFolders(), made...)
		if err := k.makeFolder(); err != nil {
			return made, err
		}
	}
	lock, err := k.lockIndex(ctx)
	if err == nil {
		k.sweep()
		err = errors.Join(k.setUp(begin), lock.Release())
		if err != nil && !k.made.Load() {
			_ = k.root.Remove(ownDir) // stays where somebody has something in it
		}
	} else if errors.Is(err, content.ErrNotFound) {
		err = errGone
	}
	if err != nil && !k.made.Load() {
		err = errors.Join(err, k.root.Close())
		k.root = nil
	}
	return made, err
}

// missingFolders returns what has to be made for the folder to be there,
// innermost first.
func (k *disk) missingFolders() []string {
	var missing []string
	for dir := filepath.Clean(k.path); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) { //nolint:gosec // the folder the caller names is the one to make
			return missing
		}
		missing = append(missing, dir)
	}
}

// makeFolder makes and opens the folder.
func (k *disk) makeFolder() error {
	if err := os.MkdirAll(k.path, 0o755); err != nil { //nolint:gosec // the folder the caller names is the one to make
		fi, now := os.Lstat(k.path) //nolint:gosec // the folder the caller names is the one to make
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) && (now != nil || fi.IsDir()) {
			return errGone // it, or one of the folders it is in
		}
		return k.fail("create", "", err)
	}
	root, err := openRoot(k.path)
	if errors.Is(err, content.ErrNotFound) {
		return errGone
	}
	k.root = root
	return err
}

// removeAll removes folders that are empty.
func removeAll(folders []string) {
	for _, dir := range folders {
		_ = os.Remove(dir) //nolint:gosec // one that was made here; others may have put something into it
	}
}

func (k *disk) close() error {
	if k.root == nil {
		return nil
	}
	return k.root.Close()
}

// begin prepares the folder for b and takes the lock of its partial file. Where
// there is no folder yet none is made before b has given its first byte, and
// then no other process comes between: into a folder that is claimed it may.
func (k *disk) begin(ctx context.Context, b content.Blob) (_ *begunBlob, err error) {
	begun := &begunBlob{Blob: b}
	lock := func() (err error) {
		begun.lock, err = k.lockBlob(ctx, b.Descriptor().Digest)
		return err
	}
	err = k.prepare(ctx, func() error {
		err := begun.start(ctx)
		if err != nil || k.claim != nil {
			return err
		}
		return lock()
	})
	if err == nil && begun.lock == nil {
		err = lock()
	}
	if err != nil {
		return nil, errors.Join(err, begun.end())
	}
	return begun, nil
}

// A begunBlob is a blob that is being stored, and may be open already.
type begunBlob struct {
	content.Blob
	lock   *durable.Lock
	begun  io.ReadCloser  // the whole, nil once it was asked for
	spread content.Spread // in place of begun where the blob can be read in any order
}

// A begunReader gives out what was read ahead too.
type begunReader struct {
	io.Reader
	io.Closer
}

// start opens the blob and waits for its first byte.
func (b *begunBlob) start(ctx context.Context) error {
	s, ok, err := b.beginSpread(ctx, b.whole())
	if ok || err != nil {
		b.spread = s
		return err
	}
	rc, err := b.Blob.Open(ctx, content.Range{})
	if err != nil {
		return err
	}
	r := bufio.NewReader(rc)
	if _, err := r.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, rc.Close())
	}
	b.begun = begunReader{r, rc}
	return nil
}

// whole returns the spans of the whole blob.
func (b *begunBlob) whole() content.Spans {
	return content.Spans{}.Add(content.Range{Len: b.Descriptor().Size})
}

// beginSpread begins to read spans in any order. ok is false where the blob can
// be read in order only.
func (b *begunBlob) beginSpread(ctx context.Context, spans content.Spans) (_ content.Spread, ok bool, err error) {
	can, ok := content.As[content.Spreadable](b.Blob)
	if !ok || len(spans) == 0 {
		return nil, false, nil
	}
	s, err := can.Spread(ctx, spans)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, false, nil
	}
	return s, err == nil, err
}

// Spread returns what is being read already, to the first who wants the whole,
// or begins to read spans in any order. ok is false where the blob can be read
// in order only.
func (b *begunBlob) Spread(ctx context.Context, spans content.Spans) (_ content.Spread, ok bool, err error) {
	s := b.spread
	b.spread = nil
	if s != nil && slices.Equal(spans, b.whole()) {
		return s, true, nil
	}
	if s != nil {
		if err := s.Close(); err != nil {
			return nil, false, err
		}
	}
	return b.beginSpread(ctx, spans)
}

// Open returns what is open already, to the first who wants the whole.
func (b *begunBlob) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	if b.begun == nil || r != (content.Range{}) {
		return b.Blob.Open(ctx, r)
	}
	rc := b.begun
	b.begun = nil
	return rc, nil
}

// end gives back what begin has taken.
func (b *begunBlob) end() error {
	var errs []error
	if b.spread != nil {
		errs = append(errs, b.spread.Close())
	}
	if b.begun != nil {
		errs = append(errs, b.begun.Close())
	}
	if b.lock != nil {
		errs = append(errs, b.lock.Release())
	}
	return errors.Join(errs...)
}
