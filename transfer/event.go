package transfer

import (
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A Kind is what an [Event] tells.
type Kind uint8

// The kinds of event, in the order in which a blob and an image see them.
const (
	RunStarted   Kind = iota + 1 // Bytes is the number of bytes the plan moves, each blob once
	BlobStarted                  // the first byte of Desc was asked for; Bytes of it are at the destination from before
	BlobProgress                 // Bytes of Desc have arrived or were there before, each counted once; it never exceeds Desc.Size
	Retrying                     // Host is asked once more, after Err: from byte Bytes of Desc on, where it is about a blob
	RunProgress                  // Pace says how far all of it has come; told twice a second
	BlobDone                     // Outcome says what became of Desc, or Err why nothing did
	ImageDone                    // Image is at Target under its names, or Err says why not
	RunDone                      // nothing follows; Pace says what was done, and Err joins what failed
)

// String returns the kind as it stands in machine output.
func (k Kind) String() string {
	names := [...]string{"", "start", "blob-start", "blob-progress", "retry", "progress", "blob-done", "image-done", "done"}
	if int(k) >= len(names) {
		return ""
	}
	return names[k]
}

// An Event is one thing that happened in a run.
type Event struct {
	Kind    Kind
	Image   string // with ImageDone: Job.Name
	Target  string // with ImageDone and BlobDone: Target.Name, of the first where a blob goes to several
	Desc    ocispec.Descriptor
	Bytes   int64
	Outcome content.Outcome
	Host    string        // with Retrying: named as the user named it
	Wait    time.Duration // with Retrying: until the next try
	Pace    *Pace         // with RunProgress and RunDone
	Err     error
}

// A Pace is how far a run has come and how fast it is.
type Pace struct {
	Total   int64                // bytes of all blobs that are to be moved, each blob once
	Done    int64                // bytes of them that have arrived, or will not: they are there already, or failed; with RunDone only what has arrived
	Speed   float64              // bytes a second that arrived over the last seconds
	Left    time.Duration        // until the rest has arrived at that speed; 0 where nobody can tell
	Hosts   map[string]HostSpeed // what hosts of registries give, by their names
	Retries int                  // so far
}

// A HostSpeed is what one host gives.
type HostSpeed struct {
	Bytes int64   // of blobs, so far; those that were read twice count twice
	Speed float64 // bytes a second over the last seconds
}
