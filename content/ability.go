package content

import (
	"context"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What a place can do beyond Source and Sink. Each is found with [As], through
// decorators. A decorator that restricts or records has no Unwrap and lets
// through only what it implements.

// A Resolver finds what a name stands for without reading it. At a registry
// that is a HEAD, which is not counted as a pull. The descriptor has media
// type, digest and size; a name that stands for nothing is [ErrNotFound].
type Resolver interface {
	Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error)
}

// A TagLister lists the names a place has, in the place's own order. Where a
// listing breaks off, the last pair has the error: [ErrNotFound] where there is
// no such repository, [errors.ErrUnsupported] where a place has no list.
type TagLister interface {
	Tags(ctx context.Context) iter.Seq2[string, error]
}

// A ReferrerLister lists what refers to subject, as the OCI referrers API does
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers).
// An empty artifactType means any.
type ReferrerLister interface {
	Referrers(ctx context.Context, subject digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error]
}

// A ReferrerScout lists like [ReferrerLister], and in one round trip where that
// may take two: at a registry of which nobody knows how it lists referrers, both
// ways are tried at once.
type ReferrerScout interface {
	Scout(ctx context.Context, subject digest.Digest) iter.Seq2[ocispec.Descriptor, error]

	// ScoutRequests returns how many requests Scout begins with, 1 or 2. Long lists
	// have more pages.
	ScoutRequests() int
}

// A ReferrerWatcher tells in as few requests as it takes whether what refers to
// subject has changed: the state is another string when it has, and empty when
// nothing refers to subject. It means nothing beyond the place it came from.
type ReferrerWatcher interface {
	ReferrersState(ctx context.Context, subject digest.Digest) (state string, err error)
}

// A Sizer knows the size in bytes of a blob of which there is only the digest.
// A blob that is not there is [ErrNotFound].
type Sizer interface {
	BlobSize(ctx context.Context, d digest.Digest) (int64, error)
}

// A RootLister lists every manifest that a place keeps for its own sake, with a
// name or without one. Where a listing breaks off, the last pair has the error.
type RootLister interface {
	Roots(ctx context.Context) iter.Seq2[ocispec.Descriptor, error]
}

// A Deleter removes. Untag takes a name away and leaves what it stood for;
// DeleteManifest takes a manifest away, with every name it has.
type Deleter interface {
	Untag(ctx context.Context, name string) error
	DeleteManifest(ctx context.Context, d digest.Digest) error
}

// A NameKeeper can leave the names alone that it has. Others may write to the
// place at once: that a name was free when a copy was planned proves nothing.
type NameKeeper interface {
	// Holder returns what PutManifest would take name away from, which is
	// [ErrNotFound] where the name is free. Where writing it would do away with
	// other names it is [ErrConflict]: an archive is written as a whole.
	Holder(ctx context.Context, name string) (ocispec.Descriptor, error)

	// PutNewNames is PutManifest that leaves those of names alone that are not
	// free, and returns them. It looks in the step in which it writes: of several
	// who write one name one gets it, and no name is ever replaced. Where none of
	// names is free nothing stands for m. A file that takes its name at Commit
	// may find it taken only then, which is [ErrConflict].
	PutNewNames(ctx context.Context, m Manifest, names ...string) (kept []string, err error)
}

// An Originer is in a registry. A registry sink mounts a blob that comes from
// another repository of its own host.
type Originer interface {
	Origin() (host, repository string)
}

// A Replicated source can give spans of a blob, from one host or from several,
// each over as many connections as it bears.
type Replicated interface {
	// Replicas returns the hosts that can give spans of d, best first, none where
	// only the whole can be had. The last is the source's own: it is asked where the
	// others fail, and its word counts where they gave wrong bytes. Their Open never
	// gives a span by reading up to it: that is [errors.ErrUnsupported].
	Replicas(ctx context.Context, d ocispec.Descriptor) []Replica
}

// A Replica is one host that can give a blob.
type Replica interface {
	Source

	// Host says where requests go: replicas of one host share what it bears.
	Host() string

	// Insist is Open that waits its turn and asks again, as the source does where
	// there is nobody else to ask.
	Insist(ctx context.Context, d ocispec.Descriptor, r Range) (io.ReadCloser, error)

	// Blame says that the host gave wrong bytes of d, which err tells: it is not
	// among the replicas any more, unless it is the source's own.
	Blame(ctx context.Context, d ocispec.Descriptor, err error)
}

// A Spreadable blob can give its spans in any order, over as many connections as
// help. A sink that has a place for each byte asks for that instead of [Blob.Open].
type Spreadable interface {
	// Spread begins to read spans and waits for the first byte. None is [ErrInvalid].
	Spread(ctx context.Context, spans Spans) (Spread, error)
}

// A Spread is spans of a blob on their way. Reading ends with the context of
// [Spreadable.Spread].
type Spread interface {
	// Scatter writes every byte where it belongs, from several goroutines at once
	// and in any order, some of them twice. It returns when all are written, or
	// one could be neither read nor written, and no goroutine writes any more.
	Scatter(w io.WriterAt) error

	Close() error
}

// A Sequential end is fed or read one blob at a time, in plan order: a tar.
type Sequential interface {
	Sequential()
}

// A Committer has something to do when all that a run writes is there. A file
// gets its name: it is a temporary one until Commit, and without Commit nothing
// of it stays. A registry looks once more at what others may have overwritten.
// Where there is nothing to do, Commit takes no time and asks for nothing.
//
// A [Sequential] sink takes nothing after Commit; others go on, and may be
// committed again. What could not be made whole is [ErrConflict] or the error
// of the disk.
type Committer interface {
	Commit(ctx context.Context) error
}

// A RandomSink takes the spans of a blob in any order.
type RandomSink interface {
	Ingest(ctx context.Context, d ocispec.Descriptor) (Ingest, error)
}

// An Ingest is a blob under way on disk. Close without Commit keeps what is
// there for the next time.
type Ingest interface {
	io.WriterAt // past the blob's size it is ErrInvalid, on a full disk ErrNoSpace

	Done() Spans // that are there

	// Commit verifies size and digest, then gives the blob its name. A mismatch
	// is [ErrCorrupt], and the partial file is dropped.
	Commit(ctx context.Context) error

	Close() error
}

// A Bounded sink lies on a disk that can be full.
type Bounded interface {
	// Room tells of that disk. Where nobody knows, as of what a pipe leads to, it is
	// [errors.ErrUnsupported].
	Room() (Room, error)

	// Held returns how many bytes of blob d the disk holds already, from work that
	// was broken off.
	Held(d ocispec.Descriptor) int64
}

// A Room is how much can be written to a sink on a disk.
type Room struct {
	Path string // of the sink, for messages
	Disk string // is the same for all that share Free
	Free int64  // bytes
}

// As finds ability T in v or in what v wraps, outermost first. A decorator
// shows what is below it with a method Unwrap() any.
func As[T any](v any) (T, bool) {
	for v != nil {
		if t, ok := v.(T); ok {
			return t, true
		}
		u, ok := v.(interface{ Unwrap() any })
		if !ok {
			break
		}
		v = u.Unwrap()
	}
	var none T
	return none, false
}
