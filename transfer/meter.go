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

// A meter is a blob that tells how many of its bytes have come, and says of its
// errors that they are the source's.
type meter struct {
	content.Blob
	copier *Copier
	shared bool // what one of its sinks does not ask for another may

	mu      sync.Mutex
	started bool
	there   content.Spans // that have come, however often they came, or were there before
	told    time.Time
}

// Unwrap shows the abilities of the blob.
func (m *meter) Unwrap() any { return m.Blob }

// Open opens the blob and watches what is read.
func (m *meter) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	m.startAt(r.Off)
	d := m.Descriptor()
	rc, err := m.Blob.Open(ctx, r)
	if err != nil {
		return nil, at(Src, OpOpen, d, err)
	}
	return &meteredReader{ReadCloser: rc, meter: m, desc: d, off: r.Off}, nil
}

// startAt says that a sink, which reads in order, wants the blob from byte off on.
func (m *meter) startAt(off int64) {
	m.start(content.Spans{}.Add(content.Range{Len: max(0, min(off, m.Descriptor().Size))}))
}

// start says that the blob is asked for by a sink that has spans of it already.
func (m *meter) start(had content.Spans) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.Descriptor()
	came := m.there.Bytes()
	if !m.shared {
		for _, r := range had {
			m.there = m.there.Add(r)
		}
	}
	there := m.there.Bytes()
	if !m.started {
		m.started = true
		m.copier.observe(Event{Kind: BlobStarted, Desc: d, Bytes: there})
		return
	}
	if key := (blobKey{d.Digest, d.Size}); there > came {
		m.copier.tally.arrived(key, came)
		m.copier.tally.found(key, there)
	}
}

// came notes that span r has come. It may be called by several goroutines at once,
// and for the same bytes again.
func (m *meter) came(r content.Range) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.Descriptor()
	before := m.there.Bytes()
	m.there = m.there.Add(r)
	n := min(m.there.Bytes(), d.Size)
	if n <= before || n < d.Size && time.Since(m.told) < progressEvery {
		return
	}
	m.told = time.Now()
	m.copier.observe(Event{Kind: BlobProgress, Desc: d, Bytes: n})
}

type meteredReader struct {
	io.ReadCloser
	meter *meter
	desc  ocispec.Descriptor
	off   int64
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		r.meter.came(content.Range{Off: r.off, Len: int64(n)})
	}
	r.off += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = at(Src, OpRead, r.desc, err)
	}
	return n, err
}
