package registry

import (
	"bufio"
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A source reads the blob of an upload from whatever byte the registry wants
// next, and hashes each byte once. It goes back by hash states that were kept on
// the way, so that little has to be read again.
type source struct {
	blob content.Blob
	desc ocispec.Descriptor

	mu    sync.Mutex // net/http may read on after it gave an answer
	rc    io.ReadCloser
	buf   *bufio.Reader
	stop  context.CancelFunc
	pos   int64 // of rc, and of hash
	hash  hash.Hash
	marks []mark // in ascending order; the first is byte 0
	err   error  // why the source cannot be read

	passed func(pos int64, marks []mark) // told of each mark; may be nil
}

// A mark is the state of the hash at a byte.
type mark struct {
	off   int64
	state []byte
}

const (
	markEvery = 1 << 20
	maxMarks  = 256
)

func newSource(b content.Blob) *source {
	s := &source{blob: b, desc: b.Descriptor()}
	s.restart()
	return s
}

// restart forgets everything that was read.
func (s *source) restart() {
	s.drop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pos, s.err, s.marks = 0, nil, nil
	s.hash = s.desc.Digest.Algorithm().Hash()
	s.keep()
}

// broken returns why the source itself failed, nil if it did not.
func (s *source) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// keep saves a mark. Of many the oldest but the first go.
func (s *source) keep() {
	m, ok := s.hash.(encoding.BinaryMarshaler)
	if !ok {
		return
	}
	state, err := m.MarshalBinary()
	if err != nil {
		return // without a mark more is read again
	}
	if len(s.marks) == maxMarks {
		s.marks = slices.Delete(s.marks, 1, 2)
	}
	s.marks = append(s.marks, mark{s.pos, state})
	if s.passed != nil {
		s.passed(s.pos, s.marks)
	}
}

// adopt takes marks that an earlier process made. They are believed until what
// they lead to is wrong: then all is read again.
func (s *source) adopt(states []content.HashState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.marks) == 0 {
		return // this hash has no state
	}
	for _, state := range states {
		last := s.marks[len(s.marks)-1].off
		if last < state.Offset && state.Offset <= s.desc.Size && len(s.marks) < maxMarks {
			s.marks = append(s.marks, mark{state.Offset, state.State})
		}
	}
}

// made returns the marks so far.
func (s *source) made() []mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.marks)
}

// seek makes byte off the next one, opening the source where that is needed,
// and waits for it to be there.
func (s *source) seek(ctx context.Context, off int64) error {
	s.mu.Lock()
	here := s.rc != nil && s.pos == off
	s.mu.Unlock()
	if here || off == s.desc.Size {
		return nil
	}
	s.drop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rewind(off)
	ctx, s.stop = context.WithCancel(ctx)
	rc, err := s.blob.Open(ctx, content.Range{Off: s.pos})
	if err != nil {
		s.err = err
		return err
	}
	s.rc, s.buf = rc, bufio.NewReaderSize(rc, 64<<10)
	if err := s.skip(off); err != nil {
		return err
	}
	if _, err := s.buf.Peek(1); err != nil {
		return s.fail(err)
	}
	return nil
}

// rewind puts the hash at the last mark that is not after off.
func (s *source) rewind(off int64) {
	if s.pos == off {
		return
	}
	i := len(s.marks) - 1
	for i > 0 && s.marks[i].off > off {
		i--
	}
	s.marks = s.marks[:i+1]
	s.hash = s.desc.Digest.Algorithm().Hash()
	s.pos = 0
	if m, ok := s.hash.(encoding.BinaryUnmarshaler); ok && i >= 0 && m.UnmarshalBinary(s.marks[i].state) == nil {
		s.pos = s.marks[i].off
	}
}

// skip hashes what lies between the mark and off.
func (s *source) skip(off int64) error {
	var p [32 << 10]byte
	for s.pos < off {
		n, err := s.buf.Read(p[:min(int64(len(p)), off-s.pos)])
		s.add(p[:n])
		if err != nil && s.pos < off {
			return s.fail(err)
		}
	}
	return nil
}

func (s *source) add(p []byte) {
	_, _ = s.hash.Write(p) // a hash never fails
	before := s.pos / markEvery
	s.pos += int64(len(p))
	if s.pos/markEvery > before {
		s.keep()
	}
}

// fail remembers an error. A source that ends early does not have the blob.
func (s *source) fail(err error) error {
	if errors.Is(err, io.EOF) {
		err = &content.MismatchError{Want: s.desc, Size: s.pos}
	}
	s.err = err
	return err
}

// check compares what was read, up to the end, with the digest, and makes sure
// that it is the end.
func (s *source) check() error {
	if s.buf != nil {
		more, err := s.buf.Peek(1)
		if len(more) > 0 {
			err = &content.MismatchError{Want: s.desc, Size: s.desc.Size + 1}
		}
		if errors.Is(err, content.ErrCorrupt) { // all that was promised is here; how else the rest fails is no matter
			return s.fail(err)
		}
	}
	if got := digest.NewDigest(s.desc.Digest.Algorithm(), s.hash); got != s.desc.Digest {
		return s.fail(&content.MismatchError{Want: s.desc, Got: got, Size: s.pos})
	}
	return nil
}

// verified returns what is wrong with all that was sent, before the session is
// closed without another byte. What the registry had from an upload before this
// one was not seen here, and the registry checks it.
func (s *source) verified() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if s.pos != s.desc.Size {
		return nil
	}
	return s.check()
}

// drop closes the reader, whoever is reading.
func (s *source) drop() {
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rc != nil {
		_ = s.rc.Close() // it was read; what it had to say came with that
		s.rc, s.buf = nil, nil
	}
}

// feed returns the next n bytes as a request's body.
func (s *source) feed(n int64) *feed { return &feed{source: s, left: n} }

// A feed is a part of the source as the body of one request. After detach it
// gives nothing any more.
type feed struct {
	source *source
	left   int64
	gone   atomic.Bool
}

var errDetached = fmt.Errorf("the request is over: %w", io.ErrClosedPipe)

// Read implements [io.Reader]. The blob's last bytes are given only when all of
// it is right.
func (f *feed) Read(p []byte) (int, error) {
	s := f.source
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case f.gone.Load() || s.rc == nil && f.left > 0:
		return 0, errDetached
	case s.err != nil:
		return 0, s.err
	case f.left == 0:
		return 0, io.EOF
	}
	n, err := s.buf.Read(p[:min(int64(len(p)), f.left)])
	s.add(p[:n])
	f.left -= int64(n)
	if s.pos == s.desc.Size {
		if errors.Is(err, content.ErrCorrupt) {
			return 0, s.fail(err)
		}
		if err := s.check(); err != nil {
			return 0, err
		}
		return n, nil
	}
	if err != nil && f.left > 0 {
		if f.gone.Load() {
			return n, errDetached // whoever ended the request ended the reading
		}
		return n, s.fail(err)
	}
	return n, nil
}

// Close implements [io.Closer]. The source stays open for the next request.
func (f *feed) Close() error { return nil }

// detach takes the source away from the request, which may still be reading it.
func (f *feed) detach() {
	f.gone.Store(true)
	f.source.mu.Lock()
	defer f.source.mu.Unlock()
}

// abort is detach for a request that failed: the source is closed, so that
// nobody waits for it.
func (f *feed) abort() {
	f.gone.Store(true)
	f.source.drop()
}
