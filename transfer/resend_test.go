package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

// A phantom is a place that says so many times of a blob that it has it, and refuses manifests whose blobs it lacks.
type phantom struct {
	*content.Memory
	mu        sync.Mutex
	pretends  map[digest.Digest]int
	blobs     map[digest.Digest]int // puts
	manifests map[digest.Digest]int
}

func (p *phantom) Has(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pretends[d.Digest] > 0 {
		p.pretends[d.Digest]--
		return true, nil
	}
	return p.Memory.Has(ctx, d)
}

func (p *phantom) PutBlob(ctx context.Context, b content.Blob) (content.Outcome, error) {
	p.mu.Lock()
	p.blobs[b.Descriptor().Digest]++
	p.mu.Unlock()
	return p.Memory.PutBlob(ctx, b)
}

func (p *phantom) PutManifest(ctx context.Context, m content.Manifest, names ...string) error {
	p.mu.Lock()
	p.manifests[m.Digest()]++
	p.mu.Unlock()
	for _, d := range m.Blobs() {
		if there, err := p.Memory.Has(ctx, d); err != nil || !there {
			return errors.Join(err, fmt.Errorf("blob %s is unknown: %w", d.Digest, content.ErrConflict))
		}
	}
	return p.Memory.PutManifest(ctx, m, names...)
}

// PutNewNames hides that of Memory, which knows nothing of phantoms.
func (p *phantom) PutNewNames(ctx context.Context, m content.Manifest, names ...string) ([]string, error) {
	return nil, p.PutManifest(ctx, m, names...)
}

// names is what becomes of those that the destination has.
type names bool

const (
	overwrite names = false
	keep      names = true
)

// receive copies an app there.
func (p *phantom) receive(t *testing.T, existing names) (*transfer.Result, error) {
	t.Helper()
	src := &maker{t: t}
	src.app("v1")
	var c transfer.Copier
	target := transfer.Target{Name: "dst", Sink: p, Names: []string{"v1"}, KeepNames: bool(existing)}
	plan, err := c.Plan(t.Context(), transfer.Job{Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{target}})
	if err != nil {
		t.Fatal(err)
	}
	return c.Run(t.Context(), plan)
}

func TestBlobsThatTheDestinationLostAreMovedAgainOnce(t *testing.T) {
	shared := digest.FromString("shared") // by two children, which are written side by side
	tests := []struct {
		name     string
		pretends int
		keep     names
		want     error
		puts     int // of the blob
	}{
		{"told to be there once", 1, overwrite, nil, 1},
		{"under a name that is left alone where it exists", 1, keep, nil, 1},
		{"told to be there for ever", 1000, overwrite, content.ErrConflict, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dst := &phantom{
				Memory: &content.Memory{}, pretends: map[digest.Digest]int{shared: tt.pretends},
				blobs: map[digest.Digest]int{}, manifests: map[digest.Digest]int{},
			}
			r, err := dst.receive(t, tt.keep)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if n := dst.blobs[shared]; n != tt.puts {
				t.Errorf("the blob was moved %d times, want %d", n, tt.puts)
			}
			if n := slices.Max(slices.Collect(maps.Values(dst.manifests))); n > 2 {
				t.Errorf("a manifest was put %d times", n)
			}
			got := r.Images[0].Targets[0]
			if tt.want == nil && (got.Stored != len(dst.blobs) || got.Existed != 0) {
				t.Errorf("%d stored, %d existed; want %d and none", got.Stored, got.Existed, len(dst.blobs))
			}
		})
	}
}
