package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"syscall"
	"text/template"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/layout"
)

// The exit codes. They stand in the help of every command.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitPartly       = 3
	exitNotFound     = 4
	exitUnauthorized = 5
	exitRefused      = 6
	exitDiffers      = 7
	exitRateLimited  = 8
	exitNetwork      = 9
	exitNoSpace      = 10
	exitHungUp       = 129
	exitInterrupted  = 130
	exitUnread       = 141
	exitTerminated   = 143
)

// A usageError is a command line that means nothing. It exits with 2.
type usageError struct {
	err     error
	command string // the command whose help says more
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef returns an error that exits with 2.
func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// A PartlyError is a batch some of which was done: it exits with 3, or with 8
// where nothing but a rate limit kept it from the rest.
type PartlyError struct{ Err error }

func (e *PartlyError) Error() string { return e.Err.Error() }

// Unwrap returns what failed.
func (e *PartlyError) Unwrap() error { return e.Err }

// A silentError has an exit code and is not written: it is an answer.
type silentError struct{ err error }

func (e *silentError) Error() string { return e.err.Error() }
func (e *silentError) Unwrap() error { return e.err }

// An InterruptedError is the cause of a context that a signal ended.
type InterruptedError struct{ Signal os.Signal }

func (i InterruptedError) Error() string {
	switch i.Signal {
	case syscall.SIGHUP:
		return "hung up"
	case syscall.SIGTERM:
		return "terminated"
	}
	return "interrupted"
}

// Code returns the exit code of a process that the signal ended, 128 and its number.
func (i InterruptedError) Code() int {
	switch i.Signal {
	case syscall.SIGHUP:
		return exitHungUp
	case syscall.SIGTERM:
		return exitTerminated
	}
	return exitInterrupted
}

// isUnread reports whether err says that whoever read standard output has gone,
// as head does. There is nobody to tell.
func isUnread(err error) bool {
	e, ok := errors.AsType[*fs.PathError](err)
	return ok && e.Op == "write" && e.Path == os.Stdout.Name() && errors.Is(e, syscall.EPIPE)
}

// codeOf returns the exit code for err. Where several classes apply, it is the
// one that says what to do next.
func codeOf(ctx context.Context, err error) int {
	var interrupted InterruptedError
	var partly *PartlyError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &interrupted), errors.As(context.Cause(ctx), &interrupted):
		return interrupted.Code()
	case isUnread(err):
		return exitUnread
	case isUsage(err):
		return exitUsage
	case errors.As(err, &partly):
		if slices.ContainsFunc(flatten(partly.Err), func(e error) bool { return !errors.Is(e, content.ErrRateLimited) }) {
			return exitPartly
		}
		return exitRateLimited
	}
	for _, c := range classes {
		if c.is(err) {
			return c.code
		}
	}
	return exitFailed
}

// classes are the failures that have an exit code of their own, in the order in
// which they count.
var classes = []struct {
	code int
	is   func(error) bool
}{
	{exitNoSpace, isOneOf(content.ErrNoSpace, syscall.ENOSPC)},
	{exitUnauthorized, isOneOf(content.ErrUnauthorized, content.ErrDenied)},
	{exitRateLimited, isOneOf(content.ErrRateLimited)},
	{exitRefused, isOneOf(content.ErrCorrupt, content.ErrInvalid)},
	{exitNotFound, isOneOf(content.ErrNotFound, fs.ErrNotExist)},
	{exitNetwork, isNetwork},
	{exitDiffers, isOneOf(errDiffers)},
}

// errDiffers is the answer that two things are not the same.
var errDiffers = errors.New("they differ")

func isOneOf(targets ...error) func(error) bool {
	return func(err error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
}

func isNetwork(err error) bool {
	// A bare syscall.Errno is a net.Error too, and may be the disk's.
	_, isOp := errors.AsType[*net.OpError](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	_, isURL := errors.AsType[*url.Error](err)
	return isOp || isDNS || isURL || errors.Is(err, content.ErrUnavailable)
}

func isUsage(err error) bool {
	var usage *usageError
	var reference *endpoint.Error
	var template template.ExecError      // a --format that does not fit the result
	var ambiguous *layout.AmbiguousError // an ID with too few digits
	return errors.As(err, &usage) || errors.As(err, &ambiguous) || errors.As(err, &reference) || errors.As(err, &template)
}
