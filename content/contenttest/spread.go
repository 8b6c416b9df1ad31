package contenttest

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// spreadContracts are about blobs that can be read in any order. What a sink
// makes of that is its own matter: the blob that arrives is the same.
func spreadContracts() []contract {
	return []contract{
		{"a blob that can be read in any order arrives", spreads},
		{"a blob that can be read in any order and breaks works the second time", spreadBreaks},
		{"a blob that can be read in any order and has a flipped bit is refused", spreadFlipped},
	}
}

// A spreading blob is written by several goroutines, the last piece first, some
// of it twice, and breaks after at bytes of each where at is set.
type spreading struct {
	content.Blob
	data []byte
	at   int64
	all  *opened
}

// opened counts what was begun and not closed.
type opened struct {
	mu sync.Mutex
	n  int
}

func (o *opened) add(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n += n
}

// Spread implements [content.Spreadable].
func (b spreading) Spread(ctx context.Context, spans content.Spans) (content.Spread, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	b.all.add(1)
	return spread{b, spans}, nil
}

type spread struct {
	b     spreading
	spans content.Spans
}

// Scatter implements [content.Spread].
func (s spread) Scatter(w io.WriterAt) error {
	const lanes, again = 3, 1000
	var g errgroup.Group
	for _, r := range s.spans {
		part := r.Len/lanes + 1
		for from := r.Off; from < r.Off+r.Len; from += part {
			g.Go(func() error { return s.b.write(w, from, min(from+part+again, r.Off+r.Len)) })
		}
	}
	return g.Wait()
}

// write writes what lies from from on to to, or as far as it goes.
func (b spreading) write(w io.WriterAt, from, to int64) error {
	const piece = 64 << 10
	end := to
	if b.at > 0 {
		end = min(to, from+b.at)
	}
	for off := end; off > from; off -= piece {
		first := max(from, off-piece)
		if _, err := w.WriteAt(b.data[first:off], first); err != nil {
			return err
		}
	}
	if b.at > 0 {
		return errBroken
	}
	return nil
}

// Close implements [content.Spread].
func (s spread) Close() error {
	s.b.all.add(-1)
	return nil
}

func spreads(s *stage) {
	t := s.T
	good := NewBlob(octets, Noise(26, 1<<20+5))
	all := &opened{}
	if got, err := s.Sink.PutBlob(t.Context(), spreading{good, good.Data, 0, all}); got != content.Stored || err != nil {
		t.Errorf("PutBlob = %v, %v; want stored", got, err)
	}
	s.arrives(good, all)
}

func spreadBreaks(s *stage) {
	t := s.T
	good := NewBlob(octets, Noise(27, 1<<20+5))
	all := &opened{}
	bad := spreading{breaking{good, len(good.Data) / 2}, good.Data, 100_000, all}
	if got, err := s.Sink.PutBlob(t.Context(), bad); err == nil {
		t.Errorf("PutBlob of a blob that breaks = %v, nil; want an error", got)
	}
	s.wantHasNot(t, good)
	if got, err := s.Sink.PutBlob(t.Context(), spreading{good, good.Data, 0, all}); got != content.Stored || err != nil {
		t.Errorf("PutBlob = %v, %v; want stored", got, err)
	}
	s.arrives(good, all)
}

func spreadFlipped(s *stage) {
	t := s.T
	good := NewBlob(octets, Noise(28, 300_000))
	all := &opened{}
	wrong := flipped(good.Data)
	if got, err := s.Sink.PutBlob(t.Context(), spreading{loose{good.Desc, wrong}, wrong, 0, all}); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("PutBlob = %v, %v; want corrupt content", got, err)
	}
	s.wantHasNot(t, good)
	s.putBlob(t, good)
	s.arrives(good, all)
}

// arrives wants b to be there, and nothing that was begun to be open still.
func (s *stage) arrives(b *Blob, all *opened) {
	s.T.Helper()
	all.mu.Lock()
	if all.n != 0 {
		s.T.Errorf("%d readings are still open", all.n)
	}
	all.mu.Unlock()
	s.root(s.T, b)
	checkBlob(s.T, s.source(s.T), b)
}
