package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// A disk is a folder that holds blobs as regular files: what a [Layout] and a
// [Dir] have in common. Paths have slashes and are relative to root.
type disk struct {
	root  *os.Root // nil while there is no folder
	path  string   // of root, for messages
	opts  *Options
	place func(digest.Digest) string     // the file of a blob
	setUp func(begin func() error) error // writes, after begin, what a folder has before anything is put into it, and sets made

	claim func(ctx context.Context) error // keeps others from writing; nil where they may
	taken error                           // why nothing is put into the folder any more
	lease *lease                          // of the run; nil where nobody removes what is needed

	made      atomic.Bool   // root is there, and is what it should be
	prepared  atomic.Bool   // it can be written to
	preparing chan struct{} // held while it is prepared

	safeEvery int64 // how many new bytes of a blob may be lost when the power fails

	right sync.Map // digest.Digest to the stamp of the file that was hashed, or stored, by this process
}

func newDisk(path string, o *Options) *disk {
	return &disk{path: path, opts: o, preparing: make(chan struct{}, 1), safeEvery: 64 << 20}
}

const (
	partialDir  = ownDir + "/partial"
	verifiedDir = ownDir + "/verified"

	lockEnd  = ".lock"
	spansEnd = ".spans"
)

// fail wraps err, about file name, in an Error that has a class.
func (k *disk) fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Path: filepath.Join(k.path, filepath.FromSlash(name)), Err: classify(err)}
}

// classify gives an error of the system a class of ours.
func classify(err error) error {
	switch {
	case errors.Is(err, durable.ErrNotRegular):
		return fmt.Errorf("%w: %w", err, content.ErrInvalid)
	case durable.IsFull(err):
		return &content.FullError{Err: err}
	case errors.Is(err, fs.ErrNotExist):
		return content.ErrNotFound // the path is in the Error around it
	}
	return err
}

// read returns a small file's content.
func (k *disk) read(name string, limit int64) ([]byte, error) {
	if !k.made.Load() {
		return nil, k.fail("read", name, fs.ErrNotExist)
	}
	raw, err := durable.ReadRegular(k.root, name, limit, content.ErrInvalid)
	return raw, k.fail("read", name, err)
}

// readText is read for what is read as a text.
func (k *disk) readText(name string, limit int64) (string, error) {
	if !k.made.Load() {
		return "", k.fail("read", name, fs.ErrNotExist)
	}
	text, err := durable.ReadText(k.root, name, limit, content.ErrInvalid)
	return text, k.fail("read", name, err)
}

// replace puts raw in place of file name. The caller holds the index lock.
func (k *disk) replace(name string, raw []byte) error {
	r, err := durable.Write(k.root, newFile, raw)
	if err == nil {
		err = r.Publish(name)
	}
	return k.fail("write", name, err)
}

func (k *disk) lockIndex(ctx context.Context) (*durable.Lock, error) {
	return k.lock(ctx, lockFile, "")
}

// lockBlob takes the lock of the partial file of d.
func (k *disk) lockBlob(ctx context.Context, d digest.Digest) (*durable.Lock, error) {
	return k.lock(ctx, k.partial(d)+lockEnd, d)
}

// lock takes lock name, which is about blob d if about any, and makes the folder
// it is in.
func (k *disk) lock(ctx context.Context, name string, d digest.Digest) (*durable.Lock, error) {
	return k.takeLock(name, func() (*durable.Lock, error) {
		return durable.Acquire(ctx, k.root, name, func(pid int) { k.waits(name, d, pid) })
	})
}

// takeLock makes the folder that lock name is in and calls take. Who has nothing
// to put into the folder takes it away again, also between the two: then both are
// done once more.
func (k *disk) takeLock(name string, take func() (*durable.Lock, error)) (lock *durable.Lock, err error) {
	for range 100 {
		if err = durable.MakeDir(k.root, path.Dir(name)); errors.Is(err, fs.ErrNotExist) {
			continue // one folder above it
		}
		if err != nil {
			return nil, k.fail("create", path.Dir(name), err)
		}
		if lock, err = take(); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return lock, k.fail("lock", name, err)
}

// dropStale removes the file of a lock that nobody holds: who held it was killed,
// maybe when all was done, so that nobody will take it again. It harms nobody
// where it cannot be removed.
func (k *disk) dropStale(name string) {
	if _, err := k.root.Lstat(name); err != nil {
		return
	}
	if lock, err := durable.Try(k.root, name); err == nil {
		_ = lock.Release() // which removes it
	}
}

// waits tells who asked for it that lock name is waited for.
func (k *disk) waits(name string, d digest.Digest, pid int) {
	if k.opts.Wait != nil {
		k.opts.Wait(Waiting{Path: filepath.Join(k.path, filepath.FromSlash(name)), Blob: d, PID: pid})
	}
}

// sweep takes away what processes that were killed left and nobody will use:
// locks that nobody holds, and lists of spans of files that are gone. What
// cannot be removed harms nobody.
func (k *disk) sweep() {
	_ = k.root.Remove(newFile) // its writers hold the lock that the caller holds
	if durable.CheckDir(k.root, partialDir) != nil {
		return
	}
	entries, err := fs.ReadDir(k.root.FS(), partialDir)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := partialDir + "/" + e.Name()
		if strings.HasSuffix(name, lockEnd) {
			k.dropStale(name)
		}
		of, isList := strings.CutSuffix(name, spansEnd)
		if _, err := k.root.Lstat(of); isList && errors.Is(err, fs.ErrNotExist) {
			_ = k.root.Remove(name)
		}
	}
}

func (k *disk) partial(d digest.Digest) string { return partialDir + "/" + fileName(d) }

func (k *disk) mark(d digest.Digest) string { return verifiedDir + "/" + fileName(d) }

func fileName(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }

// openBlob opens the file of blob d. What is no regular file, or lies behind a
// link, is [content.ErrInvalid].
func (k *disk) openBlob(d digest.Digest) (*os.File, error) {
	if err := content.CheckDigest(d); err != nil {
		return nil, err
	}
	name := k.place(d)
	if err := k.checkFolder(name); err != nil {
		return nil, err
	}
	f, err := durable.OpenRegular(k.root, name)
	return f, k.fail("open", name, err)
}

// there reports whether anything has the name of d, which is a valid digest.
func (k *disk) there(d digest.Digest) bool {
	if !k.made.Load() {
		return false
	}
	_, err := k.root.Lstat(k.place(d))
	return err == nil
}

// checkFolder reports whether the folders that lead to file name are folders.
func (k *disk) checkFolder(name string) error {
	if !k.made.Load() {
		return k.fail("open", name, fs.ErrNotExist)
	}
	return k.fail("open", name, durable.CheckDir(k.root, path.Dir(name)))
}

// has reports whether the bytes of d are there and right. Anything else that is
// there, a link for one, is as good as nothing: storing replaces it.
func (k *disk) has(ctx context.Context, d ocispec.Descriptor) (_ bool, err error) {
	if err := checkBlob(d); err != nil {
		return false, err
	}
	f, err := k.openBlob(d.Digest)
	if errors.Is(err, content.ErrNotFound) || errors.Is(err, durable.ErrNotRegular) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	err = k.verify(ctx, f, d)
	if errors.Is(err, content.ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

func checkBlob(d ocispec.Descriptor) error {
	if err := content.CheckDigest(d.Digest); err != nil {
		return err
	}
	if d.Size < 0 {
		return fmt.Errorf("blob %s has size %d: %w", d.Digest, d.Size, content.ErrInvalid)
	}
	return nil
}

// verify reports whether f holds the bytes of d: nil, or [content.ErrCorrupt].
// It hashes them unless they are known to be right.
func (k *disk) verify(ctx context.Context, f *os.File, d ocispec.Descriptor) error {
	fi, err := f.Stat()
	if err != nil {
		return k.fail("read", k.place(d.Digest), err)
	}
	if fi.Size() != d.Size {
		return k.fail("verify", k.place(d.Digest), &content.MismatchError{Want: d, Size: fi.Size()})
	}
	if k.known(d.Digest, fi) {
		return nil
	}
	v, err := content.NewVerifier(d)
	if err != nil {
		return err
	}
	err = pump(ctx, v, f)
	if err == nil {
		err = v.Check()
	}
	if err != nil {
		return k.fail("verify", k.place(d.Digest), err)
	}
	k.remember(d.Digest, fi)
	if _, err := k.root.Lstat(verifiedDir); err == nil {
		// A folder that is only read, or that others made, gets no files of ours.
		k.setMark(d.Digest, fi)
	}
	return nil
}

// known reports whether the file of d has not changed since it was hashed: by
// this process, or unless all is to be hashed, by one before.
func (k *disk) known(d digest.Digest, fi fs.FileInfo) bool {
	stamp, lasting := durable.Stamp(fi)
	if had, ok := k.right.Load(d); ok && had == stamp {
		return true
	}
	if k.opts.Deep || !lasting || durable.CheckDir(k.root, verifiedDir) != nil {
		return false
	}
	raw, err := durable.ReadRegular(k.root, k.mark(d), 1<<10, content.ErrInvalid)
	if err != nil || string(raw) != stamp {
		return false
	}
	k.right.Store(d, stamp)
	return true
}

func (k *disk) remember(d digest.Digest, fi fs.FileInfo) {
	stamp, _ := durable.Stamp(fi)
	k.right.Store(d, stamp)
}

// setMark writes down, for later processes, that the file of d was hashed. A
// mark that cannot be written costs a hash later and nothing else, and so does
// one that is torn: it equals no stamp.
func (k *disk) setMark(d digest.Digest, fi fs.FileInfo) {
	stamp, lasting := durable.Stamp(fi)
	if !lasting || durable.MakeDir(k.root, verifiedDir) != nil {
		return
	}
	f, err := durable.CreateNew(k.root, k.mark(d))
	if err != nil {
		return
	}
	_, err = f.WriteString(stamp)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = k.root.Remove(k.mark(d)) // no mark at all is the same
	}
}

// buffers are those of pump: many blobs are smaller than one.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// pump writes all of src to dst and looks at ctx on the way.
func pump(ctx context.Context, dst io.Writer, src io.Reader) error {
	lent := buffers.Get().(*[256 << 10]byte) //nolint:forcetypeassert // nothing else is in the pool
	defer buffers.Put(lent)
	buf := lent[:]
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := src.Read(buf)
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
