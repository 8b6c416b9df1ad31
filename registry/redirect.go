package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/wherry-dev/wherry/internal/httpx"
)

// redirects remembers where the requests for blobs were led, so that each span of a
// blob does not cost the registry a request. One that leads nowhere any more,
// because the URL was signed for some time only, is forgotten.
type redirects struct {
	mu    sync.Mutex
	known map[string]*url.URL // by what the registry was asked for
}

const mostRedirects = 256 // remembered of one host

func (r *redirects) get(asked string) *url.URL {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[asked]
}

func (r *redirects) put(asked string, to *url.URL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= mostRedirects {
		r.known = map[string]*url.URL{}
	}
	r.known[asked] = to
}

func (r *redirects) forget(asked string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, asked)
}

// getBlob sends a request for a span of a blob: to where one for the same blob was
// led before, or where that is of no use any more to the host.
func (h *host) getBlob(ctx context.Context, req *http.Request) (*http.Response, error) {
	asked := req.URL.String()
	if to := h.redirects.get(asked); to != nil {
		if resp := h.getAt(ctx, to, req.Header); resp != nil {
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx) // it was not the host that ended it
		}
		h.redirects.forget(asked)
	}
	resp, err := h.send(req)
	if err == nil {
		h.heedBody(req, resp)
	}
	if err == nil && resp.StatusCode/100 == 2 && resp.Request.Response != nil && h.answers(AskForURL) {
		h.redirects.put(asked, resp.Request.URL)
	}
	return resp, err
}

// getAt asks for a span where the host led to before: nobody has credentials
// there. It returns nil where the answer is of no use.
func (h *host) getAt(ctx context.Context, to *url.URL, header http.Header) *http.Response {
	req, err := h.request(httpx.Once(httpx.Anonymous(ctx)), call{method: http.MethodGet, url: to, header: header})
	if err != nil {
		return nil
	}
	resp, err := h.send(req)
	if err != nil {
		return nil
	}
	h.heedBody(req, resp)
	if !fits(resp, header.Get("Range")) {
		httpx.Drain(resp.Body)
		return nil
	}
	return resp
}

// fits reports whether an answer may have the span that was asked for: that of a
// URL that ran out may be a web page that says so.
func fits(resp *http.Response, asked string) bool {
	switch {
	case resp.StatusCode/100 != 2 || mediaTypeOf(resp.Header) == "text/html":
		return false
	case resp.StatusCode != http.StatusPartialContent:
		return true
	}
	got, err := parseContentRange(resp.Header.Get("Content-Range"))
	return err == nil && strings.HasPrefix(asked, fmt.Sprintf("bytes=%d-", got.first))
}
