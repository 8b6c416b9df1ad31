package transfer

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// A link is what a connection to a host is like.
type link struct {
	delay time.Duration // round trip
	each  float64       // bytes a second of one connection
	total float64       // of all together; 0 is no cap
	most  int           // connections at once, beyond which it answers 429; 0 is no limit
	queue int           // connections at once, beyond which it does not answer; 0 is no limit
	grain int64         // bytes that come at once; 0 is as out of a socket
	cold  time.Duration // that answers to the last fiftieth take longer

	own    bool // that limit is one of our settings
	shuts  bool // after it has refused once it refuses all
	plain  bool // gives no spans
	counts bool // gives numbers in place of zeros
	gone   bool // cannot be asked
	dead   bool // breaks before the first byte
}

// Of few large pieces one more or less would make a rate that is measured for a moment
// another one.
const usualGrain = 32 << 10

// A simulated host gives a blob of zeros over a line that is a matter of
// arithmetic. It is to be used under synctest, where its time costs none.
type simulated struct {
	link
	name string

	mu      sync.Mutex
	open    int // connections that are giving
	asked   int
	refused int
	peak    int
	gave    int64
	blamed  int
}

func (h *simulated) Host() string { return h.name }

func (h *simulated) Blame(context.Context, ocispec.Descriptor, error) { h.blamed++ }

func (h *simulated) Manifest(context.Context, string) (content.Manifest, error) {
	return content.Manifest{}, content.ErrNotFound
}

func (h *simulated) Replicas(context.Context, ocispec.Descriptor) []content.Replica {
	return []content.Replica{h}
}

func (h *simulated) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	off, n, err := r.Resolve(d.Size)
	if err != nil {
		return nil, err
	}
	if h.gone {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.asked++
		return nil, fmt.Errorf("no route: %w", content.ErrUnavailable)
	}
	if h.plain && n < d.Size {
		return nil, fmt.Errorf("span: %w", errors.ErrUnsupported)
	}
	wait := 2 * h.delay // a connection, and the first byte
	if off > d.Size-d.Size/50 {
		wait += h.cold
	}
	if err := httpx.Wait(ctx, wait); err != nil {
		return nil, err
	}
	if err := h.await(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	if h.most > 0 && h.open >= h.most || h.shuts && h.refused > 0 {
		h.refused++
		if h.own {
			return nil, fmt.Errorf("too many: %w", content.ErrOwnLimit)
		}
		return nil, fmt.Errorf("too many: %w", content.ErrRateLimited)
	}
	h.open++
	h.peak = max(h.peak, h.open)
	return &simulatedBody{h: h, ctx: ctx, off: off, end: off + n}, nil
}

func (h *simulated) Insist(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	return h.Open(ctx, d, r)
}

// await waits until one more connection is answered.
func (h *simulated) await(ctx context.Context) error {
	for {
		h.mu.Lock()
		full := h.queue > 0 && h.open >= h.queue
		h.mu.Unlock()
		if !full {
			return nil
		}
		if err := httpx.Wait(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

type simulatedBody struct {
	h        *simulated
	ctx      context.Context //nolint:containedctx // that of Open
	off, end int64
	closed   bool
}

func (b *simulatedBody) Read(p []byte) (int, error) {
	if b.off == b.end {
		return 0, io.EOF
	}
	if b.h.dead {
		return 0, io.ErrUnexpectedEOF
	}
	n := min(int64(len(p)), b.end-b.off, cmp.Or(b.h.grain, usualGrain))
	if err := httpx.Wait(b.ctx, b.h.piece(n)); err != nil {
		return 0, err
	}
	clear(p[:n])
	if b.h.counts {
		numbered(p[:n], b.off)
	}
	b.off += n
	return int(n), nil
}

// piece returns how long n bytes take now.
func (h *simulated) piece(n int64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	rate := h.each
	if h.total > 0 {
		rate = min(rate, h.total/float64(h.open))
	}
	h.gave += n
	return time.Duration(float64(n) / rate * float64(time.Second))
}

func (b *simulatedBody) Close() error {
	b.h.mu.Lock()
	defer b.h.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.h.open--
	}
	return nil
}

// numbered fills p with what a host that counts has from byte off on: the number
// of each eight bytes.
func numbered(p []byte, off int64) {
	for i := 0; i < len(p); {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], uint64((off+int64(i))/8))
		i += copy(p[i:], word[(off+int64(i))%8:])
	}
}

// zeros is a descriptor of so many zeros; nobody checks its digest here.
func zeros(size int64) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromString(fmt.Sprint("zeros ", size)), Size: size}
}

// A receiver is a place that knows which bytes came.
type receiver struct {
	mu    sync.Mutex
	there content.Spans
	bytes int64
}

func (r *receiver) WriteAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.there = r.there.Add(content.Range{Off: off, Len: int64(len(p))})
	r.bytes += int64(len(p))
	return len(p), nil
}
