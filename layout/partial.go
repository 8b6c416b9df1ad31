package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// A partial is a blob under way: a file that is not under blobs/, whose lock
// is held.
type partial struct {
	k *disk
	d ocispec.Descriptor
	f *os.File
}

// openPartial opens the partial file of d, with as much in it as lies there in
// one piece from the start.
func (k *disk) openPartial(d ocispec.Descriptor) (*partial, error) {
	p, done, err := k.openSpans(d)
	if err != nil {
		return nil, err
	}
	size := int64(0)
	if len(done) > 0 && done[0].Off == 0 {
		size = done[0].Len
	}
	if err := p.f.Truncate(size); err != nil {
		return nil, errors.Join(k.fail("write", k.partial(d.Digest), err), p.f.Close())
	}
	// From here on the length tells what is there.
	if err := p.removeSpans(); err != nil {
		return nil, errors.Join(err, p.f.Close())
	}
	return p, nil
}

// openFile opens the partial's file, which is made where there is none of ours.
func (p *partial) openFile() error {
	name := p.k.partial(p.d.Digest)
	f, err := durable.OpenRegularFile(p.k.root, name, os.O_RDWR)
	if err == nil && !durable.Sole(f) {
		// Another name of the same file may lie anywhere: it is not written to.
		err = errors.Join(durable.ErrNotRegular, f.Close())
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, durable.ErrNotRegular) {
		f, err = durable.CreateNew(p.k.root, name)
	}
	p.f = f
	return p.k.fail("open", name, err)
}

// fill makes the partial complete and right. Bytes that turn out wrong are
// dropped, and the blob is fetched again from its start.
func (p *partial) fill(ctx context.Context, b content.Blob) error {
	return content.Reread(ctx, b, func() error {
		err := p.fetch(ctx, b)
		if !errors.Is(err, content.ErrCorrupt) {
			return err
		}
		if stuck := p.empty(); stuck != nil {
			// Read again, it would be as wrong: err is no class of this.
			return fmt.Errorf("%w, after %v", stuck, err) //nolint:errorlint // see above
		}
		return err
	})
}

// fetch hashes what is there and then, on its way to the file, what is missing.
func (p *partial) fetch(ctx context.Context, b content.Blob) error {
	v, err := content.NewVerifier(p.d)
	if err != nil {
		return err
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return p.fail("read", err)
	}
	if err := pump(ctx, v, p.f); err != nil {
		return p.fail("read", err)
	}
	if v.Size() < p.d.Size {
		if err := p.pull(ctx, v, b); err != nil {
			return err
		}
	}
	return p.fail("verify", v.Check())
}

func (p *partial) pull(ctx context.Context, v *content.Verifier, b content.Blob) (err error) {
	rc, err := b.Open(ctx, content.Range{Off: v.Size()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	return pump(ctx, verified{v, p}, rc)
}

// verified is a writer to a partial that hashes first, so that no byte is
// written past the blob's end.
type verified struct {
	v *content.Verifier
	p *partial
}

func (w verified) Write(b []byte) (int, error) {
	if _, err := w.v.Write(b); err != nil {
		return 0, w.p.fail("verify", err)
	}
	n, err := w.p.f.Write(b)
	return n, w.p.fail("write", err)
}

// empty forgets the bytes that are there.
func (p *partial) empty() error { return p.fail("write", p.f.Truncate(0)) }

// publish makes the bytes durable and gives them their name.
func (p *partial) publish() error {
	name := p.k.place(p.d.Digest)
	err := p.f.Sync()
	if err = errors.Join(err, p.f.Close()); err != nil {
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
	return nil
}

// keep closes the file and leaves it for the next time, if anything is in it.
func (p *partial) keep() error {
	fi, err := p.f.Stat()
	if err = errors.Join(err, p.f.Close()); err != nil {
		return p.fail("close", err)
	}
	if fi.Size() > 0 {
		return nil
	}
	return p.remove()
}

func (p *partial) remove() error {
	err := p.k.root.Remove(p.k.partial(p.d.Digest))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p.fail("remove", err)
	}
	return p.removeSpans()
}

func (p *partial) removeSpans() error {
	name := p.spansFile()
	err := p.k.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return p.k.fail("remove", name, err)
}

func (p *partial) fail(op string, err error) error {
	return p.k.fail(op, p.k.partial(p.d.Digest), err)
}

func (p *partial) spansFile() string { return p.k.partial(p.d.Digest) + spansEnd }
