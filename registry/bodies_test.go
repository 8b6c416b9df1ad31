package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

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

// Who was refused while others are at work waits for one of them, however long that
// takes, and does not ask in vain until it gives up.
func TestARefusedBlobWaitsForOneOfThoseThatFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bears, readers, long = 2, 5, time.Hour
		raw := random(1000, 1)
		var mu sync.Mutex
		flowing, refused := 0, 0
		repo, err := answering(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if flowing == bears {
				refused++
				return answered(req, http.StatusTooManyRequests)
			}
			flowing++
			resp, err := answered(req, http.StatusOK, "Content-Length", strconv.Itoa(len(raw)))
			resp.Body, resp.ContentLength = io.NopCloser(&lasting{
				Reader: *bytes.NewReader(raw), takes: long,
				over: func() { mu.Lock(); defer mu.Unlock(); flowing-- },
			}), int64(len(raw))
			return resp, err
		}).client().Repository("r.example", "app")
		if err != nil {
			t.Fatal(err)
		}
		var g errgroup.Group
		for range readers {
			g.Go(func() error {
				rc, err := repo.Open(t.Context(), descriptorOf(raw), content.Range{})
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, rc)
				return errors.Join(err, rc.Close())
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if refused > readers {
			t.Errorf("%d requests were refused, want one each of those that were too many", refused)
		}
	})
}

// A lasting body takes its time, and tells when all of it was read.
type lasting struct {
	bytes.Reader

	takes time.Duration
	over  func()
}

func (l *lasting) Read(p []byte) (int, error) {
	if l.takes > 0 {
		<-time.After(l.takes)
		l.takes = 0
	}
	n, err := l.Reader.Read(p)
	if n > 0 && l.Len() == 0 {
		l.over()
	}
	return n, err
}
