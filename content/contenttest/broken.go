package contenttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing/iotest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

func brokenBlobContracts() []contract {
	return []contract{
		{"a blob that is too short is refused", func(s *stage) { refused(s, short) }},
		{"a blob that is too long is refused", func(s *stage) { refused(s, long) }},
		{"a blob with a flipped bit is refused", func(s *stage) { refused(s, flipped) }},
		{"a blob that is not empty though it should be is refused", notEmpty},
		{"a blob that breaks midway works the second time", breaksMidway},
		{"a blob that cannot be opened is not there", cannotOpen},
		{"putting a blob ends when the context does", putCancelled},
		{"a context that has ended moves nothing", endedContext},
	}
}

func short(p []byte) []byte { return p[:len(p)-100] }

func long(p []byte) []byte { return append(bytes.Clone(p), Noise(1, 100)...) }

func flipped(p []byte) []byte {
	p = bytes.Clone(p)
	p[len(p)/2] ^= 0x20
	return p
}

// refused puts a blob whose bytes do not match, then the right one.
func refused(s *stage, spoil func([]byte) []byte) {
	t := s.T
	good := NewBlob(octets, Noise(21, 70_000))
	bad := loose{good.Desc, spoil(good.Data)}
	if got, err := s.Sink.PutBlob(t.Context(), bad); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("PutBlob = %v, %v; want corrupt content", got, err)
	}
	s.wantHasNot(t, good)
	if src, ok := s.Sink.(content.Source); ok {
		wantNoBlob(t, src, good)
	}
	s.putBlob(t, good)
	s.root(t, good)
	checkBlob(t, s.source(t), good)
}

func notEmpty(s *stage) {
	t := s.T
	empty := NewBlob(octets, nil)
	// A zero-byte blob need not be opened at all; what it has must not arrive.
	if _, err := s.Sink.PutBlob(t.Context(), loose{empty.Desc, []byte("more")}); err != nil && !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("PutBlob = %v; want corrupt content, or the empty blob", err)
	}
	if _, err := s.Sink.PutBlob(t.Context(), empty); err != nil {
		t.Errorf("PutBlob of the empty blob: %v", err)
	}
	s.root(t, empty)
	checkBlob(t, s.source(t), empty)
}

func breaksMidway(s *stage) {
	t := s.T
	good := NewBlob(octets, Noise(22, 1<<20+5))
	if got, err := s.Sink.PutBlob(t.Context(), breaking{good, len(good.Data) / 2}); err == nil {
		t.Errorf("PutBlob of a blob that breaks = %v, nil; want an error", got)
	}
	s.wantHasNot(t, good)
	if src, ok := s.Sink.(content.Source); ok {
		wantNoBlob(t, src, good)
	}
	s.putBlob(t, good)
	s.root(t, good)
	checkBlob(t, s.source(t), good)
}

func cannotOpen(s *stage) {
	t := s.T
	b := NewBlob(octets, Noise(23, 1000))
	if got, err := s.Sink.PutBlob(t.Context(), content.NewBlob(&content.Memory{}, b.Desc)); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("PutBlob = %v, %v; want not found", got, err)
	}
	s.wantHasNot(t, b)
	s.put(t, Anchor(t), s.name("v1"))
	wantNoBlob(t, s.source(t), b)
}

func putCancelled(s *stage) {
	t := s.T
	ctx, cancel := context.WithCancel(t.Context())
	b := stuck{NewBlob(octets, Noise(24, 500_000)), cancel}
	if got, err := s.Sink.PutBlob(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("PutBlob = %v, %v; want a cancelled context", got, err)
	}
	s.wantHasNot(t, b.Blob)
	s.putBlob(t, b.Blob)
	s.root(t, b.Blob)
	checkBlob(t, s.source(t), b.Blob)
}

func endedContext(s *stage) {
	t := s.T
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := NewBlob(octets, Noise(25, 1000))
	if got, err := s.Sink.PutBlob(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("PutBlob = %v, %v; want a cancelled context", got, err)
	}
	s.wantHasNot(t, b)
	img := anchors(t, 1)[0]
	for _, b := range img.Blobs {
		s.putBlob(t, b)
	}
	if err := s.Sink.PutManifest(ctx, img.Root, s.name("v1")); !errors.Is(err, context.Canceled) {
		t.Errorf("PutManifest = %v; want a cancelled context", err)
	}
	wantNoManifest(t, s.source(t), s.name("v1"))
}

// sourceOnly opens its blob at the source itself, without NewBlob's help.
type sourceOnly struct {
	content.Source
	b *Blob
}

func (s sourceOnly) Descriptor() ocispec.Descriptor { return s.b.Desc }

func (s sourceOnly) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	return s.Source.Open(ctx, s.b.Desc, r)
}

// A loose blob gives bytes that need not be those of its descriptor, as far as
// a range reaches.
type loose struct {
	d    ocispec.Descriptor
	data []byte
}

func (b loose) Descriptor() ocispec.Descriptor { return b.d }

func (b loose) Open(_ context.Context, r content.Range) (io.ReadCloser, error) {
	data := b.data[min(r.Off, int64(len(b.data))):]
	if whole := r.Off+r.Len == b.d.Size; r.Len > 0 && !whole {
		data = data[:min(r.Len, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

var errBroken = errors.New("the line is cut")

// A breaking blob has no byte past at.
type breaking struct {
	*Blob
	at int
}

func (b breaking) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	rc, err := b.Blob.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	head := io.LimitReader(rc, max(0, int64(b.at)-r.Off))
	return io.NopCloser(io.MultiReader(head, iotest.ErrReader(errBroken))), nil
}

// A stuck blob cancels when half of it is read, and then gives nothing until
// its context ends.
type stuck struct {
	*Blob
	cancel context.CancelFunc
}

func (b stuck) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	rc, err := b.Blob.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	head := io.LimitReader(rc, max(0, b.Desc.Size/2-r.Off))
	wait := readFunc(func([]byte) (int, error) {
		b.cancel()
		<-ctx.Done()
		return 0, context.Cause(ctx)
	})
	return io.NopCloser(io.MultiReader(head, wait)), nil
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
