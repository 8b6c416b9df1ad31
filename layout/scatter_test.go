package layout

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// A scattered blob is read over several connections at once. Each time it is
// asked it gives the next of its answers, which spoils a copy of its bytes and
// says how many of the pieces it was asked for come.
type scattered struct {
	*countedBlob
	answers []func(raw []byte, pieces int) int

	asked  []content.Spans
	closed int
}

const spreadPiece = 64 << 10

func (b *scattered) Spread(ctx context.Context, spans content.Spans) (content.Spread, error) {
	answer := b.answers[min(len(b.asked), len(b.answers)-1)]
	b.asked = append(b.asked, slices.Clone(spans))
	raw := bytes.Clone(b.raw)
	var pieces []content.Range
	for _, s := range spans {
		for off := s.Off; off < s.Off+s.Len; off += spreadPiece {
			pieces = append(pieces, content.Range{Off: off, Len: min(spreadPiece, s.Off+s.Len-off)})
		}
	}
	rnd := rand.New(rand.NewPCG(uint64(len(b.asked)), 5))
	rnd.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	n := answer(raw, len(pieces))
	if n < 0 {
		return nil, errLost
	}
	return &scatteredSpread{b, raw, pieces[:n], n < len(pieces)}, context.Cause(ctx)
}

type scatteredSpread struct {
	b      *scattered
	raw    []byte
	pieces []content.Range
	cut    bool
}

// Scatter writes from four goroutines, every fifth piece twice.
func (s *scatteredSpread) Scatter(w io.WriterAt) error {
	var g errgroup.Group
	for lane := range 4 {
		g.Go(func() error {
			for i := lane; i < len(s.pieces); i += 4 {
				for range 1 + i%5/4 {
					r := s.pieces[i]
					if _, err := w.WriteAt(s.raw[r.Off:r.Off+r.Len], r.Off); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil || !s.cut {
		return err
	}
	return errCut
}

func (s *scatteredSpread) Close() error {
	s.b.closed++
	return nil
}

func comes(_ []byte, pieces int) int     { return pieces }
func halfComes(_ []byte, pieces int) int { return pieces / 2 }
func noneComes([]byte, int) int          { return -1 }

func wrongComes(raw []byte, pieces int) int {
	raw[len(raw)/3] ^= 1
	return pieces
}

func TestABlobThatCanBeReadInAnyOrderIsReadSo(t *testing.T) {
	type answers = []func([]byte, int) int
	tests := []struct {
		name    string
		answers answers
		errs    []error // of one PutBlob after the other
		asked   []int64 // how many bytes, each time
	}{
		{"all at once", answers{comes}, []error{nil}, []int64{2 << 20}},
		{"cut in the middle", answers{halfComes, comes}, []error{errCut, nil}, []int64{2 << 20, 1 << 20}},
		{"cut twice", answers{halfComes, halfComes, comes}, []error{errCut, errCut, nil}, []int64{2 << 20, 1 << 20, 1 << 19}},
		{"not to be had at first", answers{noneComes, comes}, []error{errLost, nil}, []int64{2 << 20, 2 << 20}},
		{"a wrong byte once", answers{wrongComes, comes}, []error{nil}, []int64{2 << 20, 2 << 20}},
		{"a wrong byte every time", answers{wrongComes}, []error{content.ErrCorrupt}, []int64{2 << 20, 2 << 20}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &scattered{countedBlob: counted("", noise(9, 2<<20)), answers: tt.answers}
			putAll(t, b, tt.errs)
			var asked []int64
			for _, spans := range b.asked {
				asked = append(asked, spans.Bytes())
			}
			if !slices.Equal(asked, tt.asked) || len(b.opens) > 0 {
				t.Errorf("asked for %d bytes, want %d; opened at %d", asked, tt.asked, b.opens)
			}
			if begun := len(b.asked) - count(tt.errs, errLost); b.closed != begun {
				t.Errorf("%d of %d are closed", b.closed, begun)
			}
		})
	}
}

// putAll stores b in a new layout as often as there are errs, and wants them.
func putAll(t *testing.T, b content.Blob, errs []error) {
	t.Helper()
	top := t.TempDir()
	l := closed(t)(Create(filepath.Join(top, "layout")))
	for _, want := range errs {
		putWant(t, l, b, want)
		if made := listing(t, top); errors.Is(want, errLost) && made != "" {
			t.Errorf("%s is made before the first byte", made)
		}
	}
	if left := strays(t, l.disk.path); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

func count(errs []error, of error) int {
	n := 0
	for _, err := range errs {
		if errors.Is(err, of) {
			n++
		}
	}
	return n
}

// What lies there is found only when the folder is made ready, and by then the
// whole is on its way.
func TestWhatIsThereIsNotAskedForThoughTheWholeWasBegun(t *testing.T) {
	l := created(t)
	b := &scattered{countedBlob: counted("", noise(9, 2<<20)), answers: []func([]byte, int) int{halfComes, comes}}
	putWant(t, l, b, errCut)
	if err := errors.Join(os.Remove(filepath.Join(l.disk.path, indexFile)), os.RemoveAll(filepath.Join(l.disk.path, blobsDir))); err != nil {
		t.Fatal(err)
	}
	again := closed(t)(Create(l.disk.path))
	putWant(t, again, b, nil)
	if len(b.asked) != 3 || b.asked[2].Bytes() != 1<<20 || b.closed != 3 {
		t.Errorf("asked for %v, and %d were closed", b.asked, b.closed)
	}
}

// file is the one to be hashed: what comes between a write and its hash is taken
// apart here, since it takes luck to get there from outside.
func TestBytesThatWereWrittenOverAreHashedFromTheFile(t *testing.T) {
	l, err := Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	right := bytes.Repeat([]byte("wherry "), 40_000)
	wrong := bytes.Clone(right[200_000:])
	wrong[0] ^= 1
	d := ocispec.Descriptor{Digest: digest.FromBytes(right), Size: int64(len(right))}
	in, err := l.Ingest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	p := in.(*ingest).p //nolint:forcetypeassert // it is a new one
	first := content.Range{Len: 250_000}
	again, err := p.claim(first)
	if again || err != nil {
		t.Fatal(again, err)
	}
	_, err = p.f.WriteAt(right[:first.Len], 0)
	over, noteErr := p.wrote(first, first.Len)
	_, overErr := in.WriteAt(wrong, 200_000) // another connection, before the first is hashed
	if err := errors.Join(err, noteErr, overErr); err != nil {
		t.Fatal(err)
	}
	p.follow(right[:first.Len], 0, over)
	if err := in.Commit(t.Context()); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("commit of wrong bytes: %v", err)
	}
	if err := errors.Join(in.Close(), l.Close()); err != nil {
		t.Error(err)
	}
}
