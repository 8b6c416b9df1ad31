package registry

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/internal/outside"
)

// again tells the trace of ctx that something is asked of the host once more,
// after reason. Where t names no host it is this one.
func (h *host) again(ctx context.Context, t content.Retry, reason error) {
	t.Host = cmp.Or(t.Host, h.name)
	t.Reason = &maskedError{reason, outside.Printable(h.secrets.mask(plainly(reason)), 160)}
	content.TraceOf(ctx).Again(t)
}

// replays tells the trace of a request that it is sent once more, after an answer
// or an error. One for a blob that was too much for the host goes on when there is
// one less.
func (h *host) replays(req *http.Request, resp *http.Response, err error, pause time.Duration) error {
	tooMany := false
	if resp != nil {
		tooMany = h.heedBody(req, resp)
		asked, _ := httpx.RetryAfter(resp.Header, time.Now())
		pause = max(pause, asked)
		err = &Error{Method: req.Method, URL: h.locate(req), Status: resp.StatusCode, RetryAfter: asked}
	}
	h.again(req.Context(), content.Retry{Host: (&gated{host: h}).name(req.URL), Wait: pause}, err)
	if !tooMany {
		return nil
	}
	return h.bodies.yield(req.Context())
}

// counter returns what counts the bytes of blobs that the host gives.
func (h *host) counter(ctx context.Context) func(n int64) {
	trace := content.TraceOf(ctx)
	return func(n int64) {
		h.served.Add(n)
		trace.Got(h.name, n)
	}
}

// plainly says what failed in few words: for people who do not ask where.
func plainly(err error) string {
	if status := statusOf(err); status != 0 {
		return strconv.Itoa(status) + " " + http.StatusText(status)
	}
	for _, known := range []struct {
		err  error
		text string
	}{
		{httpx.ErrStalled, "connection stalled"},
		{errSlow, "too slow"},
		{syscall.ECONNRESET, "connection reset"},
		{syscall.ECONNREFUSED, "connection refused"},
		{syscall.EPIPE, "connection closed"},
		{io.ErrUnexpectedEOF, "connection closed too early"},
		{io.EOF, "connection closed"},
	} {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	return err.Error()
}
