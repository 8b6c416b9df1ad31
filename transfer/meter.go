package transfer

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// progressEvery is how often one blob's progress is told at most.
const progressEvery = 100 * time.Millisecond

// A meter is a blob that tells how far its bytes have come, and says of its
// errors that they are the source's.
type meter struct {
	content.Blob
	copier *Copier

	mu      sync.Mutex
	started bool
	high    int64 // the furthest byte read, however often it was read
	told    time.Time
}

// Unwrap shows the abilities of the blob.
func (m *meter) Unwrap() any { return m.Blob }

// Open opens the blob and watches what is read.
func (m *meter) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	m.start()
	d := m.Descriptor()
	rc, err := m.Blob.Open(ctx, r)
	if err != nil {
		return nil, at(Src, OpOpen, d, err)
	}
	return &meteredReader{ReadCloser: rc, meter: m, desc: d, off: r.Off}, nil
}

func (m *meter) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started {
		return
	}
	m.started = true
	m.copier.observe(Event{Kind: BlobStarted, Desc: m.Descriptor()})
}

// reached notes that the bytes before off have been read once.
func (m *meter) reached(off int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.Descriptor()
	if off <= m.high {
		return
	}
	m.high = min(off, d.Size)
	if m.high < d.Size && time.Since(m.told) < progressEvery {
		return
	}
	m.told = time.Now()
	m.copier.observe(Event{Kind: BlobProgress, Desc: d, Bytes: m.high})
}

type meteredReader struct {
	io.ReadCloser
	meter *meter
	desc  ocispec.Descriptor
	off   int64
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.off += int64(n)
	if n > 0 {
		r.meter.reached(r.off)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = at(Src, OpRead, r.desc, err)
	}
	return n, err
}
