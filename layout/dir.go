package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// A Dir is a folder that holds one image in the way of skopeo's transport dir:
// its manifest in manifest.json, its blobs in files named by their hex digits,
// and the children of an index in files HEX.manifest.json
// (https://github.com/containers/image/blob/main/docs/containers-transports.5.md).
// What refers to the image lies there as children do, and under a digest tag of
// its own as TAG.manifest.json; skopeo does not look at these.
//
// A Dir may be used by many goroutines at once; it must be closed after use.
type Dir struct {
	Options
	disk *disk

	began  digest.Digest // the image that was there when the directory was opened
	writer *durable.Lock // held from the first write on

	mu   sync.Mutex
	root digest.Digest // what was put as the image
}

var (
	_ content.Source         = (*Dir)(nil)
	_ content.Sink           = (*Dir)(nil)
	_ content.Resolver       = (*Dir)(nil)
	_ content.TagLister      = (*Dir)(nil)
	_ content.ReferrerLister = (*Dir)(nil)
	_ content.RandomSink     = (*Dir)(nil)
	_ content.Committer      = (*Dir)(nil)
)

const (
	dirManifest   = "manifest.json"
	manifestEnd   = "." + dirManifest
	versionFile   = "version"
	versionPrefix = "Directory Transport Version: "
)

// OpenDir opens the plain directory at path, which exists. Where there is none
// it returns [content.ErrNotFound].
func OpenDir(path string) (*Dir, error) { return Options{}.OpenDir(path) }

// OpenDir is [OpenDir] with options, which count for what is read on opening too.
func (o Options) OpenDir(path string) (*Dir, error) {
	d := o.dirAt(path)
	root, err := openRoot(path)
	if err != nil {
		return nil, err
	}
	d.disk.root = root
	d.disk.made.Store(true)
	f, err := durable.OpenRegular(root, dirManifest)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, errors.Join(d.disk.fail("open", dirManifest, err), d.Close())
	}
	return d, nil
}

// CreateDir opens the plain directory at path. Where there is none it is made
// when the first blob or manifest is written. A folder that has other things in
// it is [content.ErrConflict].
//
// From the first write until Commit or Close other processes wait to write there,
// and another Dir of this one is refused with [content.ErrConflict]. Who finds
// another image then than there was on opening adds nothing to it: that is
// [content.ErrConflict] too.
func CreateDir(path string) (*Dir, error) { return Options{}.CreateDir(path) }

// CreateDir is [CreateDir] with options, which count for what is read on opening
// too.
func (o Options) CreateDir(path string) (*Dir, error) {
	d := o.dirAt(path)
	if err := d.disk.openIfThere(); err != nil {
		return nil, err
	}
	if d.disk.root == nil {
		return d, nil
	}
	made, err := d.isMade()
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.disk.made.Store(made)
	d.began = d.stands()
	return d, nil
}

// dirAt returns a plain directory that is not opened yet.
func (o Options) dirAt(path string) *Dir {
	d := &Dir{Options: o}
	d.disk = newDisk(path, &d.Options)
	d.disk.setUp, d.disk.claim = d.setUp, d.claim
	d.disk.place = func(d digest.Digest) string { return d.Encoded() }
	return d
}

// setUp writes the file version, by which a plain directory is known. The caller
// holds the index lock.
func (d *Dir) setUp(begin func() error) error {
	made, err := d.isMade()
	if err != nil {
		return err
	}
	if !made {
		if err := begin(); err != nil {
			return err
		}
		if err := d.disk.replace(versionFile, []byte(versionPrefix+"1.1\n")); err != nil {
			return err
		}
	}
	d.disk.made.Store(true)
	return nil
}

// isMade reports whether the folder is a plain directory. One that has something
// else in it is an error.
func (d *Dir) isMade() (bool, error) {
	// The file version is the first thing that is written. Looked for after the
	// others it is there if they are.
	others, err := d.others()
	if err != nil {
		return false, err
	}
	raw, err := durable.ReadRegular(d.disk.root, versionFile, 4<<10, content.ErrInvalid)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !others:
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, d.disk.fail("create", "", fmt.Errorf("not empty, and no plain directory: %w", content.ErrConflict))
	case err == nil && !strings.HasPrefix(string(raw), versionPrefix):
		err = fmt.Errorf("not the version of a plain directory: %w", content.ErrConflict)
	}
	return true, d.disk.fail("read", versionFile, err)
}

// others reports whether the folder has anything in it that is not ours.
func (d *Dir) others() (bool, error) {
	f, err := d.disk.root.Open(".")
	if err == nil {
		names, rerr := f.Readdirnames(2)
		if len(slices.DeleteFunc(names, func(name string) bool { return name == ownDir })) > 0 {
			return true, d.disk.fail("read", "", f.Close())
		}
		err = errors.Join(rerr, f.Close())
	}
	if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) {
		err = nil // it is empty, or who made it has taken it away again
	}
	return false, d.disk.fail("read", "", err)
}

// Close gives back what the directory holds of the system, and lets others write
// to it.
func (d *Dir) Close() error {
	return errors.Join(d.unclaim(), d.disk.close())
}

// Open implements [content.Source]; what is corrupt is not given out.
func (d *Dir) Open(ctx context.Context, b ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	return d.disk.open(ctx, b, r)
}

// Has implements [content.Sink].
func (d *Dir) Has(ctx context.Context, b ocispec.Descriptor) (bool, error) { return d.disk.has(ctx, b) }

// PutBlob implements [content.Sink].
func (d *Dir) PutBlob(ctx context.Context, b content.Blob) (content.Outcome, error) {
	return d.disk.put(ctx, b)
}

// Ingest implements [content.RandomSink].
func (d *Dir) Ingest(ctx context.Context, b ocispec.Descriptor) (content.Ingest, error) {
	return d.disk.ingest(ctx, b)
}

// Manifest implements [content.Source]. ref is empty for the image, a digest,
// or a digest tag. The image has no other name.
func (d *Dir) Manifest(_ context.Context, ref string) (content.Manifest, error) {
	if ref == "" {
		return d.image()
	}
	want, ok := byDigest(ref)
	if !ok {
		if !content.IsDigestTag(ref) {
			return content.Manifest{}, d.disk.fail("read", "", fmt.Errorf("an image in a plain directory has no name %q: %w", ref, content.ErrNotFound))
		}
		return d.read(tagFile(ref))
	}
	m, err := d.disk.manifest(ocispec.Descriptor{Digest: want}, want.Encoded()+manifestEnd)
	if errors.Is(err, content.ErrInvalid) && !errors.Is(err, durable.ErrNotRegular) {
		// Bytes that do not tell what they are: the index that names them may.
		if t := d.typeOf(want); t != "" {
			return d.disk.manifest(ocispec.Descriptor{Digest: want, MediaType: t}, want.Encoded()+manifestEnd)
		}
	}
	if !errors.Is(err, content.ErrNotFound) {
		return m, err
	}
	raw, ierr := d.disk.readManifest(dirManifest)
	if ierr != nil || want.Algorithm().FromBytes(raw) != want {
		return content.Manifest{}, err
	}
	m, err = content.VerifyManifest(ocispec.Descriptor{Digest: want}, raw, d.Limits)
	return m, d.disk.fail("read", dirManifest, err)
}

func (d *Dir) image() (content.Manifest, error) { return d.read(dirManifest) }

// typeOf returns the media type that the image, or an index below it, says
// manifest want has, or "".
func (d *Dir) typeOf(want digest.Digest) string {
	root, err := d.image()
	if err != nil {
		return ""
	}
	seen := map[digest.Digest]bool{}
	for todo := root.Children(); len(todo) > 0; todo = todo[1:] {
		child := todo[0]
		if child.Digest == want {
			return child.MediaType
		}
		if seen[child.Digest] || !content.IsIndex(child.MediaType) {
			continue
		}
		seen[child.Digest] = true
		if m, err := d.disk.manifest(child, child.Digest.Encoded()+manifestEnd); err == nil {
			todo = append(todo, m.Children()...)
		}
	}
	return ""
}

// read reads a manifest whose digest nothing states.
func (d *Dir) read(name string) (content.Manifest, error) {
	raw, err := d.disk.readManifest(name)
	if err != nil {
		return content.Manifest{}, err
	}
	m, err := content.ParseManifest("", raw, d.Limits)
	return m, d.disk.fail("read", name, err)
}

// Resolve implements [content.Resolver].
func (d *Dir) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	m, err := d.Manifest(ctx, ref)
	return m.Descriptor(), err
}

// PutManifest implements [content.Sink]. A manifest with any name becomes the
// image, in place of what was there; a second image is [content.ErrConflict].
// What refers to something that is there, or is put under a digest tag, lies
// beside the image.
func (d *Dir) PutManifest(ctx context.Context, m content.Manifest, names ...string) error {
	return d.put(ctx, m, func() error { return d.write(m, d.files(ctx, m, names)) })
}

// put calls write when m can be written, with the index lock held.
func (d *Dir) put(ctx context.Context, m content.Manifest, write func() error) error {
	if err := m.Ambiguous(); err != nil {
		return err
	}
	if err := d.disk.complete(ctx, m); err != nil {
		return err
	}
	if err := d.disk.prepare(ctx, noBlob); err != nil {
		return err
	}
	lock, err := d.disk.lockIndex(ctx)
	if err != nil {
		return err
	}
	return errors.Join(write(), lock.Release())
}

// files returns the files that m belongs in.
func (d *Dir) files(ctx context.Context, m content.Manifest, names []string) []string {
	aside := m.Digest().Encoded() + manifestEnd
	if len(names) == 0 {
		return []string{aside}
	}
	var files []string
	for _, name := range names {
		switch {
		case content.IsDigestTag(name):
			files = append(files, aside, tagFile(name))
		case d.aside(ctx, m, name):
			files = append(files, aside)
		default:
			files = append(files, dirManifest)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// aside reports whether m, called name, only lies beside the image: it has a
// subject that is there.
func (d *Dir) aside(ctx context.Context, m content.Manifest, name string) bool {
	to, ok := m.Subject()
	if !ok || content.IsDigestTag(name) {
		return false
	}
	_, err := d.Manifest(ctx, to.Digest.String())
	return err == nil
}

// tagFile returns the file of what has a digest tag as its name.
func tagFile(name string) string {
	return name[strings.LastIndexByte(name, ':')+1:] + manifestEnd
}

// write leaves a file alone that has m already.
func (d *Dir) write(m content.Manifest, files []string) error {
	for _, file := range files {
		if file == dirManifest {
			if err := d.become(m); err != nil {
				return err
			}
		}
		if d.has(file, m) {
			continue
		}
		if d.disk.taken != nil {
			return d.disk.taken
		}
		if err := d.disk.replace(file, m.Raw()); err != nil {
			return err
		}
	}
	return nil
}

// become makes m the image that is put. The type of what does not say itself
// what it is would be lost.
func (d *Dir) become(m content.Manifest) error {
	again, err := content.ParseManifest("", m.Raw(), d.Limits)
	if err != nil || again.MediaType() != m.MediaType() {
		return d.disk.fail("write", dirManifest, fmt.Errorf("a plain directory cannot say that %s is %q: %w", m.Digest(), m.MediaType(), errors.ErrUnsupported))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root != "" && d.root != m.Digest() {
		return d.disk.fail("write", dirManifest, fmt.Errorf("a plain directory holds one image, and was given %s already: %w", d.root, content.ErrConflict))
	}
	d.root = m.Digest()
	return nil
}
