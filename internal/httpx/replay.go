package httpx

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// Replay sends a request again when it failed and may be sent again: it has no
// body, or one that can be read from the start, and nothing of an answer was
// delivered. Requests that broke below HTTP and answers 408, 425, 429, 500,
// 502, 503, 504 and 520 to 524 are such failures.
type Replay struct {
	Next    http.RoundTripper
	Tries   int           // at most so many times
	Backoff time.Duration // as for [Backoff]
	MaxWait time.Duration // an answer that asks to wait longer is handed on

	// Again is told before a request is sent once more: what it got, an answer, whose
	// body is gone, or an error, and for how long is waited. It returns when the request
	// may go on, or why it may not. nil is nobody.
	Again func(req *http.Request, resp *http.Response, err error, pause time.Duration) error

	answered sync.Map // hosts that have answered
}

// RoundTrip implements [http.RoundTripper].
func (r *Replay) RoundTrip(req *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		resp, err := r.send(req)
		if try >= r.tries(req) || !r.again(req, resp, err) {
			return resp, err
		}
		pause := Backoff(r.Backoff, try)
		if resp != nil {
			if _, asked := RetryAfter(resp.Header, time.Now()); asked || resp.StatusCode == http.StatusTooManyRequests {
				pause = 0 // the host's gate is closed for everybody
			}
		}
		if err := r.rest(req, resp, err, pause); err != nil {
			return nil, err
		}
		if req, err = Rewind(req); err != nil {
			return nil, err
		}
	}
}

// rest gives back what came and returns when the request may go on, or why it may not.
func (r *Replay) rest(req *http.Request, resp *http.Response, err error, pause time.Duration) error {
	if resp != nil {
		Drain(resp.Body)
	}
	if r.Again != nil {
		if err := r.Again(req, resp, err, pause); err != nil {
			return err
		}
	}
	return Wait(req.Context(), pause)
}

// tries gives a host that never answered one second chance only: its name or
// port may be wrong, and nobody wants to wait for that.
func (r *Replay) tries(req *http.Request) int {
	if _, known := r.answered.Load(req.URL.Host); known {
		return r.Tries
	}
	return min(r.Tries, 2)
}

func (r *Replay) send(req *http.Request) (*http.Response, error) {
	resp, err := r.Next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	r.answered.Store(req.URL.Host, true)
	limit, whole := req.Context().Value(wholeKey{}).(int64)
	if !whole || resp.ContentLength > limit {
		return resp, nil // what is too much is not waited for
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("answer broke off after %d bytes: %w", len(body), err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func (r *Replay) again(req *http.Request, resp *http.Response, err error) bool {
	if marked(req.Context(), onceKey{}) || !CanRewind(req) {
		return false
	}
	if err != nil {
		return req.Context().Err() == nil && !IsPermanent(err)
	}
	if wait, asked := RetryAfter(resp.Header, time.Now()); asked && wait > r.MaxWait {
		return false
	}
	return IsTemporary(resp.StatusCode)
}

// IsTemporary reports whether an answer's status is worth another try.
func IsTemporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return status >= 520 && status <= 524 // of a well-known CDN: the origin failed
}

// IsPermanent reports whether trying again cannot help: the name does not
// exist, the certificate is wrong, the address is forbidden, the host speaks
// another protocol.
func IsPermanent(err error) bool {
	var (
		refused *RefusedError
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		record  tls.RecordHeaderError
		told    interface{ Permanent() bool }
	)
	switch {
	case errors.As(err, &refused), errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &record):
		return true
	case errors.As(err, &dns):
		return dns.IsNotFound
	case errors.As(err, &told):
		return told.Permanent()
	}
	return errors.Is(err, http.ErrSchemeMismatch) || errors.Is(err, context.Canceled)
}

// CanRewind reports whether a request can be sent twice.
func CanRewind(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// Rewind returns a copy of req with its body at the start.
func Rewind(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.GetBody == nil {
		return again, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("read the request's body again: %w", err)
	}
	again.Body = body
	return again, nil
}

// Backoff returns how long to wait after the nth failure in a row: anything up
// to first, doubled from failure to failure up to half a minute. The whole span
// is drawn from, so that many who failed together do not come back together.
func Backoff(first time.Duration, n int) time.Duration {
	const longest = 30 * time.Second
	span := longest
	n = max(n, 1)
	if n < 16 && first < longest>>(n-1) {
		span = first << (n - 1)
	}
	if span <= 0 {
		return 0
	}
	return rand.N(span) //nolint:gosec // jitter, not a secret
}

// Drain closes a body after reading the little that lets its connection be used again.
func Drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10) // what cannot be read costs a connection, no more
	_ = body.Close()
}
