// Package transfer copies images: it plans what has to move between a source
// and one or more destinations, moves it, and writes names last.
//
// A [Copier] knows the contracts of package content and no place in
// particular. [Copier.Plan] reads manifests and asks the destinations what
// they have; a [Plan] can be printed. [Copier.Run] carries it out: blobs,
// child manifests, the root by its digest, what refers to it, and names at the
// very end, so that a crash at any point leaves nothing broken that has a name.
// One image's failure at one destination touches no other image, no other
// destination, and no blob that others share.
package transfer

import (
	"cmp"
	"sync"

	"github.com/wherry-dev/wherry/content"
)

// A Copier copies images. The zero Copier works; it must not be copied after
// use. What one Copier runs shares its limits and its knowledge.
type Copier struct {
	Jobs    int   // blobs in flight; 0 means 6
	Lanes   int   // connections to one host that bring large blobs; 0 is found while they come
	Memory  int64 // bytes of blobs that wait in memory for those before them; 0 means 64 MiB
	Deep    bool  // check every blob even when the destination's tag already matches
	Limits  content.Limits
	Facts   content.Facts // what earlier runs learnt; nil is nothing
	Observe func(Event)   // one call at a time, coalesced per blob; nil is silent

	// Spool opens a file for the manifests of a plan, where they are too many for
	// memory; it is asked at most once for each plan. nil keeps all in memory.
	Spool func() (File, error)

	mu     sync.Mutex // held while Observe runs
	tally  tally      // of the runs under way
	once   sync.Once
	lines  lines
	memory budget
}

func (c *Copier) init() {
	c.once.Do(func() {
		c.lines.lanes, c.lines.facts = c.Lanes, c.Facts
		c.memory.pages = int(cmp.Or(c.Memory, defaultMemory) / pageBytes)
	})
}

// A Job is one image on its way to one or more destinations. The zero Filter
// keeps the root's graph and nothing that refers to it. Ends are told apart by
// ==: sources and sinks are pointers, or comparable.
type Job struct {
	Name   string // what messages and results call the image
	Src    content.Source
	Ref    string // a name or a digest at Src; empty is the only image there
	Dst    []Target
	Filter Filter
}

// A Target is a destination of one image.
type Target struct {
	Name  string // what messages and results call the destination
	Sink  content.Sink
	Names []string // what the image is called there; none roots it by digest

	// KeepNames leaves names that exist at the destination alone.
	KeepNames bool
}

// A Filter says what of an image is copied.
type Filter struct {
	// Platforms keeps the images for these, with their attestations, and
	// rewrites the index to match: all that match, and the one that
	// [content.PickPlatform] picks, such as arm/v6 for arm/v7. None keeps all.
	Platforms []content.Platform

	// One keeps for each of Platforms but the one image of an index that is picked:
	// not all variants of arm. One with a * is for all.
	One bool

	// Here keeps the children of indexes that the source has, by their digest and
	// however deep, and rewrites the indexes that have others to match. Where nothing
	// is left the image fails with [content.ErrNotFound]. With Platforms both count.
	Here bool

	// Sparse leaves the index as it is even where children are left out, or all: with
	// Here, what is sparse at the source is as sparse at the destination.
	Sparse bool

	// Referrers takes along what refers to the image and to its children.
	Referrers bool

	// Foreign is what becomes of layers that registries do not keep.
	Foreign Foreign
}

// Foreign is a policy for foreign (non-distributable) layers.
type Foreign uint8

// The policies.
const (
	ForeignAuto  Foreign = iota // copy what the source has, leave out the rest
	ForeignFetch                // copy all; the source gets what it has not from the layer's URLs
	ForeignSkip                 // copy none
)

const (
	defaultJobs   = 6
	defaultMemory = 64 << 20
	askJobs       = 16 // small requests at once while planning
)

func (c *Copier) jobs() int {
	if c.Jobs > 0 {
		return c.Jobs
	}
	return defaultJobs
}

func (c *Copier) observe(e Event) {
	switch key := (blobKey{e.Desc.Digest, e.Desc.Size}); e.Kind {
	case BlobStarted:
		c.tally.found(key, e.Bytes)
	case BlobProgress:
		c.tally.arrived(key, e.Bytes)
	case RunStarted, Retrying, RunProgress, BlobDone, ImageDone, RunDone:
	}
	if c.Observe == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Observe(e)
}
