package layout

import (
	"bytes"
	"context"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// WriteAt implements [io.WriterAt]. Nothing can be written past the blob's end.
// Bytes that are there already are compared first: a blob that is read over
// several connections brings some of them twice.
func (p *partial) WriteAt(b []byte, off int64) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	span := content.Range{Off: off, Len: int64(len(b))}
	if _, _, err := span.Resolve(p.d.Size); err != nil {
		return 0, p.fail("write", err)
	}
	again, err := p.claim(span)
	if err != nil {
		return 0, err
	}
	if again && p.holds(b, off) {
		p.release(span)
		return len(b), nil
	}
	n, err := p.f.WriteAt(b, off)
	err = p.fail("write", err)
	over, noteErr := p.wrote(span, int64(n))
	if err == nil {
		err = noteErr
	}
	if err != nil {
		return n, err
	}
	p.follow(b, off, over)
	return n, nil
}

// claim keeps others from writing any of span, and reports whether some of it
// is there already. Where the file gets its first hole the list of what is
// there comes before it, so that a hole is never taken for bytes.
func (p *partial) claim(span content.Range) (again bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for slices.ContainsFunc(p.writing, func(r content.Range) bool { return overlap(r, span) }) {
		p.free.Wait()
	}
	if !p.listed && span.Off > p.head() {
		p.listed = true
		if err := p.note(); err != nil {
			p.listed = false
			return false, err
		}
	}
	p.writing = append(p.writing, span)
	return slices.ContainsFunc(p.done, func(r content.Range) bool { return overlap(r, span) }), nil
}

func overlap(a, b content.Range) bool { return a.Off < b.Off+b.Len && b.Off < a.Off+a.Len }

// head returns how many bytes lie in one piece from the start. The caller holds
// mu.
func (p *partial) head() int64 {
	if len(p.done) == 0 || p.done[0].Off > 0 {
		return 0
	}
	return p.done[0].Len
}

// holds reports whether the file has b at off.
func (p *partial) holds(b []byte, off int64) bool {
	lent := buffers.Get().(*[256 << 10]byte) //nolint:forcetypeassert // nothing else is in the pool
	defer buffers.Put(lent)
	for was := range slices.Chunk(b, len(lent)) {
		n, _ := p.f.ReadAt(lent[:len(was)], off) // what cannot be read is written
		if !bytes.Equal(lent[:n], was) {
			return false
		}
		off += int64(n)
	}
	return true
}

// release lets others write span.
func (p *partial) release(span content.Range) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unclaim(span)
}

func (p *partial) unclaim(span content.Range) {
	i := slices.Index(p.writing, span)
	p.writing = slices.Delete(p.writing, i, i+1)
	p.free.Broadcast()
}

// wrote adds the first n bytes of a span to what is there, and returns how often
// bytes were written over until then.
func (p *partial) wrote(span content.Range, n int64) (over int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unclaim(span)
	p.stale = p.stale || span.Off < p.hashed
	if slices.ContainsFunc(p.done, func(r content.Range) bool { return overlap(r, span) }) {
		p.over++
	}
	p.done = p.done.Add(content.Range{Off: span.Off, Len: n})
	p.since += n
	if p.unsafe += n; p.unsafe >= p.k.safeEvery {
		select {
		case p.due <- struct{}{}:
		default:
		}
	}
	if !p.listed || p.since < noteEvery {
		return p.over, nil
	}
	return p.over, p.note()
}

// follow hashes what lies in one piece behind what is hashed: from b, which was
// just written at off, where that comes next and, since over, is in the file still,
// else from the file, while it is in memory still. One writer does it at a time,
// and not for long, so that others keep the network busy.
func (p *partial) follow(b []byte, off int64, over int) {
	const least, most = 1 << 20, 8 << 20
	if !p.following.TryLock() {
		return
	}
	defer p.following.Unlock()
	p.mu.Lock()
	from, to := p.hashed, min(p.head(), p.hashed+most)
	next := off == from && over == p.over
	if next {
		to = off + int64(len(b))
	}
	if p.stale || !next && to-from < least {
		p.mu.Unlock()
		return
	}
	p.hashed = to
	p.mu.Unlock()
	var err error
	if next {
		_, err = p.sum.Write(b)
	} else {
		_, err = io.Copy(p.sum, io.NewSectionReader(p.f, from, to-from))
	}
	if err != nil {
		p.mu.Lock()
		p.stale = true
		p.mu.Unlock()
	}
}

// catchUp hashes what lies in one piece from the start, after which follow finds
// what comes next in memory.
func (p *partial) catchUp(ctx context.Context) error {
	p.following.Lock()
	defer p.following.Unlock()
	p.mu.Lock()
	if p.stale {
		p.restart()
	}
	from, to := p.hashed, p.head()
	p.hashed = to
	p.mu.Unlock()
	err := pump(ctx, p.sum, io.NewSectionReader(p.f, from, to-from))
	if err != nil {
		// It has hashed an unknown part.
		p.mu.Lock()
		p.stale = true
		p.mu.Unlock()
	}
	return p.fail("read", err)
}

// restart begins to hash anew. The caller holds mu.
func (p *partial) restart() {
	p.sum.Reset()
	p.hashed, p.stale = 0, false
}

// check hashes what is not hashed yet, and compares size and digest. Nobody
// writes meanwhile.
func (p *partial) check(ctx context.Context) error {
	if n := p.Done().Bytes(); n != p.d.Size {
		return p.fail("verify", &content.MismatchError{Want: p.d, Size: n})
	}
	if err := p.catchUp(ctx); err != nil {
		return err
	}
	if got := digest.NewDigest(p.d.Digest.Algorithm(), p.sum); got != p.d.Digest {
		return p.fail("verify", &content.MismatchError{Want: p.d, Got: got, Size: p.d.Size})
	}
	return nil
}

// Done returns the spans that are there.
func (p *partial) Done() content.Spans {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.done)
}
