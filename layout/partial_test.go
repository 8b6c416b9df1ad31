package layout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

func TestAPartialThatCannotBeEmptiedIsNotReadAgain(t *testing.T) {
	l := closed(t)(Create(filepath.Join(t.TempDir(), "layout")))
	b := counted("", []byte("right"))
	name := filepath.Join(t.TempDir(), "partial")
	if err := os.WriteFile(name, []byte("wrong"), 0o400); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name) // to read only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	p := &partial{k: l.disk, d: b.Descriptor(), f: f, sum: sha256.New(), done: content.Spans{{Len: 5}}}
	err = p.fill(t.Context(), &begunBlob{Blob: b})
	if err == nil || errors.Is(err, content.ErrCorrupt) || len(b.opens) > 0 {
		t.Errorf("error %v after %d opens, want one that is no corrupt content", err, len(b.opens))
	}
}

// A scripted blob gives, each time it is opened, the next of its answers: what
// it would give from its start.
type scripted struct {
	*countedBlob
	answers []func(raw []byte) io.Reader
}

func (b *scripted) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	n := len(b.opens)
	if _, err := b.countedBlob.Open(ctx, r); err != nil {
		return nil, err
	}
	rd := b.answers[min(n, len(b.answers)-1)](b.raw)
	if _, err := io.CopyN(io.Discard, rd, r.Off); err != nil {
		return nil, err
	}
	if r.Len > 0 {
		rd = io.LimitReader(rd, r.Len)
	}
	return io.NopCloser(rd), nil
}

var errCut = errors.New("the line is cut")

func right(raw []byte) io.Reader { return bytes.NewReader(raw) }

func cut(at int) func(raw []byte) io.Reader {
	return func(raw []byte) io.Reader {
		return io.MultiReader(bytes.NewReader(raw[:at]), iotest.ErrReader(errCut))
	}
}

func flipped(at int) func(raw []byte) io.Reader {
	return func(raw []byte) io.Reader {
		raw = bytes.Clone(raw)
		raw[at] ^= 1
		return bytes.NewReader(raw)
	}
}

func longer(raw []byte) io.Reader { return io.MultiReader(bytes.NewReader(raw), bytes.NewReader(raw)) }

func TestPutBlobGoesOnAndStartsAnew(t *testing.T) {
	const size = 1 << 20
	corrupt := content.ErrCorrupt
	tests := []struct {
		name    string
		answers []func(raw []byte) io.Reader
		partial func(raw []byte) []byte // what lies there before
		errs    []error                 // of one PutBlob after the other
		opens   []int64
	}{
		{"all at once", []func([]byte) io.Reader{right}, nil, []error{nil}, []int64{0}},
		{"cut twice", []func([]byte) io.Reader{cut(1000), cut(700_000), right}, nil, []error{errCut, errCut, nil}, []int64{0, 1000, 700_000}},
		{"cut before the first byte", []func([]byte) io.Reader{cut(0), right}, nil, []error{errCut, nil}, []int64{0, 0}},
		{"cut after the last byte", []func([]byte) io.Reader{cut(size)}, nil, []error{errCut, nil}, []int64{0}},
		{"a wrong byte once", []func([]byte) io.Reader{flipped(7), right}, nil, []error{nil}, []int64{0, 0}},
		{"a wrong byte in what came before", []func([]byte) io.Reader{right}, func(raw []byte) []byte { raw[3]++; return raw[:5000] }, []error{nil}, []int64{5000, 0}},
		{"wrong bytes that came before, all of them", []func([]byte) io.Reader{right}, func(raw []byte) []byte { raw[3]++; return raw }, []error{nil}, []int64{0}},
		{"all bytes came before", []func([]byte) io.Reader{right}, func(raw []byte) []byte { return raw }, []error{nil}, nil},
		{"more than all bytes came before", []func([]byte) io.Reader{right}, func(raw []byte) []byte { return append(raw, 1) }, []error{nil}, []int64{0}},
		{"a wrong byte every time", []func([]byte) io.Reader{flipped(7)}, nil, []error{corrupt, corrupt}, []int64{0, 0, 0, 0}},
		{"too long every time", []func([]byte) io.Reader{longer}, nil, []error{corrupt}, []int64{0, 0}},
		{"too long after a cut", []func([]byte) io.Reader{cut(10), longer, right}, nil, []error{errCut, nil}, []int64{0, 10, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := created(t)
			b := &scripted{counted("", noise(9, size)), tt.answers}
			if tt.partial != nil {
				put(t, l, anImage(t, "makes the folders"))
				leave(t, l, b, tt.partial(bytes.Clone(b.raw)))
			}
			for _, want := range tt.errs {
				putWant(t, l, b, want)
			}
			if !slices.Equal(b.opens, tt.opens) {
				t.Errorf("opened at %d, want %d", b.opens, tt.opens)
			}
			if left := strays(t, l.disk.path); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
		})
	}
}

// leave writes the partial file of b.
func leave(t *testing.T, l *Layout, b content.Blob, raw []byte) {
	t.Helper()
	name := filepath.Join(l.disk.path, l.disk.partial(b.Descriptor().Digest))
	if err := os.WriteFile(name, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// putWant stores b, or wants the error.
func putWant(t *testing.T, l *Layout, b content.Blob, want error) {
	t.Helper()
	outcome, err := l.PutBlob(t.Context(), b)
	if !errors.Is(err, want) || (err == nil) != (outcome == content.Stored) {
		t.Errorf("PutBlob = %v, %v; want %v", outcome, err, want)
	}
	if has, herr := l.Has(t.Context(), b.Descriptor()); has != (err == nil) || herr != nil {
		t.Errorf("Has = %t, %v", has, herr)
	}
}

// damages change the file of a blob, in place or as a new file.
var damages = map[string]func(path string, raw []byte) error{
	"a flipped bit": func(path string, raw []byte) error {
		raw[len(raw)/2] ^= 4
		return os.WriteFile(path, raw, 0o644)
	},
	"a flipped bit, and the old times": func(path string, raw []byte) error {
		fi, err := os.Stat(path)
		if err != nil {
			return err
		}
		raw[len(raw)/2] ^= 4
		return errors.Join(os.WriteFile(path, raw, 0o644), os.Chtimes(path, fi.ModTime(), fi.ModTime()))
	},
	"zeros": func(path string, raw []byte) error {
		return os.WriteFile(path, make([]byte, len(raw)), 0o644)
	},
	"cut off": func(path string, raw []byte) error { return os.Truncate(path, int64(len(raw)/2)) },
	"empty":   func(path string, _ []byte) error { return os.Truncate(path, 0) },
	"too long": func(path string, raw []byte) error {
		return os.WriteFile(path, append(raw, 0), 0o644)
	},
	"another file": func(path string, raw []byte) error {
		raw[0] ^= 1
		return errors.Join(os.WriteFile(path+".x", raw, 0o644), os.Rename(path+".x", path))
	},
}

func TestADamagedBlobIsFoundNeverPassedOnAndReplaced(t *testing.T) {
	readers := map[string]func(t *testing.T, writer *Layout) *Layout{
		"the process that wrote it": func(_ *testing.T, writer *Layout) *Layout { return writer },
		"another process": func(t *testing.T, writer *Layout) *Layout {
			t.Helper()
			return closed(t)(Open(writer.disk.path))
		},
		"another process that looks at all": func(t *testing.T, writer *Layout) *Layout {
			t.Helper()
			return closed(t)(Options{Deep: true}.Open(writer.disk.path))
		},
	}
	for name, damage := range damages {
		for who, reader := range readers {
			t.Run(name+", for "+who, func(t *testing.T) {
				im := anImage(t, "a")
				writer := created(t)
				put(t, writer, im, "v1")
				l := reader(t, writer)
				for _, b := range append(im.blobs, memoryBlob{im.m.Descriptor(), im.m.Raw()}) {
					damaged(t, l, b, damage)
				}
				if m, err := l.Manifest(t.Context(), "v1"); err == nil {
					t.Errorf("Manifest = %s", m.Digest())
				}
				put(t, l, im, "v1")
				wantWhole(t, l.disk.path, "v1", im.m.Digest())
			})
		}
	}
}

// change does what changes the file at path, again where a file system whose
// clock is coarse does not show it the first time.
func change(t *testing.T, path string, do func() error) {
	t.Helper()
	stamp := func() string {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := durable.Stamp(fi)
		return s
	}
	for before := stamp(); stamp() == before; {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
}

// damaged damages blob b and wants l to find out.
func damaged(t *testing.T, l *Layout, b memoryBlob, damage func(path string, raw []byte) error) {
	t.Helper()
	if has, err := l.Has(t.Context(), b.d); !has || err != nil {
		t.Fatalf("before: Has = %t, %v", has, err)
	}
	path := filepath.Join(l.disk.path, l.disk.place(b.d.Digest))
	change(t, path, func() error { return damage(path, bytes.Clone(b.raw)) })
	if rc, err := l.Open(t.Context(), b.d, content.Range{Len: 1}); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("Open = %v, %v; want corrupt content", rc, err)
	}
	if has, err := l.Has(t.Context(), b.d); has || err != nil {
		t.Errorf("Has = %t, %v", has, err)
	}
}

func TestABlobThatAnotherToolWroteIsHashedOnce(t *testing.T) {
	l := created(t)
	b := bytesOf("", "theirs")
	put(t, l, anImage(t, "makes the folders"))
	path := filepath.Join(l.disk.path, l.disk.place(b.d.Digest))
	if err := os.WriteFile(path, b.raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(l.disk.path, l.disk.mark(b.d.Digest))); err == nil {
		t.Fatal("it is marked before it was hashed")
	}
	if got, err := l.PutBlob(t.Context(), b); got != content.Existed || err != nil {
		t.Errorf("PutBlob = %v, %v", got, err)
	}
	f, err := l.disk.openBlob(b.d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read from
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	later := closed(t)(Open(l.disk.path))
	if !later.disk.known(b.d.Digest, fi) {
		t.Error("it is not marked")
	}
	deep := closed(t)(Options{Deep: true}.Open(l.disk.path))
	if deep.disk.known(b.d.Digest, fi) {
		t.Error("with Deep the mark counts")
	}
}

func TestReadingALayoutOfAnotherToolLeavesNothingInIt(t *testing.T) {
	l := created(t)
	im := anImage(t, "a")
	put(t, l, im, "v1")
	if err := os.RemoveAll(filepath.Join(l.disk.path, ownDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := whole(t.Context(), l.disk.path, "v1"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(l.disk.path, ownDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder of ours is there: %v", err)
	}
}

// A gated blob is read only when its gate is open.
type gated struct {
	*countedBlob
	reached chan struct{}
	gate    chan struct{}
	once    sync.Once
}

func (b *gated) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	b.once.Do(func() { close(b.reached) })
	select {
	case <-b.gate:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return b.countedBlob.Open(ctx, r)
}

func TestWhoWantsTheSameBlobWaitsAndFindsIt(t *testing.T) {
	synctest.Test(t, whoWantsTheSameBlobWaits)
}

func whoWantsTheSameBlobWaits(t *testing.T) {
	t.Helper()
	l := created(t)
	first := &gated{countedBlob: counted("", noise(3, 100_000)), reached: make(chan struct{}), gate: make(chan struct{})}
	var g errgroup.Group
	g.Go(func() error {
		_, err := l.PutBlob(t.Context(), first)
		return err
	})
	<-first.reached
	waiting := make(chan Waiting, 1)
	other := closed(t)(Create(l.disk.path))
	other.Wait = func(w Waiting) { waiting <- w }
	second := counted("", first.raw)
	g.Go(func() error {
		got, err := other.PutBlob(t.Context(), second)
		if got != content.Existed {
			t.Errorf("the second PutBlob = %v, %v", got, err)
		}
		return err
	})
	want := Waiting{Path: filepath.Join(l.disk.path, l.disk.partial(first.d.Digest)+lockEnd), Blob: first.d.Digest, PID: os.Getpid()}
	if w := <-waiting; w != want {
		t.Errorf("waits: %+v, want %+v", w, want)
	}
	impatient, cancel := context.WithCancel(t.Context())
	third := closed(t)(Create(l.disk.path))
	third.Wait = func(Waiting) { cancel() }
	if got, err := third.PutBlob(impatient, second); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that is cancelled = %v, %v", got, err)
	}
	close(first.gate)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if len(second.opens) != 0 || len(first.opens) != 1 {
		t.Errorf("opened %d and %d times", len(first.opens), len(second.opens))
	}
}

func TestWhoWaitsForTheIndexSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := created(t)
		im := anImage(t, "a")
		put(t, l, im)
		lock, err := durable.Try(l.disk.root, lockFile)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		l.Wait = func(w Waiting) {
			said = append(said, w.String())
			if err := lock.Release(); err != nil {
				t.Error(err)
			}
		}
		if err := l.PutManifest(t.Context(), im.m, "v1"); err != nil {
			t.Error(err)
		}
		want := fmt.Sprintf("waiting for process %d to release %s", os.Getpid(), filepath.Join(l.disk.path, lockFile))
		if len(said) != 1 || said[0] != want {
			t.Errorf("said %q, want %q once", said, want)
		}
	})
}

func TestHashingEndsWithTheContext(t *testing.T) {
	l := created(t)
	b := bytesOf("", "there")
	if _, err := l.PutBlob(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	deep := closed(t)(Options{Deep: true}.Open(l.disk.path))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if has, err := deep.Has(ctx, b.d); !errors.Is(err, context.Canceled) {
		t.Errorf("Has = %t, %v", has, err)
	}
	if _, err := deep.Open(ctx, b.d, content.Range{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
}

func TestFilesAreForOthersToRead(t *testing.T) {
	l := created(t)
	im := anImage(t, "a")
	put(t, l, im, "v1")
	for name, want := range map[string]os.FileMode{
		".": 0o755, blobsDir: 0o755, blobsDir + "/sha256": 0o755, indexFile: 0o644, markerFile: 0o644, l.disk.place(im.m.Digest()): 0o644,
	} {
		fi, err := os.Stat(filepath.Join(l.disk.path, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}
