package contenttest

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

func concurrencyContracts() []contract {
	return []contract{
		{"one blob put by many arrives once", oneBlobByMany},
		{"many blobs put at once arrive", manyBlobs},
		{"many names given at once are all kept", manyNames},
		{"a second process finishes what a first one left", secondProcess},
		{"two processes keep each other's names", twoProcesses},
	}
}

const many = 8

func oneBlobByMany(s *stage) {
	t := s.T
	if s.sequential() {
		return
	}
	data := Noise(31, 600_000)
	var stored atomic.Int64
	g, ctx := errgroup.WithContext(t.Context())
	for range many {
		g.Go(func() error {
			got, err := s.Sink.PutBlob(ctx, NewBlob(octets, data))
			if got == content.Stored {
				stored.Add(1)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Errorf("PutBlob of one digest at once: %v", err)
	}
	if stored.Load() == 0 {
		t.Error("nobody stored the blob")
	}
	b := NewBlob(octets, data)
	s.root(t, b)
	checkBlob(t, s.source(t), b)
}

func manyBlobs(s *stage) {
	t := s.T
	if s.sequential() {
		return
	}
	blobs := make([]*Blob, 2*many)
	g, ctx := errgroup.WithContext(t.Context())
	for i := range blobs {
		blobs[i] = NewBlob(octets, Noise(32+uint64(i), 50_000+i))
		g.Go(func() error {
			_, err := s.Sink.PutBlob(ctx, blobs[i])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Errorf("PutBlob of many at once: %v", err)
	}
	s.root(t, blobs...)
	src := s.source(t)
	for _, b := range blobs {
		checkBlob(t, src, b)
	}
}

func manyNames(s *stage) {
	t := s.T
	if s.sequential() {
		return
	}
	imgs := anchors(t, many)
	g, ctx := errgroup.WithContext(t.Context())
	for i, img := range imgs {
		g.Go(func() error { return Put(ctx, s.Sink, img, s.name(fmt.Sprintf("v%d", i))) })
	}
	if err := g.Wait(); err != nil {
		t.Errorf("put images at once: %v", err)
	}
	src := s.source(t)
	for i, img := range imgs {
		CheckImage(t, src, img, s.name(fmt.Sprintf("v%d", i)))
	}
}

func secondProcess(s *stage) {
	t := s.T
	if s.Again == nil {
		return
	}
	b := NewBlob(octets, Noise(60, 800_000))
	if got, err := s.Sink.PutBlob(t.Context(), breaking{b, len(b.Data) / 3}); err == nil {
		t.Errorf("PutBlob of a blob that breaks = %v, nil; want an error", got)
	}
	second := &stage{T: t, Instance: s.Instance, place: s.place}
	second.Sink = s.Again(t)
	second.wantHasNot(t, b)
	second.putBlob(t, b)
	second.root(t, b)
	checkBlob(t, s.source(t), b)
}

func twoProcesses(s *stage) {
	t := s.T
	if s.Again == nil {
		return
	}
	imgs := anchors(t, many)
	sinks := []content.Sink{s.Sink, s.Again(t)}
	shared := NewBlob(octets, Noise(61, 300_000))
	g, ctx := errgroup.WithContext(t.Context())
	for i, img := range imgs {
		sink := sinks[i%len(sinks)]
		g.Go(func() error {
			if _, err := sink.PutBlob(ctx, NewBlob(octets, shared.Data)); err != nil {
				return err
			}
			return Put(ctx, sink, img, s.name(fmt.Sprintf("v%d", i)))
		})
	}
	if err := g.Wait(); err != nil {
		t.Errorf("put images from two sinks: %v", err)
	}
	s.root(t, shared)
	src := s.source(t)
	checkBlob(t, src, shared)
	for i, img := range imgs {
		CheckImage(t, src, img, s.name(fmt.Sprintf("v%d", i)))
	}
}
