package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"

	"github.com/wherry-dev/wherry/internal/httpx"
)

// A witness settles an open scheme with the first answer in it.
// It stands below the credentials, so that none is sent before.
type witness struct {
	host *host
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. What servers that want TLS say to
// plain http is a 400, and settles nothing.
func (w witness) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(req)
	if err != nil || w.host.settled() != "" || req.URL.Host != w.host.authority {
		return resp, err
	}
	if req.URL.Scheme == "https" || resp.StatusCode != http.StatusBadRequest {
		w.host.settle(req.URL.Scheme)
	}
	return resp, nil
}

// Schemes returns the schemes in which a host of that name, host[:port], is tried,
// the first first: on this machine it is http, elsewhere https.
func (s *Host) Schemes(name string) []string {
	u := url.URL{Host: name}
	loopback := httpx.IsLoopbackHost(u.Hostname())
	switch {
	case s.PlainHTTP:
		return []string{"http"}
	case !s.AllowHTTP && (s.SkipVerify || !loopback):
		return []string{"https"}
	case loopback:
		return []string{"http", "https"}
	}
	return []string{"https", "http"}
}

// sendSettling sends the first request to a host that may speak http or https,
// in one, and in the other where what came back was no answer to it.
func (h *host) sendSettling(req *http.Request) (*http.Response, error) {
	select {
	case h.settling <- struct{}{}:
		defer func() { <-h.settling }()
	case <-req.Context().Done():
		return nil, h.transportError(req, context.Cause(req.Context()))
	}
	if h.settled() != "" || !httpx.CanRewind(req) {
		return h.sendAs(req, h.settled())
	}
	var answer *http.Response // in http, by a server that may want https
	schemes := h.settings.Schemes(h.authority)
	for _, scheme := range schemes {
		resp, err := h.try(req, scheme)
		switch {
		case h.settled() != "":
			discard(answer)
			return h.keep(req, resp, err)
		case forbidsHTTP(err):
			discard(answer)
			return nil, h.transportError(withScheme(req, "https"), err)
		case err == nil:
			answer = resp
		}
	}
	if answer != nil { // a 400 of its own
		h.settle("http")
		return answer, nil
	}
	return h.sendAs(req, schemes[0])
}

// withScheme returns req as it was sent, for messages.
func withScheme(req *http.Request, scheme string) *http.Request {
	sent := req.Clone(req.Context())
	sent.URL.Scheme = scheme
	return sent
}

func discard(resp *http.Response) {
	if resp != nil {
		httpx.Drain(resp.Body)
	}
}

// forbidsHTTP reports whether no plain http is tried after an attempt over TLS
// that failed so: the other side speaks TLS, or it is we who could not.
func forbidsHTTP(err error) bool {
	_, ours := errors.AsType[*rootsError](err)
	return ours || speaksTLS(err)
}

// speaksTLS reports whether a connection failed although the other side speaks
// TLS: its certificate was not trusted, or it sent an alert, which crypto/tls
// tells by the operation alone.
func speaksTLS(err error) bool {
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return true
	}
	failed, ok := errors.AsType[*net.OpError](err)
	return ok && failed.Op == "remote error"
}

// try sends a request once, in a scheme. A connection that was made over TLS
// settles the scheme, whatever comes then: it is after the handshake that a host
// refuses who shows no certificate.
func (h *host) try(req *http.Request, scheme string) (*http.Response, error) {
	ctx := httpx.Once(req.Context())
	if scheme == "https" {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { h.settle("https") }})
	}
	again, err := httpx.Rewind(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	again.URL.Scheme = scheme
	return h.rt.RoundTrip(again)
}

// keep returns the answer that settled the scheme. One that is worth another
// try gets the tries that every request has.
func (h *host) keep(req *http.Request, resp *http.Response, err error) (*http.Response, error) {
	if err != nil && req.Context().Err() == nil && !httpx.IsPermanent(err) {
		return h.sendAs(req, h.settled())
	}
	if err != nil {
		return nil, h.transportError(withScheme(req, h.settled()), err)
	}
	if !httpx.IsTemporary(resp.StatusCode) {
		return resp, nil
	}
	httpx.Drain(resp.Body)
	return h.sendAs(req, h.settled())
}

func (h *host) sendAs(req *http.Request, scheme string) (*http.Response, error) {
	again, err := httpx.Rewind(req)
	if err != nil {
		return nil, err
	}
	if scheme != "" {
		again.URL.Scheme = scheme
	}
	resp, err := h.rt.RoundTrip(again)
	if err != nil {
		return nil, h.transportError(again, err)
	}
	return resp, nil
}
