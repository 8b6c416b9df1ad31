package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

// A fleet is a source of many images that it makes up when they are asked for, and
// a sink that takes all of them and keeps nothing.
type fleet struct {
	layers int // of each image its own
	opaque int // bytes of each manifest, where they are of a type that nobody knows

	mu   sync.Mutex
	read map[string]int // how often each was
	put  int
	hook func(put int) // called with each manifest that is put
}

func (f *fleet) Manifest(_ context.Context, ref string) (content.Manifest, error) {
	f.mu.Lock()
	f.read[ref]++
	f.mu.Unlock()
	if f.opaque > 0 {
		return content.ParseManifest("application/vnd.example.notes", append(bytes.Repeat([]byte(" "), f.opaque), ref...), content.Limits{})
	}
	blob := func(i int) ocispec.Descriptor {
		name := fmt.Sprintf("%s/%d", ref, i)
		if i >= f.layers {
			name = fmt.Sprintf("shared/%d", i)
		}
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString(name), Size: int64(1000 + i)}
	}
	m := ocispec.Manifest{
		Versioned: versioned, MediaType: ocispec.MediaTypeImageManifest,
		Config: blob(0),
	}
	m.Config.MediaType = ocispec.MediaTypeImageConfig
	for i := range f.layers + 1 {
		m.Layers = append(m.Layers, blob(i+1))
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return content.Manifest{}, err
	}
	return content.ParseManifest(m.MediaType, raw, content.Limits{})
}

func (*fleet) Open(_ context.Context, d ocispec.Descriptor, _ content.Range) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(zeros{}, d.Size)), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func (*fleet) Has(context.Context, ocispec.Descriptor) (bool, error) { return false, nil }

func (*fleet) PutBlob(ctx context.Context, b content.Blob) (content.Outcome, error) {
	rc, err := b.Open(ctx, content.Range{})
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, rc)
	return content.Stored, errors.Join(err, rc.Close())
}

func (f *fleet) PutManifest(_ context.Context, m content.Manifest, _ ...string) error {
	if digest.FromBytes(m.Raw()) != m.Digest() {
		return errors.New("other bytes than were read")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put++
	if f.hook != nil {
		f.hook(f.put)
	}
	return nil
}

func (f *fleet) jobs(n int) []transfer.Job {
	var jobs []transfer.Job
	for i := range n {
		tag := fmt.Sprintf("v%d", i)
		jobs = append(jobs, transfer.Job{Name: tag, Src: f, Ref: tag, Dst: []transfer.Target{{Name: "there", Sink: f, Names: []string{tag}}}})
	}
	return jobs
}

// live returns the bytes of what is in use.
func live() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func spoolIn(t *testing.T) func() (transfer.File, error) {
	t.Helper()
	return func() (transfer.File, error) { return os.CreateTemp(t.TempDir(), "spool") }
}

func TestAPlanTakesTwoKiBABlobAtMost(t *testing.T) {
	many := 500
	if os.Getenv("WHERRY_SOAK") != "" {
		many = 10_000
	}
	for _, tt := range []struct {
		name   string
		images int
		fleet  *fleet
		most   int64 // bytes of memory
	}{
		{"many images of five blobs of their own", many, &fleet{layers: 5}, int64(many) * 5 * (2 << 10)},
		{"large manifests", 24, &fleet{opaque: 1 << 20}, 16 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			planned, running := tt.fleet.copied(t, tt.images)
			most := max(planned, running)
			t.Logf("%d KiB when planned, %d KiB in the middle of the run, %d bytes an image", planned>>10, running>>10, most/int64(tt.images))
			if most > tt.most {
				t.Errorf("%d KiB are in use, want %d at most", most>>10, tt.most>>10)
			}
			for ref, n := range tt.fleet.read {
				if n != 1 {
					t.Fatalf("%s was read %d times", ref, n)
				}
			}
			if tt.fleet.put != tt.images {
				t.Errorf("%d manifests were put, want %d", tt.fleet.put, tt.images)
			}
		})
	}
}

// copied copies so many images and returns what is in use for it after planning
// and in the middle of the run.
func (f *fleet) copied(t *testing.T, images int) (planned, running int64) {
	t.Helper()
	f.read = map[string]int{}
	jobs := f.jobs(images)
	before := live()
	c := transfer.Copier{Spool: spoolIn(t)}
	plan, err := c.Plan(t.Context(), jobs...)
	if err != nil {
		t.Fatal(err)
	}
	planned = live() - before
	f.hook = func(put int) {
		if put == images/2 {
			running = live() - before
		}
	}
	_, err = c.Run(t.Context(), plan)
	if err := errors.Join(err, plan.Close()); err != nil {
		t.Fatal(err)
	}
	return planned, running
}
