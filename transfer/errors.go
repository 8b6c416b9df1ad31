package transfer

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A Side is an end of a copy.
type Side uint8

// The sides.
const (
	Src Side = iota + 1
	Dst
)

// String returns "source" or "destination".
func (s Side) String() string {
	if s == Src {
		return "source"
	}
	return "destination"
}

// An Op is what a copy was about to do.
type Op string

// The operations.
const (
	OpResolve Op = "resolve" // find what a name stands for
	OpRead    Op = "read"    // read the manifest of the image, or a blob
	OpFilter  Op = "filter"  // find what of an image was asked for
	OpLoad    Op = "load"    // read the manifests below it
	OpAsk     Op = "ask"     // ask whether a blob is there
	OpRoom    Op = "room"    // find room for what is missing
	OpOpen    Op = "open"    // open a blob
	OpPut     Op = "put"     // store a blob or a manifest
	OpName    Op = "name"    // point names at the image
	OpCommit  Op = "commit"  // end the run at a destination
)

// An Error says at which end of a copy what failed. The class of Err survives
// errors.Is.
type Error struct {
	Side Side
	Op   Op
	Desc ocispec.Descriptor // what it was about; the zero Descriptor is the image as a whole
	Err  error
}

func (e *Error) Error() string {
	if e.Desc.Digest == "" {
		return fmt.Sprintf("%s: %s: %v", e.Side, e.Op, e.Err)
	}
	return fmt.Sprintf("%s: %s %s: %v", e.Side, e.Op, e.Desc.Digest, e.Err)
}

// Unwrap returns what failed.
func (e *Error) Unwrap() error { return e.Err }

// at says where err happened, unless err says so itself.
func at(side Side, op Op, d ocispec.Descriptor, err error) error {
	if err == nil {
		return nil
	}
	if _, known := errors.AsType[*Error](err); known {
		return err
	}
	return &Error{Side: side, Op: op, Desc: d, Err: err}
}

// interrupted returns why ctx ended in place of err, unless there is none: what was
// done before ctx ended is done.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// invalidf returns an error of class [content.ErrInvalid].
func invalidf(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, content.ErrInvalid)...)
}
