package transfer_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

// A faulty file takes so many bytes and no more, and gives back other ones where
// it is told to.
type faulty struct {
	*os.File
	room  int64
	spoil bool
}

var errFull = errors.New("no space left on device")

func (f *faulty) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.room {
		return 0, errFull
	}
	return f.File.WriteAt(p, off)
}

func (f *faulty) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if f.spoil {
		p[0] ^= 1
	}
	return n, err
}

// spoolOf opens a file as wrap has it; nil opens none.
func spoolOf(t *testing.T, wrap func(*os.File) (transfer.File, error)) func() (transfer.File, error) {
	t.Helper()
	if wrap == nil {
		return nil
	}
	return func() (transfer.File, error) {
		file, err := os.CreateTemp(t.TempDir(), "spool")
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = file.Close() }) // whoever got it may have closed it
		return wrap(file)
	}
}

func TestManifestsArePutAsideAndComeBackAsTheyWere(t *testing.T) {
	const images, size = 12, 512 << 10
	for _, tt := range []struct {
		name  string
		spool func(*os.File) (transfer.File, error)
		close bool // before the run
		want  error
		put   int // at least
	}{
		{"there is a file", func(f *os.File) (transfer.File, error) { return f, nil }, false, nil, images},
		{"there is no file", nil, false, nil, images},
		{"no file can be had", func(*os.File) (transfer.File, error) { return nil, errFull }, false, nil, images},
		{"the file is full soon", func(f *os.File) (transfer.File, error) { return &faulty{File: f, room: size}, nil }, false, nil, images},
		{"the file gives back other bytes", func(f *os.File) (transfer.File, error) { return &faulty{File: f, room: 1 << 40, spoil: true}, nil }, false, content.ErrCorrupt, 3},
		{"the plan was closed", func(f *os.File) (transfer.File, error) { return f, nil }, true, content.ErrInvalid, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fleet{opaque: size, read: map[string]int{}}
			c := transfer.Copier{Spool: spoolOf(t, tt.spool)}
			plan, err := c.Plan(t.Context(), f.jobs(images)...)
			if err != nil {
				t.Fatal(err)
			}
			if tt.close && plan.Close() != nil {
				t.Error("it cannot be closed")
			}
			if n := len(slices.Collect(plan.Images[0].Digests())); n != 1 {
				t.Errorf("the plan tells of %d manifests, want 1", n)
			}
			_, err = c.Run(t.Context(), plan)
			if !errors.Is(err, tt.want) || f.put < tt.put || tt.want != nil && f.put == images {
				t.Errorf("%d manifests were put, error %v; want %d and %v", f.put, err, tt.put, tt.want)
			}
			if err := plan.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A turned source turns away who comes first, when it is told to, and counts.
type turned struct {
	*maker
	came  atomic.Int32
	first chan struct{} // closed when the first is there
	gone  chan struct{}
}

var errTurned = errors.New("turned away")

func (s *turned) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	if !strings.HasPrefix(ref, "sha256:") {
		return s.maker.Manifest(ctx, ref)
	}
	if s.came.Add(1) == 1 {
		close(s.first)
		<-s.gone
		return content.Manifest{}, errTurned
	}
	return s.maker.Manifest(ctx, ref)
}

// Many tags of one image read it once; where that fails, whoever waited for it
// tries once itself.
func TestWhoWaitedForAManifestThatFailedTriesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &turned{maker: &maker{t: t}, first: make(chan struct{}), gone: make(chan struct{})}
		src.app("v1", "v2", "v3")
		var jobs []transfer.Job
		for _, tag := range []string{"v1", "v2", "v3"} {
			jobs = append(jobs, transfer.Job{Name: tag, Src: src, Ref: tag, Dst: []transfer.Target{{Sink: &content.Memory{}, Names: []string{tag}}}})
		}
		var plan *transfer.Plan
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { plan, err = (&transfer.Copier{}).Plan(t.Context(), jobs...) })
		<-src.first
		synctest.Wait() // the others have come
		close(src.gone)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		failed := 0
		for _, image := range plan.Images {
			if image.Err != nil {
				failed++
				if !errors.Is(image.Err, errTurned) {
					t.Error(image.Err)
				}
			}
		}
		if failed != 1 {
			t.Errorf("%d images failed, want the one that was turned away", failed)
		}
	})
}
