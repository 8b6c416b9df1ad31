package content

import "errors"

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
