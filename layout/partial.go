package layout

import (
	"errors"
	"hash"
	"io/fs"
	"os"
	"path"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// A partial is a blob under way: a file that is not under blobs/, whose lock
// is held. Spans of it are written in any order, from several goroutines at
// once, and hashed behind the writers' backs.
type partial struct {
	k *disk
	d ocispec.Descriptor
	f *os.File

	mu      sync.Mutex
	free    sync.Cond       // is told when one of writing has ended
	writing []content.Range // that no two writers have in common
	done    content.Spans
	safe    content.Spans // of done, what a power failure leaves too
	listed  bool          // done is noted; else the file has no holes, and its length tells
	notes   *os.File      // where done is noted; nil before the first time
	noted   int           // length of the note
	since   int64         // bytes written since the note was
	unsafe  int64         // bytes written since the file was made durable
	due     chan struct{} // is told when it is time to make the file durable; nil where nobody does
	hashed  int64         // where sum stands, or will when who follows is done
	stale   bool          // bytes that sum has taken were written over
	over    int           // times that bytes were written over

	following sync.Mutex // held by who writes to sum
	sum       hash.Hash
}

// openPartial opens the partial file of d, with what can be trusted of what lies
// there.
func (k *disk) openPartial(d ocispec.Descriptor) (*partial, error) {
	if err := checkBlob(d); err != nil {
		return nil, err
	}
	p := &partial{k: k, d: d, sum: d.Digest.Algorithm().Hash()}
	p.free.L = &p.mu
	if err := p.openFile(); err != nil {
		return nil, err
	}
	if err := p.takeUp(); err != nil {
		return nil, errors.Join(err, p.f.Close())
	}
	return p, nil
}

// openFile opens the partial's file, which is made where there is none of ours.
func (p *partial) openFile() error {
	name := p.k.partial(p.d.Digest)
	f, err := openOwn(p.k.root, name)
	p.f = f
	return p.k.fail("open", name, err)
}

// openOwn opens file name, which is made where there is none of ours.
func openOwn(root *os.Root, name string) (*os.File, error) {
	f, err := durable.OpenRegularFile(root, name, os.O_RDWR)
	if err == nil && !durable.Sole(f) {
		// Another name of the same file may lie anywhere: it is not written to.
		err = errors.Join(durable.ErrNotRegular, f.Close())
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, durable.ErrNotRegular) {
		return durable.CreateNew(root, name)
	}
	return f, err
}

// empty forgets the bytes that are there. Nobody writes meanwhile.
func (p *partial) empty() error {
	if err := p.f.Truncate(0); err != nil {
		return p.fail("write", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.safe, p.listed, p.since, p.unsafe = nil, nil, false, 0, 0
	p.restart()
	return p.removeNote()
}

// publish makes the bytes durable and gives them their name.
func (p *partial) publish() error {
	name := p.k.place(p.d.Digest)
	err := p.f.Sync()
	if err = errors.Join(err, p.f.Close(), p.closeNote()); err != nil {
		return p.fail("write", err)
	}
	if err := durable.MakeDir(p.k.root, path.Dir(name)); err != nil {
		return p.k.fail("create", path.Dir(name), err)
	}
	if err := durable.Publish(p.k.root, p.k.partial(p.d.Digest), name); err != nil {
		return p.k.fail("write", name, err)
	}
	fi, err := p.k.root.Lstat(name)
	if err != nil {
		return p.k.fail("read", name, err)
	}
	p.k.remember(p.d.Digest, fi)
	p.k.setMark(p.d.Digest, fi)
	return p.removeNote()
}

// keep closes the file and leaves it for the next time, if anything is in it.
func (p *partial) keep() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.done) == 0 {
		return errors.Join(p.fail("close", p.f.Close()), p.remove())
	}
	return errors.Join(p.noteEnd(), p.closeNote(), p.fail("close", p.f.Close()))
}

func (p *partial) remove() error {
	if err := p.closeNote(); err != nil {
		return err
	}
	err := p.k.root.Remove(p.k.partial(p.d.Digest))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p.fail("remove", err)
	}
	return p.removeNote()
}

func (p *partial) fail(op string, err error) error {
	return p.k.fail(op, p.k.partial(p.d.Digest), err)
}
