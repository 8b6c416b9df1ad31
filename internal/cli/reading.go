package cli

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
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
	total    int64     // bytes that have come, and that are still to come of what is read
	done     int64     // bytes that have come

	under map[digest.Digest][]*piece // that are read, of each blob the oldest first
}

// reading returns what shows how blobs are read.
func (f *Factory) reading() (*reading, error) {
	mode, err := f.progressMode()
	if err != nil {
		return nil, err
	}
	return &reading{
		open:  func() term.Progress { return term.NewProgress(f.Err, mode) },
		under: map[digest.Digest][]*piece{},
	}, nil
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

// A piece is what is asked for of a blob in one go: all of it, mostly.
type piece struct {
	asked ocispec.Descriptor // its size is that of the piece
	bytes int64              // that have come
	told  time.Time
}

// begin says that asked, whose size is that of what is asked for, is read.
func (r *reading) begin(asked ocispec.Descriptor) *piece {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.progress == nil && r.open != nil {
		r.progress, r.began = r.open(), time.Now()
		r.told = r.began
	}
	p := &piece{asked: asked}
	r.total += asked.Size
	r.under[asked.Digest] = append(r.under[asked.Digest], p)
	if r.shows(p) {
		r.observe(transfer.Event{Kind: transfer.BlobStarted, Desc: asked})
	}
	return p
}

// shows reports whether p is what is shown of its blob: of several that are read at
// once it is the one that is read for the longest time.
func (r *reading) shows(p *piece) bool {
	pieces := r.under[p.asked.Digest]
	return len(pieces) > 0 && pieces[0] == p
}

// came says that n more bytes of p have come. Every now and then it is told, and how far
// all of it has come.
func (r *reading) came(p *piece, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += n
	p.bytes += n
	now := time.Now()
	if now.Sub(p.told) < blobToldEvery {
		return
	}
	p.told = now
	if r.shows(p) {
		r.observe(transfer.Event{Kind: transfer.BlobProgress, Desc: p.asked, Bytes: min(p.bytes, p.asked.Size)})
	}
	if now.Sub(r.told) < paceToldEvery {
		return
	}
	r.told = now
	r.observe(transfer.Event{Kind: transfer.RunProgress, Pace: &transfer.Pace{
		Total: r.total, Done: r.done, Speed: float64(r.done) / now.Sub(r.began).Seconds(),
	}})
}

// end says that no more of p is read. What has not come is nothing that is waited for:
// whoever needs it asks once more.
func (r *reading) end(p *piece) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total -= max(0, p.asked.Size-p.bytes)
	shown, d := r.shows(p), p.asked.Digest
	r.under[d] = slices.DeleteFunc(r.under[d], func(other *piece) bool { return other == p })
	if !shown {
		return
	}
	r.observe(transfer.Event{Kind: transfer.BlobDone, Desc: p.asked})
	if len(r.under[d]) == 0 {
		delete(r.under, d)
		return
	}
	next := r.under[d][0]
	r.observe(transfer.Event{Kind: transfer.BlobStarted, Desc: next.asked, Bytes: min(next.bytes, next.asked.Size)})
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
	its := s.reading.begin(ocispec.Descriptor{Digest: d.Digest, Size: n})
	rc, err := s.Source.Open(ctx, d, r)
	if err != nil {
		s.reading.end(its)
		return nil, err
	}
	return &watchedReader{ReadCloser: rc, reading: s.reading, its: its}, nil
}

// A watchedReader is one piece of a blob.
type watchedReader struct {
	io.ReadCloser

	reading *reading
	its     *piece
	closed  sync.Once
}

// Read implements [io.Reader].
func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.reading.came(w.its, int64(n))
	return n, err
}

// Close implements [io.Closer].
func (w *watchedReader) Close() error {
	w.closed.Do(func() { w.reading.end(w.its) })
	return w.ReadCloser.Close()
}
