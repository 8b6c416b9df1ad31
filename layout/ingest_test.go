package layout

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

func ingestOf(t *testing.T, l *Layout, b *countedBlob) content.Ingest {
	t.Helper()
	in, err := l.Ingest(t.Context(), b.d)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func write(t *testing.T, in content.Ingest, b *countedBlob, spans ...content.Range) {
	t.Helper()
	for _, s := range spans {
		if n, err := in.WriteAt(b.raw[s.Off:s.Off+s.Len], s.Off); int64(n) != s.Len || err != nil {
			t.Fatalf("WriteAt(%v) = %d, %v", s, n, err)
		}
	}
}

func TestSpansComeInAnyOrderFromManyAtOnce(t *testing.T) {
	l := created(t)
	const size, piece = 20 << 20, 64 << 10
	b := counted("", noise(4, size))
	in := ingestOf(t, l, b)
	var spans []content.Range
	for off := int64(0); off < size; off += piece {
		spans = append(spans, content.Range{Off: off, Len: piece})
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
	var g errgroup.Group
	for part := range slices.Chunk(spans, len(spans)/4) {
		g.Go(func() error {
			for _, s := range part {
				if _, err := in.WriteAt(b.raw[s.Off:s.Off+s.Len], s.Off); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := errors.Join(g.Wait(), in.Commit(t.Context()), in.Close()); err != nil {
		t.Fatal(err)
	}
	if got := in.Done(); !slices.Equal(got, []content.Range{{Len: size}}) {
		t.Errorf("Done = %v", got)
	}
	if has, err := l.Has(t.Context(), b.d); !has || err != nil {
		t.Errorf("Has = %t, %v", has, err)
	}
	if left := strays(t, l.disk.path); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

func TestBytesThatAreWrittenAgainAreHashedAgain(t *testing.T) {
	const size = 4 << 20
	b := counted("", noise(8, size))
	for name, last := range map[string]byte{"right in the end": b.raw[100], "wrong in the end": b.raw[100] + 1} {
		t.Run(name, func(t *testing.T) {
			l := created(t)
			in := ingestOf(t, l, b)
			if _, err := in.WriteAt([]byte{b.raw[100] + 2}, 100); err != nil {
				t.Fatal(err)
			}
			write(t, in, b, content.Range{Len: 100}, content.Range{Off: 101, Len: 2 << 20}, content.Range{Off: 2<<20 + 101, Len: 2<<20 - 101})
			if _, err := in.WriteAt([]byte{last}, 100); err != nil {
				t.Fatal(err)
			}
			err := in.Commit(t.Context())
			if right := last == b.raw[100]; (err == nil) != right || !right && !errors.Is(err, content.ErrCorrupt) {
				t.Errorf("Commit = %v", err)
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestACommitThatIsCutShortCanBeMadeAgain(t *testing.T) {
	b := counted("", noise(8, 3<<20))
	l := created(t)
	in := ingestOf(t, l, b)
	write(t, in, b, content.Range{Off: 1 << 20, Len: 2 << 20}, content.Range{Len: 1 << 20})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := in.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit = %v", err)
	}
	if err := errors.Join(in.Commit(t.Context()), in.Close()); err != nil {
		t.Error(err)
	}
}

func TestAnIngestGoesOn(t *testing.T) {
	b := counted("", noise(6, 1000))
	spans := []content.Range{{Off: 100, Len: 100}, {Off: 500, Len: 500}}
	l := created(t)
	in := ingestOf(t, l, b)
	write(t, in, b, spans...)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if has, err := l.Has(t.Context(), b.d); has || err != nil {
		t.Errorf("Has = %t, %v", has, err)
	}
	again := ingestOf(t, closed(t)(Create(l.disk.path)), b)
	if got := again.Done(); !slices.Equal(got, spans) {
		t.Errorf("Done = %v, want %v", got, spans)
	}
	write(t, again, b, content.Range{Len: 100}, content.Range{Off: 200, Len: 300})
	if err := errors.Join(again.Commit(t.Context()), again.Close()); err != nil {
		t.Error(err)
	}
}

func TestPutBlobFillsTheHolesOfAnIngestAndAnIngestThoseOfPutBlob(t *testing.T) {
	b := counted("", noise(6, 1000))
	l := created(t)
	in := ingestOf(t, l, b)
	write(t, in, b, content.Range{Len: 300}, content.Range{Off: 500, Len: 400})
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	s := &scripted{b, []func([]byte) io.Reader{cut(400), right}}
	if _, err := l.PutBlob(t.Context(), s); !errors.Is(err, errCut) {
		t.Errorf("PutBlob = %v", err)
	}
	again := ingestOf(t, l, b)
	if got := again.Done(); !slices.Equal(got, []content.Range{{Len: 400}, {Off: 500, Len: 400}}) {
		t.Errorf("Done = %v", got)
	}
	write(t, again, b, content.Range{Off: 420, Len: 40})
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := l.PutBlob(t.Context(), s); got != content.Stored || err != nil {
		t.Errorf("PutBlob = %v, %v", got, err)
	}
	if !slices.Equal(b.opens, []int64{300, 400, 460, 900}) {
		t.Errorf("opened at %d", b.opens)
	}
	if left := strays(t, l.disk.path); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

func TestIngestsThatAreRefused(t *testing.T) {
	b := counted("", noise(6, 1000))
	tests := []struct {
		name  string
		write func(t *testing.T, in content.Ingest)
		want  error
	}{
		{"nothing was written", func(*testing.T, content.Ingest) {}, content.ErrCorrupt},
		{"a hole", func(t *testing.T, in content.Ingest) {
			t.Helper()
			write(t, in, b, content.Range{Len: 400}, content.Range{Off: 401, Len: 599})
		}, content.ErrCorrupt},
		{"a wrong byte", func(t *testing.T, in content.Ingest) {
			t.Helper()
			write(t, in, b, content.Range{Len: 1000})
			if _, err := in.WriteAt([]byte{b.raw[7] + 1}, 7); err != nil {
				t.Error(err)
			}
		}, content.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := created(t)
			in := ingestOf(t, l, b)
			tt.write(t, in)
			if err := in.Commit(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("Commit = %v, want %v", err, tt.want)
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
			if err := in.Commit(t.Context()); !errors.Is(err, content.ErrInvalid) {
				t.Errorf("Commit after Close = %v", err)
			}
			if has, err := l.Has(t.Context(), b.d); has || err != nil {
				t.Errorf("Has = %t, %v", has, err)
			}
			if left := strays(t, l.disk.path); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
		})
	}
}

func TestSpansPastTheEndAreNotWritten(t *testing.T) {
	b := counted("", noise(6, 1000))
	l := created(t)
	in := ingestOf(t, l, b)
	for _, s := range []content.Range{{Off: 999, Len: 2}, {Off: 1000, Len: 1}, {Off: -1, Len: 1}, {Off: 1 << 62, Len: 1}} {
		if n, err := in.WriteAt(make([]byte, s.Len), s.Off); n != 0 || !errors.Is(err, content.ErrInvalid) {
			t.Errorf("WriteAt(%v) = %d, %v", s, n, err)
		}
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if left := strays(t, l.disk.path); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

func TestSpansThatCannotBeTrustedAreForgotten(t *testing.T) {
	b := counted("", noise(6, 1000))
	for name, note := range map[string]string{
		"no JSON": `half`, "not a note": `[]`, "past the end of the file": `{"listed":true,"spans":[{"Off":0,"Len":600}]}`,
		"out of order": `{"listed":true,"spans":[{"Off":300,"Len":10},{"Off":0,"Len":10}]}`, "negative": `{"listed":true,"spans":[{"Off":-5,"Len":10}]}`,
		"overlapping": `{"listed":true,"spans":[{"Off":0,"Len":10},{"Off":5,"Len":10}]}`, "endless": `{"listed":true,"spans":[{"Off":5,"Len":9223372036854775807}]}`,
		"safe past the end": `{"safe":[{"Off":0,"Len":501}]}`, "of another boot": `{"listed":true,"spans":[{"Off":0,"Len":400}],"boot":"another"}`,
	} {
		t.Run(name, func(t *testing.T) {
			l := created(t)
			put(t, l, anImage(t, "makes the folders"))
			partial := filepath.Join(l.disk.path, l.disk.partial(b.d.Digest))
			if err := errors.Join(os.WriteFile(partial, b.raw[:500], 0o644), os.WriteFile(partial+spansEnd, summed(note), 0o644)); err != nil {
				t.Fatal(err)
			}
			in := ingestOf(t, l, b)
			if got := in.Done(); len(got) != 0 {
				t.Errorf("Done = %v", got)
			}
			write(t, in, b, content.Range{Len: 1000})
			if err := errors.Join(in.Commit(t.Context()), in.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// summed returns a note with its sum before it.
func summed(note string) []byte {
	return fmt.Appendf(nil, "%08x %s", crc32.ChecksumIEEE([]byte(note)), note)
}

func TestAnIngestOfWhatIsThere(t *testing.T) {
	l := created(t)
	for _, size := range []int{0, 1000} {
		b := counted("", noise(6, size))
		if _, err := l.PutBlob(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		in := ingestOf(t, l, b)
		missing := size
		for _, s := range in.Done() {
			missing -= int(s.Len)
		}
		if missing != 0 {
			t.Errorf("Done = %v", in.Done())
		}
		if err := errors.Join(in.Commit(t.Context()), in.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestAnIngestKeepsOthersWaiting(t *testing.T) {
	synctest.Test(t, anIngestKeepsOthersWaiting)
}

func anIngestKeepsOthersWaiting(t *testing.T) {
	t.Helper()
	l := created(t)
	b := counted("", noise(6, 1000))
	in := ingestOf(t, l, b)
	var once sync.Once
	waiting := make(chan struct{})
	other := closed(t)(Create(l.disk.path))
	other.Wait = func(Waiting) { once.Do(func() { close(waiting) }) }
	var g errgroup.Group
	g.Go(func() error {
		got, err := other.PutBlob(t.Context(), b)
		if got != content.Existed {
			t.Errorf("PutBlob = %v, %v", got, err)
		}
		return err
	})
	<-waiting
	write(t, in, b, content.Range{Len: 1000})
	if err := errors.Join(in.Commit(t.Context()), in.Close(), g.Wait()); err != nil {
		t.Error(err)
	}
}
