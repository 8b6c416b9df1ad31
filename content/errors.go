package content

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// The classes of failure. Every error of wherry's packages that has one of
// these as its cause says so to errors.Is; besides them there are
// [errors.ErrUnsupported] and the errors of package context.
var (
	ErrNotFound     = errors.New("not found")
	ErrUnauthorized = errors.New("not authenticated")   // the registry wants credentials, or better ones
	ErrDenied       = errors.New("access denied")       // the credentials do not allow this
	ErrRateLimited  = errors.New("rate limited")        // the host asks to come back later
	ErrUnavailable  = errors.New("host unavailable")    // the network or the host failed
	ErrCorrupt      = errors.New("content is corrupt")  // bytes do not match their digest or size
	ErrInvalid      = errors.New("invalid content")     // broken, hostile, ambiguous or over a limit
	ErrConflict     = errors.New("conflicting content") // what is there forbids what was asked
	ErrNoSpace      = errors.New("no space left")       // the disk is full
)

// ErrHidden is a name that may not be looked at, so that nobody knows whether it
// is there. It may be written all the same. It is [ErrDenied].
var ErrHidden = fmt.Errorf("not to be looked at: %w", ErrDenied)

// ErrOwnLimit is that our own settings for a host allow no more at once, of which
// the host knows nothing. It is [ErrRateLimited].
var ErrOwnLimit = fmt.Errorf("no more is allowed: %w", ErrRateLimited)

// A FullError is an error of the system which says that a disk is full. It is
// [ErrNoSpace] and has the system's own text.
type FullError struct{ Err error }

func (e *FullError) Error() string { return e.Err.Error() }

// Unwrap returns the system's error.
func (e *FullError) Unwrap() error { return e.Err }

// Is reports whether target is [ErrNoSpace].
func (e *FullError) Is(target error) bool { return target == ErrNoSpace }

// ErrSchema1 is a manifest of the first schema docker had, which nothing of wherry
// reads. It is [ErrInvalid].
var ErrSchema1 = fmt.Errorf("docker schema 1 is not supported: %w", ErrInvalid)

// A SeveralError is the answer of a place with several images that was asked
// for its only one. It is [ErrInvalid].
type SeveralError struct {
	Images []string // what to ask for instead, of each image: its name, else its digest; empty where neither is known
}

// Error lists the first images.
func (e *SeveralError) Error() string {
	const most, longest = 10, 160
	var names []string
	for _, image := range e.Images[:min(most, len(e.Images))] {
		switch {
		case image == "":
			names = append(names, "one without a name")
		case len(image) > longest:
			names = append(names, fmt.Sprintf("%q…", image[:longest]))
		default:
			names = append(names, fmt.Sprintf("%q", image))
		}
	}
	if len(e.Images) > most {
		names = append(names, fmt.Sprintf("and %d more", len(e.Images)-most))
	}
	return fmt.Sprintf("%d images, one must be named: %s", len(e.Images), strings.Join(names, ", "))
}

// Is reports whether target is [ErrInvalid].
func (e *SeveralError) Is(target error) bool { return target == ErrInvalid }

// An UnreadError is manifests of a place that cannot be read, though they are there:
// a list of referrers is whole but for those, of which nobody knows what they refer to.
type UnreadError struct {
	Digests []digest.Digest
	Err     error // what is wrong with the first
}

// Error names the first, and says how many there are.
func (e *UnreadError) Error() string {
	switch len(e.Digests) {
	case 0:
		return "no manifest is named that cannot be read"
	case 1:
		return fmt.Sprintf("manifest %s cannot be read: %v", e.Digests[0], e.Err)
	}
	return fmt.Sprintf("%d manifests cannot be read, %s and others: %v", len(e.Digests), e.Digests[0], e.Err)
}

// Unwrap returns Err, whose class it has.
func (e *UnreadError) Unwrap() error { return e.Err }
