package transfer

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

func TestSpliceLeavesOtherBytesAlone(t *testing.T) {
	raw := `{ "x": [1,  2], "manifests" : [ {"a":1}, {"b" : 2},{"c":3} ],"annotations":{"manifests":"no"} }`
	got, err := splice([]byte(raw), []entry{{at: 1}})
	want := `{ "x": [1,  2], "manifests" : [{"b" : 2}],"annotations":{"manifests":"no"} }`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// counted is a blob that counts how often it is opened.
type counted struct {
	content.Blob
	mu    sync.Mutex
	opens int
}

func (b *counted) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	b.mu.Lock()
	b.opens++
	b.mu.Unlock()
	return b.Blob.Open(ctx, r)
}

func bigBlob(t *testing.T) (*counted, string) {
	t.Helper()
	data := strings.Repeat("wherry ", 1<<20)
	d := ocispec.Descriptor{Digest: digest.FromString(data), Size: int64(len(data))}
	src := &content.Memory{}
	if _, err := src.PutBlob(t.Context(), stringBlob{d, data}); err != nil {
		t.Fatal(err)
	}
	return &counted{Blob: content.NewBlob(src, d)}, data
}

type stringBlob struct {
	d    ocispec.Descriptor
	data string
}

func (b stringBlob) Descriptor() ocispec.Descriptor { return b.d }

func (b stringBlob) Open(context.Context, content.Range) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(b.data)), nil
}

func readBranch(ctx context.Context, l *branch) (string, error) {
	rc, err := l.Open(ctx, content.Range{})
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(rc)
	return string(got), errors.Join(err, rc.Close())
}

// A secondSink is what the second of two sinks does with its branch.
type secondSink func(ctx context.Context, l *branch) error

func readsAll(ctx context.Context, l *branch) error {
	_, err := readBranch(ctx, l)
	return err
}

func wantsNothing(context.Context, *branch) error { return nil }

func givesUp(ctx context.Context, l *branch) error {
	rc, err := l.Open(ctx, content.Range{})
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, rc, 1000)
	return errors.Join(err, rc.Close())
}

func wantsAPart(ctx context.Context, l *branch) error {
	rc, err := l.Open(ctx, content.Range{Off: 7})
	if err != nil {
		return err
	}
	return rc.Close()
}

func comesLate(ctx context.Context, l *branch) error {
	if err := waitFor(ctx, 2*fanGrace); err != nil {
		return err
	}
	return readsAll(ctx, l)
}

func fallsBehind(ctx context.Context, l *branch) error {
	rc, err := l.Open(ctx, content.Range{})
	if err != nil {
		return err
	}
	if err := waitFor(ctx, 2*fanPatience); err != nil {
		return err
	}
	got, err := io.ReadAll(rc)
	if int64(len(got)) != l.Descriptor().Size {
		err = errors.Join(err, errors.New("bytes are missing"))
	}
	return errors.Join(err, rc.Close())
}

func TestFan(t *testing.T) {
	tests := []struct {
		name   string
		second secondSink
		opens  int
	}{
		{"two sinks that read share one reading", readsAll, 1},
		{"a sink that wants nothing holds nobody up", wantsNothing, 1},
		{"a sink that gives up midway holds nobody up", givesUp, 1},
		{"a sink that wants a part reads on its own", wantsAPart, 2},
		{"a sink that makes up its mind too late reads on its own", comesLate, 2},
		{"a sink that falls behind goes on on its own", fallsBehind, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if opens := fanOut(t, test.second); opens != test.opens {
					t.Errorf("the source was opened %d times, want %d", opens, test.opens)
				}
			})
		})
	}
}

// fanOut gives a blob to a sink that reads it all and to a second one, and
// returns how often the source was opened.
func fanOut(t *testing.T, second secondSink) int {
	t.Helper()
	blob, data := bigBlob(t)
	f := newFan(blob, 2)
	var wg sync.WaitGroup
	wg.Go(func() { f.pump(t.Context()) })
	wg.Go(func() {
		defer f.leave(f.branches[0])
		if got, err := readBranch(t.Context(), f.branches[0]); err != nil || got != data {
			t.Errorf("first sink: %d bytes, %v", len(got), err)
		}
	})
	wg.Go(func() {
		defer f.leave(f.branches[1])
		if err := second(t.Context(), f.branches[1]); err != nil {
			t.Errorf("second sink: %v", err)
		}
	})
	wg.Wait()
	return blob.opens
}

func waitFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
