package testregistry_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/internal/testregistry"
)

// A response is an answer with its body read.
type response struct {
	status int
	header http.Header
	body   string
	err    error // from reading the body
}

// A caller speaks plain HTTP to one registry, follows nothing and unpacks nothing.
type caller struct {
	t      *testing.T
	url    string
	client *http.Client
}

func call(t *testing.T, r *testregistry.Registry) caller {
	t.Helper()
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return caller{t, r.URL(), &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// try sends "METHOD path" with "Key: value" headers and a body, and returns the error of the exchange.
func (c caller) try(line, body string, headers ...string) (response, error) {
	c.t.Helper()
	method, path, _ := strings.Cut(line, " ")
	if strings.HasPrefix(path, "/") {
		path = c.url + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, h := range headers {
		if h == "" {
			continue
		}
		key, value, _ := strings.Cut(h, ": ")
		req.Header.Set(key, value)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	var content bytes.Buffer
	_, err = io.Copy(&content, resp.Body)
	return response{resp.StatusCode, resp.Header, content.String(), err}, nil
}

// do is try for exchanges that must work and end with want.
func (c caller) do(want int, line, body string, headers ...string) response {
	c.t.Helper()
	resp, err := c.try(line, body, headers...)
	if err != nil {
		c.t.Fatalf("%s: %v", line, err)
	}
	if resp.status != want {
		c.t.Fatalf("%s: status %d, want %d: %s", line, resp.status, want, resp.body)
	}
	return resp
}

func (a response) has(t *testing.T, key, want string) {
	t.Helper()
	if got := a.header.Get(key); got != want {
		t.Errorf("%s is %q, want %q", key, got, want)
	}
}
