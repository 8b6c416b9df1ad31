package httpx

import (
	"io"
	"net/http"

	"golang.org/x/time/rate"
)

// Rate slows bodies down to what Down and Up allow. A nil limiter does not
// limit. Several requests share one limiter, and so its rate.
type Rate struct {
	Next     http.RoundTripper
	Down, Up *rate.Limiter // tokens are bytes
}

// NewLimiter returns a limiter of bytes per second, nil where that is not positive.
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
	return &limitedBody{ReadCloser: body, burst: l.Burst(), pay: func(n int) error { return l.WaitN(req.Context(), n) }}
}

type limitedBody struct {
	io.ReadCloser
	burst int
	pay   func(n int) error
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.burst)])
	if n == 0 || err != nil {
		return n, err
	}
	return n, b.pay(n)
}
