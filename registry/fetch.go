package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// Fetch opens the file at an http or https URL that the user named: it is no blob of
// a registry, and nobody's credential is shown for it. Proxies, certificates that are
// trusted, limits and waits are those of its host; redirects are followed as those of
// registries are, to https once it was https and to no address nearer than the host's
// own. The URL may have no user name. Errors are of type *[Error], of reading too;
// what breaks off is not gone on with.
func (c *Client) Fetch(ctx context.Context, address string) (io.ReadCloser, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Opaque != "":
		return nil, fmt.Errorf("not an http or https URL: %w", content.ErrInvalid)
	case u.User != nil:
		return nil, fmt.Errorf("the URL of %s holds user information: %w", u.Host, content.ErrInvalid)
	}
	h, err := c.fileHost(u)
	if err != nil {
		return nil, err
	}
	resp, err := h.do(httpx.Anonymous(ctx), call{method: http.MethodGet, url: u}) //nolint:bodyclose // check closes what is no file, and the caller what is
	if err != nil {
		return nil, err
	}
	if err := h.check(resp, http.StatusOK); err != nil {
		return nil, err
	}
	return &fetched{resp.Body, h, resp.Request}, nil
}

// fileHost returns the host of u, apart from what is known of it as a registry: it
// may be one with another scheme.
func (c *Client) fileHost(u *url.URL) (*host, error) {
	c.init()
	name := u.Host
	if err := checkHost(name); err != nil {
		return nil, err
	}
	settings, err := c.hostSettings(HostName(name))
	if err != nil {
		return nil, err
	}
	h := &host{client: c, name: name, settings: settings, keychain: c.Keychain}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := h.open(); err != nil {
		return nil, err
	}
	h.authority = name // Docker Hub's own is that of its website
	h.settle(u.Scheme)
	return h, nil
}

// A fetched body gives its errors the class of a request that failed.
type fetched struct {
	io.ReadCloser

	h   *host
	req *http.Request
}

// Read implements [io.Reader].
func (f *fetched) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = f.h.transportError(f.req, err)
	}
	return n, err
}
