package transfer

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A Kind is what an [Event] tells.
type Kind uint8

// The kinds of event, in the order in which a blob and an image see them.
const (
	RunStarted   Kind = iota + 1 // Bytes is the number of bytes the plan moves
	BlobStarted                  // the first byte of Desc was asked for
	BlobProgress                 // Bytes of Desc have arrived; it never exceeds Desc.Size
	BlobDone                     // Outcome says what became of Desc, or Err why nothing did
	ImageDone                    // Image is at Target under its names, or Err says why not
	RunDone                      // nothing follows
)

// String returns the kind as it stands in machine output.
func (k Kind) String() string {
	return [...]string{"", "start", "blob-start", "blob-progress", "blob-done", "image-done", "done"}[k]
}

// An Event is one thing that happened in a run.
type Event struct {
	Kind    Kind
	Image   string // Job.Name
	Target  string // Target.Name; empty where a blob goes to several
	Desc    ocispec.Descriptor
	Bytes   int64
	Outcome content.Outcome
	Err     error
}
