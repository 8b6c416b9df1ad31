// Package contenttest is the contract of content's places as a test suite.
//
// A place is anything that is a [content.Sink] and, then or later, a
// [content.Source]: a registry's repository, a layout, an archive that is
// written and then read, memory. Its own tests call [Run]:
//
//	func TestPlaceKeepsTheContract(t *testing.T) {
//		contenttest.Run(t, contenttest.Place{New: func(t *testing.T) contenttest.Instance { … }})
//	}
//
// What a place cannot do, as told by [content.As], is not asked of it. The
// images the suite moves are small, the same every time, and of every kind
// that has ever broken a tool ([Kinds]).
package contenttest

import (
	"context"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

// A Place is what the suite has to know of a place.
type Place struct {
	// New makes an empty place of its own for one test, and ends it in t.Cleanup.
	New func(t *testing.T) Instance

	// Name turns a tag, such as "v1", into what this place calls a manifest.
	// Nil leaves it as it is.
	Name func(tag string) string
}

// An Instance is one place during one test.
type Instance struct {
	Sink content.Sink

	// Reopen returns a new source over what Sink wrote, as another process would
	// see it. Where Sink is a [content.Committer], the suite has committed it, and
	// where it is [content.Sequential] too, writes no more. Reopen is called any
	// number of times.
	Reopen func(t *testing.T) content.Source

	// Again returns another sink over the same place, as a second process would
	// have it. Nil means that two cannot write to the place at once.
	Again func(t *testing.T) content.Sink

	// Strays lists what lies in the place and belongs to nothing after work that
	// went well: temporary and partial files. Nil means that there can be none.
	Strays func(t *testing.T) []string
}

// A stage is one instance with what the cases need around it.
type stage struct {
	T *testing.T
	Instance
	place     Place
	committed bool
}

// A contract is one promise that places make.
type contract struct {
	name string
	test func(s *stage)
}

// Run runs every contract against a new instance of p, and at the end counts
// goroutines, open files and temporary files. It must not run in parallel with
// other tests.
func Run(t *testing.T, p Place) {
	t.Helper()
	check := watchLeaks(t)
	for _, c := range contracts(t) {
		t.Run(c.name, func(t *testing.T) {
			c.test(&stage{T: t, Instance: p.New(t), place: p})
		})
	}
	check(t)
}

func contracts(t *testing.T) []contract {
	t.Helper()
	var all []contract
	for _, img := range Kinds(t) {
		all = append(all, contract{"keeps " + img.Name, func(s *stage) { roundTrip(s, img) }})
	}
	all = append(all, manifestContracts()...)
	all = append(all, blobContracts()...)
	all = append(all, brokenBlobContracts()...)
	all = append(all, spreadContracts()...)
	all = append(all, hostileContracts()...)
	all = append(all, concurrencyContracts()...)
	return append(all, abilityContracts()...)
}

// name returns what the place under test calls tag.
func (s *stage) name(tag string) string {
	if s.place.Name == nil {
		return tag
	}
	return s.place.Name(tag)
}

// put stores img and gives it names.
func (s *stage) put(t *testing.T, img Image, names ...string) {
	t.Helper()
	if err := Put(t.Context(), s.Sink, img, names...); err != nil {
		t.Fatalf("put %s: %v", img.Name, err)
	}
}

// putBlob stores b, which must be new.
func (s *stage) putBlob(t *testing.T, b *Blob) {
	t.Helper()
	got, err := s.Sink.PutBlob(t.Context(), b)
	if err != nil || got != content.Stored {
		t.Fatalf("PutBlob(%d bytes) = %v, %v; want stored", b.Desc.Size, got, err)
	}
}

// source ends the writing, where that has an end, and opens the place for reading.
func (s *stage) source(t *testing.T) content.Source {
	t.Helper()
	c, ok := content.As[content.Committer](s.Sink)
	if !ok || s.committed {
		return s.Reopen(t)
	}
	if s.sequential() {
		s.committed = true
		s.put(t, Anchor(t), s.name("anchor"))
	}
	if err := c.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return s.Reopen(t)
}

// sequential reports whether the place takes one blob at a time only.
func (s *stage) sequential() bool {
	_, ok := content.As[content.Sequential](s.Sink)
	return ok
}

// Put stores img in sink the way a copy does: blobs, children, root, referrers.
func Put(ctx context.Context, sink content.Sink, img Image, names ...string) error {
	for _, b := range img.Blobs {
		if _, err := sink.PutBlob(ctx, b); err != nil {
			return err
		}
	}
	for _, m := range img.Children {
		if err := sink.PutManifest(ctx, m); err != nil {
			return err
		}
	}
	if err := sink.PutManifest(ctx, img.Root, names...); err != nil {
		return err
	}
	for _, m := range img.Referrers {
		if err := sink.PutManifest(ctx, m, m.Digest().String()); err != nil {
			return err
		}
	}
	return nil
}
