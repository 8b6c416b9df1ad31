package httpx

import (
	"context"
	"io"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// Rate slows bodies down to what Down and Up allow. A nil limiter does not
// limit. Several requests share one limiter, and so its rate.
type Rate struct {
	Next     http.RoundTripper
	Down, Up *rate.Limiter // tokens are bytes
}

// NewLimiter returns a limiter of bytes per second, nil where that is not
// positive. It lets the twentieth part of a second pass at once: what is more than
// the rate in any ten seconds is half a percent.
func NewLimiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	const least, most = 4 << 10, 1 << 20
	return rate.NewLimiter(rate.Limit(bytesPerSecond), int(min(max(bytesPerSecond/20, least), most)))
}

// RoundTrip implements [http.RoundTripper].
func (r Rate) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.Up != nil && req.Body != nil && req.Body != http.NoBody {
		slow := *req
		slow.Body = limited(req, req.Body, r.Up)
		req = &slow
	}
	resp, err := r.Next.RoundTrip(req)
	if err != nil || r.Down == nil {
		return resp, err
	}
	resp.Body = limited(req, resp.Body, r.Down)
	return resp, nil
}

// limited makes a body of req's wait for l, and no longer than req lasts.
func limited(req *http.Request, body io.ReadCloser, l *rate.Limiter) io.ReadCloser {
	return &limitedBody{ReadCloser: body, req: req, limiter: l}
}

// pay takes n bytes, at most a burst, off what l allows. Who comes first is
// served first. A context that ends meanwhile gives them back.
func pay(ctx context.Context, l *rate.Limiter, n int) error {
	taken := l.ReserveN(time.Now(), n)
	err := Wait(ctx, taken.Delay())
	if err != nil {
		taken.Cancel()
	}
	return err
}

type limitedBody struct {
	io.ReadCloser
	req     *http.Request
	limiter *rate.Limiter
}

// Read hands on what was read when it is paid for: also the last of it, which
// often comes with the end of the body.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.limiter.Burst())])
	if n == 0 {
		return n, err
	}
	if unpaid := pay(b.req.Context(), b.limiter, n); unpaid != nil {
		return n, unpaid
	}
	return n, err
}
