package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry"
)

func TestNoMoreBlobsFlowAtOnceThanTheSettingsAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs := map[string][]byte{}
		asked := 0
		c := answering(func(req *http.Request) (*http.Response, error) {
			asked++
			raw := blobs[req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:]]
			resp, err := answered(req, http.StatusOK, "Content-Length", strconv.Itoa(len(raw)))
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
			return resp, err
		}).client()
		own := &registry.Host{Concurrency: 2}
		c.Hosts = func(string) (*registry.Host, error) { return own, nil }
		repo, err := c.Repository("r.example", "app")
		if err != nil {
			t.Fatal(err)
		}
		open := func(ctx context.Context, seed uint64) (io.ReadCloser, error) {
			raw := random(1000, seed)
			d := descriptorOf(raw)
			blobs[d.Digest.String()] = raw
			return repo.Open(ctx, d, content.Range{})
		}
		var flowing []io.ReadCloser
		for seed := range uint64(2) {
			rc, err := open(t.Context(), seed)
			if err == nil {
				defer rc.Close()
				_, err = io.CopyN(io.Discard, rc, 500)
			}
			if err != nil {
				t.Fatal(err)
			}
			flowing = append(flowing, rc)
		}

		ctx, cancel := context.WithCancel(t.Context())
		third := make(chan error)
		try := func(ctx context.Context) {
			_, err := open(ctx, 2)
			third <- err
		}
		go try(ctx)
		synctest.Wait()
		cancel()
		if err := <-third; !errors.Is(err, context.Canceled) || asked != 2 {
			t.Errorf("a third: error %v after %d requests, want that of its context and 2", err, asked)
		}

		go try(t.Context())
		synctest.Wait()
		if asked != 2 {
			t.Errorf("%d requests, want 2", asked)
		}
		// What has been read to its end makes room, closed or not.
		_, rerr := io.Copy(io.Discard, flowing[0])
		if err := errors.Join(rerr, <-third); err != nil || asked != 3 {
			t.Errorf("a third with room for it: error %v after %d requests", err, asked)
		}
	})
}
