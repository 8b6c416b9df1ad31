package registry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

// A gatheredBlob is opened only when so many want to put it.
type gatheredBlob struct {
	*madeBlob
	all *sync.WaitGroup
}

func (b gatheredBlob) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	b.all.Wait()
	return b.madeBlob.Open(ctx, r)
}

func TestABlobIsSentOnceHoweverManyWantItThereAtOnce(t *testing.T) {
	raw := random(1<<20, 30)
	one := []string{"app", "app", "app", "app"}
	several := []string{"a", "a", "b", "b", "c", "c"}
	tests := []struct {
		name         string
		config       testregistry.Config
		repositories []string
		fails        int // of those who send
		sent         int64
		stored       int
		mounted      int
	}{
		{"in one repository", testregistry.Config{}, one, 0, 1, 1, 0},
		{"in one repository, after one who cannot read it", testregistry.Config{}, one, 1, 1, 1, 0},
		{"in several that mount", testregistry.Config{}, several, 0, 1, 1, 2},
		{"in several that do not", testregistry.Config{NoMount: true}, several, 0, 3, 3, 0},
		{"in several that refuse it", testregistry.Config{Quirks: []testregistry.Quirk{{Name: "mount-403"}}}, several, 0, 3, 3, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, tt.config)
			outcomes, failed := putAtOnce(t, server, raw, tt.repositories, tt.fails)
			if outcomes[content.Stored] != tt.stored || outcomes[content.Mounted] != tt.mounted || failed > tt.fails {
				t.Errorf("%v, %d failed; want %d stored and %d mounted", outcomes, failed, tt.stored, tt.mounted)
			}
			if sent := server.BlobBytesReceived(); failed == 0 && sent != tt.sent<<20 {
				t.Errorf("%d bytes were sent, want %d times the blob", sent, tt.sent)
			}
			if n := server.Count(testregistry.Is(http.MethodHead, testregistry.KindBlob)); n > len(tt.repositories) {
				t.Errorf("%d times HEAD", n)
			}
			checkUploads(t, server, 0)
		})
	}
}

// putAtOnce puts raw into all of these repositories, each as a run of its own does. The first fails cannot be read.
func putAtOnce(t *testing.T, server *testregistry.Registry, raw []byte, to []string, fails int) (map[content.Outcome]int, int) {
	t.Helper()
	c := client(t)
	var all, done sync.WaitGroup
	var mu sync.Mutex
	outcomes, failed := map[content.Outcome]int{}, 0
	broken := errors.New("the disk is on fire")
	all.Add(len(to))
	for i, name := range to {
		repo, blob := repository(t, c, server, name), made(raw)
		if i < fails {
			blob.fails = broken
		}
		done.Go(func() {
			all.Done()
			outcome, err := repo.PutBlob(t.Context(), gatheredBlob{blob, &all})
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
			switch {
			case errors.Is(err, broken):
				failed++
			case err != nil:
				t.Error(err)
			}
		})
	}
	done.Wait()
	return outcomes, failed
}

func TestNobodyWaitsForAnUploadLongerThanItsContext(t *testing.T) {
	raw := random(1<<20, 31)
	server := testregistry.Start(t, testregistry.Config{})
	repo := repository(t, client(t), server, "app")
	held := make(chan struct{})
	begun := make(chan struct{})
	server.SetFaults(fault{Method: http.MethodPut, Kind: testregistry.KindUpload, Effect: testregistry.Hold, Release: held, Hit: func() { close(begun) }})
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := repo.PutBlob(t.Context(), made(raw)); err != nil {
			t.Error(err)
		}
	})
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := repo.PutBlob(ctx, made(raw)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
	close(held)
	first.Wait()
}
