package content_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

func TestAShelfReadsAManifestOnceByDigest(t *testing.T) {
	tests := []struct {
		name   string
		room   int64 // in manifests
		by     func(m content.Manifest) string
		first  int // how often the first of two is read when both are asked for twice
		second int
	}{
		{"by digest", 0, byDigest, 1, 1},
		{"by name", 0, func(content.Manifest) string { return "v1" }, 4, 4},
		{"with room for one", 1, byDigest, 1, 2},
		{"with room for both", 2, byDigest, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var src manifests
			first, second := src.leaf(t, 1), src.leaf(t, 2)
			src.have["v1"] = first
			shelf := content.Shelf{Source: &src, Room: tt.room * first.Size()}
			for range 2 {
				for _, m := range []content.Manifest{first, second} {
					if _, err := shelf.Manifest(t.Context(), tt.by(m)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if one, two := src.asked[tt.by(first)], src.asked[tt.by(second)]; one != tt.first || two != tt.second {
				t.Errorf("the first was read %d times, the second %d, want %d and %d", one, two, tt.first, tt.second)
			}
		})
	}
}

func byDigest(m content.Manifest) string { return m.Digest().String() }

// A turned source turns away who comes first, when it is told to.
type turned struct {
	content.Source
	came  atomic.Int32
	first chan struct{} // closed when the first is there
	gone  chan struct{}
}

var errTurned = errors.New("turned away")

func (s *turned) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	if s.came.Add(1) == 1 {
		close(s.first)
		<-s.gone
		return content.Manifest{}, errTurned
	}
	return s.Source.Manifest(ctx, ref)
}

func TestAShelfKeepsNoFailure(t *testing.T) {
	var src manifests
	ref := src.leaf(t, 1).Digest().String()
	from := &turned{Source: &src, first: make(chan struct{}), gone: make(chan struct{})}
	shelf := content.Shelf{Source: from}
	ask := func() <-chan error {
		answer := make(chan error, 1)
		go func() {
			_, err := shelf.Manifest(t.Context(), ref)
			answer <- err
		}()
		return answer
	}
	first := ask()
	<-from.first
	second := ask() // waits for the first, or comes after it
	close(from.gone)
	if err := <-first; !errors.Is(err, errTurned) {
		t.Errorf("the first: %v, want that it was turned away", err)
	}
	if err := <-second; err != nil {
		t.Errorf("the second: %v, want that it tried itself", err)
	}
}
