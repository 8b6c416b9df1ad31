package kept

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/transfer"
)

// asChild is the variable that makes the test binary be a process of a test.
const asChild = "WHERRY_KEPT_TEST_CHILD"

// children are what a child process can be: each works on the store at PATH some
// TIMES, and is number N.
var children = map[string]func(ctx context.Context, path string, times, n int) error{
	"tags":  tagMany,
	"pulls": pullMany,
}

func TestMain(m *testing.M) {
	if do, ok := children[os.Getenv(asChild)]; ok {
		if err := asked(do, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// asked reads the arguments of a child process and does what they say.
func asked(do func(ctx context.Context, path string, times, n int) error, args []string) error {
	times, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	return do(context.Background(), args[0], times, n)
}

// child returns a process that does what children has under name.
func child(t *testing.T, name, path string, times, n int) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, path, strconv.Itoa(times), strconv.Itoa(n))
	cmd.Env = append(os.Environ(), asChild+"="+name, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

// bring pulls image number n of the world, with what refers to it, and calls it name.
func bring(ctx context.Context, s *layout.Store, w *world, n int, name string) error {
	root := w.roots[n%len(w.roots)].String()
	var c transfer.Copier
	plan, err := c.Plan(ctx, transfer.Job{
		Name: name, Src: &w.registry, Ref: root, Filter: transfer.Filter{Referrers: true},
		Dst: []transfer.Target{{Name: "store", Sink: s, Names: []string{name}}},
	})
	if err != nil {
		return err
	}
	result, err := c.Run(ctx, plan)
	if err == nil {
		err = result.Err()
	}
	return errors.Join(err, plan.Close())
}

func tagName(process, n int) string { return fmt.Sprintf("team/app-%d:v%d", process, n) }

// tagMany gives names to an image that is there, each as a run of its own.
func tagMany(ctx context.Context, path string, times, process int) error {
	for n := range times {
		s, err := layout.OpenStore(path)
		if err != nil {
			return err
		}
		d, err := s.Resolve(ctx, "base:1")
		if err == nil {
			err = s.Tag(ctx, d, tagName(process, n))
		}
		if err := errors.Join(err, s.Close()); err != nil {
			return err
		}
	}
	return nil
}

func TestEightProcessesLoseNoneOfTheirTags(t *testing.T) {
	const processes = 8
	w, path, times := newWorld(), filepath.Join(inMemory(t), "store"), max(12, tenth(100))
	s, err := layout.OpenStore(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(bring(t.Context(), s, w, 1, "base:1"), s.Close()); err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for i := range processes {
		g.Go(child(t, "tags", path, times, i).Run)
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if s, err = layout.OpenStore(path); err != nil {
		t.Fatal(err)
	}
	for i := range processes {
		for n := range times {
			if d, err := s.Holder(t.Context(), tagName(i, n)); err != nil || d.Digest != w.roots[1] {
				t.Errorf("%s is %s, %v", tagName(i, n), d.Digest, err)
			}
		}
	}
	images, err := s.Images(t.Context())
	if err := errors.Join(err, s.Close()); err != nil || len(images) != 1 || len(images[0].Names) != processes*times+1 {
		t.Errorf("listed are %v, %v", images, err)
	}
}

// pullMany pulls one image again and again. For as long as a run lasts all that it
// relies on is there, whoever removes the image meanwhile.
func pullMany(ctx context.Context, path string, times, process int) error {
	w := newWorld() //nolint:contextcheck // it is made in memory
	for range times {
		s, err := layout.OpenStore(path)
		if err != nil {
			return err
		}
		err = bring(ctx, s, w, 3, fmt.Sprintf("app:%d", process))
		if err == nil {
			err = lacks(ctx, s, w, 3)
		}
		if err := errors.Join(err, s.Close()); err != nil {
			return err
		}
	}
	return nil
}

// lacks says what of image number n is not there, or is not right.
func lacks(ctx context.Context, s *layout.Store, w *world, n int) error {
	todo := []content.Manifest{w.manifests[w.roots[n]]}
	for len(todo) > 0 {
		m := todo[0]
		todo = todo[1:]
		if got, err := s.Manifest(ctx, m.Digest().String()); err != nil || got.Digest() != m.Digest() {
			return fmt.Errorf("manifest %s is %s: %w", m.Digest(), got.Digest(), err)
		}
		for _, d := range m.Blobs() {
			rc, err := s.Open(ctx, d, content.Range{})
			if err != nil {
				return err
			}
			raw, err := io.ReadAll(rc)
			if err := errors.Join(err, rc.Close()); err != nil || string(raw) != string(w.bytes[d.Digest]) {
				return fmt.Errorf("blob %s has %d bytes: %w", d.Digest, len(raw), err)
			}
		}
		for _, d := range m.Children() {
			todo = append(todo, w.manifests[d.Digest])
		}
	}
	return nil
}

func TestManyProcessesPullWhatAnotherRemoves(t *testing.T) {
	w, path := newWorld(), filepath.Join(inMemory(t), "store")
	s, err := layout.OpenStore(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(bring(t.Context(), s, w, 3, "app:0"), s.Close()); err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for i := range 2 {
		g.Go(child(t, "pulls", path, tenth(200), i).Run)
	}
	pulled := make(chan error, 1)
	go func() { pulled <- g.Wait() }()
	removed := 0
	for done := false; !done; {
		select {
		case err := <-pulled:
			if done = true; err != nil {
				t.Fatal(err)
			}
		default:
			gone, err := removeOnce(t.Context(), path, w)
			if err != nil {
				t.Fatal(err)
			}
			removed += gone
		}
	}
	if removed == 0 {
		t.Error("nothing was removed meanwhile")
	}
	if _, err := removeOnce(t.Context(), path, w); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(path, "blobs", "sha256"))
	if err != nil || len(left) > 0 {
		t.Errorf("%d blobs are left, %v", len(left), err)
	}
}

// removeOnce takes image number 3 away, if it is there, and all that is not
// needed. It returns how many blobs went.
func removeOnce(ctx context.Context, path string, w *world) (removed int, err error) {
	s, err := layout.OpenStore(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	o := layout.CollectOptions{Grace: -1}
	image, err := s.Find(ctx, w.roots[3].String())
	if err == nil {
		o.Forget = append(o.Forget, image.Root.Digest)
		_, err = s.RemoveImage(ctx, image.Root.Digest, image.Names)
	}
	if err != nil && !errors.Is(err, content.ErrNotFound) && !errors.Is(err, content.ErrConflict) {
		return 0, err
	}
	got, err := s.Collect(ctx, o)
	return len(got.Removed), err
}
