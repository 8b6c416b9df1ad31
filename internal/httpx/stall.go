package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/content"
)

// ErrStalled is a connection on which nothing moved for too long. Its class is
// [content.ErrUnavailable].
var ErrStalled = fmt.Errorf("connection stalled: %w", content.ErrUnavailable)

// Below slowest, in bytes per second, a body counts as stalled although it
// trickles: on average over slowOver, which is looked at every slowEvery.
const (
	slowest   = 1 << 10
	slowOver  = time.Minute
	slowEvery = 10 * time.Second
)

// Stall breaks off what does not move: where nothing comes, or is taken, for
// Limit, or less than a KiB a second over a minute. Time counts only while the
// network is waited for, so that a slow other side is not blamed.
//
// The answer's first byte has Limit. Registries store and hash before they answer
// to a body: that has as long again as this takes them, and where what was sent
// before is put together, ten times Limit.
type Stall struct {
	Next  http.RoundTripper
	Limit time.Duration
}

// RoundTrip implements [http.RoundTripper].
func (s Stall) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{limit: s.Limit, ctxErr: func() error { return context.Cause(ctx) }}
	w.timer = time.AfterFunc(s.answerLimit(req), func() { cancel(ErrStalled) })
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sendingBody{ReadCloser: req.Body, watch: w, last: s.answerLimit(req), cancel: cancel}
	}
	resp, err := s.Next.RoundTrip(req)
	w.stop()
	if err != nil {
		defer cancel(nil)
		return nil, w.explain(err)
	}
	resp.Body = &receivingBody{body: resp.Body, watch: w, cancel: cancel}
	return resp, nil
}

// storing is the rate, in bytes per second, at which a slow registry stores.
const storing = 5 << 20

func (s Stall) answerLimit(req *http.Request) time.Duration {
	switch {
	case req.Method != http.MethodPut && req.Method != http.MethodPatch && req.Method != http.MethodPost:
		return s.Limit
	case req.ContentLength > 0:
		return s.Limit + time.Duration(float64(req.ContentLength)/storing*float64(time.Second))
	case req.Method == http.MethodPost:
		return s.Limit
	}
	return 10 * s.Limit // a session is closed, or how much is sent is not known
}

type watch struct {
	limit  time.Duration
	ctxErr func() error

	mu    sync.Mutex
	timer *time.Timer
	done  bool
}

func (w *watch) start(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done {
		w.timer.Reset(d)
	}
}

func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
}

// stop ends the watch of the request: net/http may go on reading its body after
// the answer came.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	w.timer.Stop()
}

func (w *watch) explain(err error) error {
	if errors.Is(w.ctxErr(), ErrStalled) {
		return ErrStalled
	}
	return err
}

// An average is how fast a body was over the last minute of waiting for it.
type average struct {
	parts []part // the last one is being added to
	all   part
}

type part struct {
	waited time.Duration
	bytes  int64
}

// add notes n bytes that were waited for so long, and reports whether that is
// too slow by now.
func (a *average) add(waited time.Duration, n int64) (slow bool) {
	if last := len(a.parts) - 1; last < 0 || a.parts[last].waited >= slowEvery {
		a.parts = append(a.parts, part{})
	}
	last := &a.parts[len(a.parts)-1]
	for _, p := range []*part{last, &a.all} {
		p.waited += waited
		p.bytes += n
	}
	for first := a.parts[0]; a.all.waited-first.waited >= slowOver; first = a.parts[0] {
		a.all.waited -= first.waited
		a.all.bytes -= first.bytes
		a.parts = append(a.parts[:0], a.parts[1:]...)
	}
	return a.all.waited >= slowOver && float64(a.all.bytes) < slowest*a.all.waited.Seconds()
}

// sendingBody is timed between its reads: that is when net/http writes.
type sendingBody struct {
	io.ReadCloser
	watch  *watch
	last   time.Duration
	cancel context.CancelCauseFunc

	given   int64 // by the last read
	at      time.Time
	average average
}

func (b *sendingBody) Read(p []byte) (int, error) {
	b.watch.pause()
	if b.given > 0 && b.average.add(time.Since(b.at), b.given) {
		b.cancel(ErrStalled)
		return 0, ErrStalled
	}
	n, err := b.ReadCloser.Read(p)
	b.given, b.at = int64(n), time.Now()
	if err != nil {
		b.watch.start(b.last)
		return n, err
	}
	b.watch.start(b.watch.limit)
	return n, nil
}

// receivingBody is timed while a read is pending.
type receivingBody struct {
	body    io.ReadCloser
	watch   *watch
	cancel  context.CancelCauseFunc
	average average
}

func (b *receivingBody) Read(p []byte) (int, error) {
	began := time.Now()
	b.watch.timer.Reset(b.watch.limit)
	n, err := b.body.Read(p)
	b.watch.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		return n, b.watch.explain(err)
	}
	if b.average.add(time.Since(began), int64(n)) && err == nil {
		b.cancel(ErrStalled)
		return n, ErrStalled
	}
	return n, err
}

func (b *receivingBody) Close() error {
	b.watch.timer.Stop()
	err := b.body.Close()
	b.cancel(nil)
	return err
}
