// Package layout is the OCI image layout: a folder that holds images
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).
//
// [Open] opens one that exists, [Create] makes one where there is none, with the
// first that is written into it. A [Layout] is a [content.Source] and a
// [content.Sink], and it can do all that a place on disk can: resolve and list
// names, list referrers, delete, and take a blob's spans in any order. Several
// processes may write to one layout at once.
//
// What is written survives a crash at any moment: blobs come into being under
// .wherry/partial, are verified and made durable, and only then get their name;
// index.json is replaced as a whole, under a lock, after it was read again.
// What other tools wrote into index.json stays there byte for byte. What is
// read is verified: a blob that is not known to be right is hashed before it
// counts, so that a corrupt one is as good as none. Links, pipes and devices in
// a layout are never opened.
//
// What a run relies on, until it closes the layout, stands in a lease under
// .wherry/leases, and is left alone by [Layout.Collect], which removes the blobs
// that nothing in index.json reaches.
//
// A name is what org.opencontainers.image.ref.name or io.containerd.image.name
// of an entry in index.json says.
//
// [Dir] is skopeo's plain directory, a folder that holds one image.
package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// An Error says what went wrong with which file of a layout.
type Error struct {
	Op   string // "open", "read", "write", "lock", …
	Path string
	Err  error
}

// Error says what and where once, also where the system's own error says it too.
func (e *Error) Error() string {
	where := e.Op + " " + e.Path + ": "
	return where + strings.TrimPrefix(e.Err.Error(), where)
}

// Unwrap returns the cause; its class is one of package content's.
func (e *Error) Unwrap() error { return e.Err }

// Options change how a folder is read and written. They are set before its
// first use.
type Options struct {
	// Deep hashes every blob once, those included that are known to be right.
	Deep bool

	// Limits bound what is read. Besides what they say of manifests, index.json
	// may have 8 MiB and 32,768 entries; a negative ManifestSize or Children
	// lifts that too.
	Limits content.Limits

	// Wait, when set, is told what has been waited for during some seconds,
	// once each time. It may be called from several goroutines at once.
	Wait func(w Waiting)
}

// A Waiting is work that stands still until another process, or another
// goroutine, gives up what it holds.
type Waiting struct {
	Path string        // of the lock that is waited for
	Blob digest.Digest // which the other one stores; empty where it writes something else
	PID  int           // of the other process; 0 where it is not known
}

// String returns one line for people.
func (w Waiting) String() string {
	who := "another process"
	if w.PID != 0 {
		who = fmt.Sprintf("process %d", w.PID)
	}
	if w.Blob != "" {
		return fmt.Sprintf("waiting for %s, which stores blob %s, to release %s", who, w.Blob, w.Path)
	}
	return fmt.Sprintf("waiting for %s to release %s", who, w.Path)
}

// A Layout is an OCI image layout. It may be used by many goroutines at once;
// it must be closed after use.
type Layout struct {
	Options
	disk   *disk
	writes bool // it was opened to be written to: what it has is relied on
	facts  manifestFacts
	seen   atomic.Pointer[seenIndex] // nil before the first is read
}

var (
	_ content.Source         = (*Layout)(nil)
	_ content.Sink           = (*Layout)(nil)
	_ content.Resolver       = (*Layout)(nil)
	_ content.TagLister      = (*Layout)(nil)
	_ content.ReferrerLister = (*Layout)(nil)
	_ content.Deleter        = (*Layout)(nil)
	_ content.RandomSink     = (*Layout)(nil)
)

// The folder of the layout that is ours, and what is in it. The specification
// lets a layout hold other files.
const (
	ownDir     = ".wherry"
	lockFile   = ownDir + "/lock"
	newFile    = ownDir + "/new" // written under the lock
	indexFile  = ocispec.ImageIndexFile
	markerFile = ocispec.ImageLayoutFile
	blobsDir   = ocispec.ImageBlobsDir
)

// Open opens the layout at path, which exists. Where nothing is it returns
// [content.ErrNotFound]; what is no layout, or a broken one, is
// [content.ErrInvalid].
func Open(path string) (*Layout, error) { return Options{}.Open(path) }

// Open is [Open] with options, which count for what is read on opening too.
func (o Options) Open(path string) (*Layout, error) {
	l := o.at(path)
	root, err := openRoot(path)
	if err != nil {
		return nil, err
	}
	l.disk.root = root
	if err := l.check(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Create opens the layout at path. Where there is none it is empty, and is made
// when the first blob or manifest is written.
func Create(path string) (*Layout, error) { return Options{}.Create(path) }

// Create is [Create] with options, which count for what is read on opening too.
func (o Options) Create(path string) (*Layout, error) {
	l := o.at(path)
	l.writes = true
	if err := l.disk.openIfThere(); err != nil {
		return nil, err
	}
	if l.disk.root == nil || l.blank() {
		return l, nil
	}
	if err := l.check(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l.disk.dropStale(lockFile)
	return l, nil
}

// Close gives back what the layout holds of the system. What has no name by then
// may be removed by others.
func (l *Layout) Close() error {
	l.disk.lease.end()
	return l.disk.close()
}

// at returns a layout that is not opened yet.
func (o Options) at(path string) *Layout {
	l := &Layout{Options: o}
	l.disk = newDisk(path, &l.Options)
	l.disk.setUp = l.setUp
	l.disk.lease = &lease{k: l.disk}
	l.disk.place = func(d digest.Digest) string {
		return blobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
	}
	return l
}

func openRoot(path string) (*os.Root, error) {
	fi, err := os.Stat(path) //nolint:gosec // the folder the caller names is the one to open
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("not a folder: %w", content.ErrInvalid)
	}
	if err != nil {
		return nil, &Error{Op: "open", Path: path, Err: classify(err)}
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, &Error{Op: "open", Path: path, Err: classify(err)}
	}
	return root, nil
}

// check reports what keeps the folder from being a layout.
func (l *Layout) check() error {
	l.disk.made.Store(true)
	raw, err := l.disk.read(markerFile, 64<<10)
	if errors.Is(err, content.ErrNotFound) {
		return l.disk.fail("open", "", l.missing("no OCI layout: it has no file oci-layout"))
	}
	if err != nil {
		return err
	}
	var marker ocispec.ImageLayout
	if err := json.Unmarshal(raw, &marker); err != nil {
		return l.disk.fail("read", markerFile, fmt.Errorf("%w: %w", err, content.ErrInvalid))
	}
	if marker.Version != ocispec.ImageLayoutVersion {
		return l.disk.fail("read", markerFile, fmt.Errorf("layout version %q, only %s is known: %w", marker.Version, ocispec.ImageLayoutVersion, content.ErrInvalid))
	}
	err = durable.CheckDir(l.disk.root, blobsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l.disk.fail("open", blobsDir, err)
	}
	_, err = l.index()
	if errors.Is(err, content.ErrNotFound) {
		return l.disk.fail("open", "", l.missing("broken OCI layout: it has no file index.json"))
	}
	return err
}

// missing makes an error about a file that a layout must have: where there is
// nothing of a layout, or one that was never finished, it is not found.
func (l *Layout) missing(what string) error {
	class := content.ErrInvalid
	if l.blank() {
		class = content.ErrNotFound
	}
	return fmt.Errorf("%s: %w", what, class)
}

// blank reports whether the folder has no index.json and no blobs, so that
// nothing can be lost by making a layout of it.
func (l *Layout) blank() bool {
	if _, err := l.disk.root.Lstat(indexFile); err == nil {
		return false
	}
	for _, dir := range []string{"sha256", "sha512"} {
		entries, err := fs.ReadDir(l.disk.root.FS(), path.Join(blobsDir, dir))
		if err == nil && len(entries) > 0 {
			return false
		}
	}
	return true
}

// setUp makes what is missing of an empty layout: oci-layout first, so that a
// folder that was left half made is known for what it is. The caller holds the
// index lock.
func (l *Layout) setUp(begin func() error) error {
	if !l.blank() {
		return l.check()
	}
	if err := begin(); err != nil {
		return err
	}
	if _, err := l.disk.root.Lstat(markerFile); errors.Is(err, fs.ErrNotExist) {
		if err := l.disk.replace(markerFile, []byte(`{"imageLayoutVersion":"`+ocispec.ImageLayoutVersion+`"}`)); err != nil {
			return err
		}
	}
	if err := durable.MakeDir(l.disk.root, blobsDir+"/sha256"); err != nil {
		return l.disk.fail("create", blobsDir, err)
	}
	if err := l.disk.replace(indexFile, newIndex().encode()); err != nil {
		return err
	}
	return l.check()
}
