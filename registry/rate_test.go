package registry_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// zeros is a body without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
func (zeros) Close() error               { return nil }

// spanOfZeros answers with what a request asks for of a blob of that many zeros.
func spanOfZeros(req *http.Request, size int64) (*http.Response, error) {
	resp, err := answered(req, http.StatusOK)
	resp.ContentLength, resp.Body = size, zeros{}
	from, to, ranged := strings.Cut(strings.TrimPrefix(req.Header.Get("Range"), "bytes="), "-")
	if !ranged {
		return resp, err
	}
	first, _ := strconv.ParseInt(from, 10, 64)
	last, _ := strconv.ParseInt(to, 10, 64)
	resp.StatusCode, resp.ContentLength = http.StatusPartialContent, last-first+1
	resp.Header.Set("Content-Range", "bytes "+from+"-"+to+"/"+strconv.FormatInt(size, 10))
	return resp, err
}

// readAway reads a span.
func readAway(t *testing.T, src content.Source, d ocispec.Descriptor, span content.Range) {
	t.Helper()
	rc, err := src.Open(t.Context(), d, span)
	if err == nil {
		_, err = io.Copy(io.Discard, rc)
		_ = rc.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

// One rate is for all hosts, and for whole blobs and spans on whatever
// connections alike.
func TestTheRateHoldsForAllOfAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, size = 1 << 20, 4 << 20
		c := answering(func(req *http.Request) (*http.Response, error) { return spanOfZeros(req, size) }).client()
		c.LimitRate = rate
		d := ocispec.Descriptor{Digest: descriptorOf(nil).Digest, Size: size}
		began := time.Now()
		var wg sync.WaitGroup
		for _, host := range []string{"a.example", "b.example"} {
			repo, err := c.Repository(host, "app")
			if err != nil {
				t.Fatal(err)
			}
			for _, span := range []content.Range{{}, {Off: size / 2}, {Off: size / 4, Len: size / 4}} {
				wg.Go(func() { readAway(t, repo, d, span) })
			}
		}
		wg.Wait()
		const all = 2 * (size + size/2 + size/4)
		if took, want := time.Since(began), all/rate*time.Second; took < want*95/100 || took > want*105/100 {
			t.Errorf("%d bytes took %s, want about %s", all, took, want)
		}
	})
}
