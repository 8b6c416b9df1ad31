package cli

import (
	"context"
	"io"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/transfer"
)

const (
	readingLeast = 1 << 20 // bytes; what is smaller is there before it is shown

	blobToldEvery = 100 * time.Millisecond // from one BlobProgress of a blob to the next
	paceToldEvery = 500 * time.Millisecond // from one RunProgress to the next
)

// A reading shows how far blobs of registries are read, as a copy is shown. It is safe for
// concurrent use, and must be closed.
type reading struct {
	mu       sync.Mutex
	open     func() term.Progress // nil when it is closed
	progress term.Progress        // nil until there is something to show
	began    time.Time
	told     time.Time // how far all has come
	total    int64     // bytes that were asked for so far
	done     int64     // bytes that have come
}

// reading returns what shows how blobs are read.
func (f *Factory) reading() (*reading, error) {
	mode, err := f.progressMode()
	if err != nil {
		return nil, err
	}
	return &reading{open: func() term.Progress { return term.NewProgress(f.Err, mode) }}, nil
}

// watched returns p, of which r shows what is read. What is on disk is there at once.
func (p *place) watched(r *reading) *place {
	if _, remote := content.As[content.Originer](p.Source); !remote {
		return p
	}
	src := *p.Source
	src.Source = &watchedSource{p.Source.Source, r}
	return &place{&src, p.at}
}

// Close takes down what is shown. What is read later is not shown.
func (r *reading) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.progress != nil {
		r.progress.Close()
	}
	r.progress, r.open = nil, nil
}

// before returns w, before whose first byte r is closed: bars would be torn by what is
// written to the same terminal.
func (r *reading) before(w io.Writer) io.Writer { return &alone{w: w, reading: r} }

// An alone is a writer that closes a reading first.
type alone struct {
	w       io.Writer
	reading *reading
}

// Write implements [io.Writer].
func (a *alone) Write(p []byte) (int, error) {
	a.reading.Close()
	return a.w.Write(p)
}

// begin says that d, whose size is that of what is asked for, is read.
func (r *reading) begin(d ocispec.Descriptor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.progress == nil && r.open != nil {
		r.progress, r.began = r.open(), time.Now()
		r.told = r.began
	}
	r.total += d.Size
	r.observe(transfer.Event{Kind: transfer.BlobStarted, Desc: d})
}

// came says that n more bytes have come.
func (r *reading) came(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += n
}

// tell says that there are so many bytes of d now and, every now and then, how far all
// of it has come.
func (r *reading) tell(d ocispec.Descriptor, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observe(transfer.Event{Kind: transfer.BlobProgress, Desc: d, Bytes: bytes})
	now := time.Now()
	if now.Sub(r.told) < paceToldEvery {
		return
	}
	r.told = now
	r.observe(transfer.Event{Kind: transfer.RunProgress, Pace: &transfer.Pace{
		Total: r.total, Done: r.done, Speed: float64(r.done) / now.Sub(r.began).Seconds(),
	}})
}

// end says that no more of d is read.
func (r *reading) end(d ocispec.Descriptor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observe(transfer.Event{Kind: transfer.BlobDone, Desc: d})
}

func (r *reading) observe(e transfer.Event) {
	if r.progress != nil {
		r.progress.Observe(e)
	}
}

// A watchedSource is a source that tells a reading of the large blobs that are read.
type watchedSource struct {
	content.Source

	reading *reading
}

// Unwrap lets [content.As] find what the source can do.
func (s *watchedSource) Unwrap() any { return s.Source }

// Open implements [content.Source].
func (s *watchedSource) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	_, n, err := r.Resolve(d.Size)
	if err != nil || n < readingLeast {
		return s.Source.Open(ctx, d, r)
	}
	asked := ocispec.Descriptor{Digest: d.Digest, Size: n}
	s.reading.begin(asked)
	rc, err := s.Source.Open(ctx, d, r)
	if err != nil {
		s.reading.end(asked)
		return nil, err
	}
	return &watchedReader{ReadCloser: rc, reading: s.reading, asked: asked}, nil
}

// A watchedReader is what is read of one blob.
type watchedReader struct {
	io.ReadCloser

	reading *reading
	asked   ocispec.Descriptor
	bytes   int64
	told    time.Time
	closed  sync.Once
}

// Read implements [io.Reader].
func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.bytes += int64(n)
	w.reading.came(int64(n))
	if time.Since(w.told) >= blobToldEvery {
		w.told = time.Now()
		w.reading.tell(w.asked, min(w.bytes, w.asked.Size))
	}
	return n, err
}

// Close implements [io.Closer].
func (w *watchedReader) Close() error {
	w.closed.Do(func() { w.reading.end(w.asked) })
	return w.ReadCloser.Close()
}
