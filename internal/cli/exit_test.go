package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/layout"
)

func TestEveryClassHasItsExitCode(t *testing.T) {
	_, reference := endpoint.Parse("A")
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"nothing", nil, 0},
		{"anything else", errors.New("x"), 1},
		{"unsupported", errors.ErrUnsupported, 1},
		{"conflict", content.ErrConflict, 1},
		{"usage", usagef("x"), 2},
		{"a wrong reference", reference, 2},
		{"an ID of several images", &layout.AmbiguousError{}, 2},
		{"partly", &PartlyError{content.ErrNotFound}, 3},
		{"partly, and the rest is rate limited", &PartlyError{errors.Join(content.ErrRateLimited, fmt.Errorf("x: %w", content.ErrRateLimited))}, 8},
		{"partly, and some of the rest is rate limited", &PartlyError{errors.Join(content.ErrRateLimited, content.ErrNotFound)}, 3},
		{"not found", content.ErrNotFound, 4},
		{"no such file", fs.ErrNotExist, 4},
		{"not authenticated", content.ErrUnauthorized, 5},
		{"denied", content.ErrDenied, 5},
		{"corrupt", content.ErrCorrupt, 6},
		{"invalid", content.ErrInvalid, 6},
		{"two things that differ", errDiffers, 7},
		{"rate limited", content.ErrRateLimited, 8},
		{"unavailable", content.ErrUnavailable, 9},
		{"no space", content.ErrNoSpace, 10},
		{"the system's no space", syscall.ENOSPC, 10},
		{"interrupted", InterruptedError{os.Interrupt}, 130},
		{"terminated", InterruptedError{syscall.SIGTERM}, 143},
		{"hung up", InterruptedError{syscall.SIGHUP}, 129},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.err
			if err != nil {
				err = fmt.Errorf("around it: %w", err)
			}
			if got := codeOf(t.Context(), err); got != tt.want {
				t.Errorf("exit code %d, want %d", got, tt.want)
			}
		})
	}
}

func TestOfSeveralClassesTheOneCountsThatSaysWhatToDo(t *testing.T) {
	order := []error{content.ErrNoSpace, content.ErrUnauthorized, content.ErrRateLimited, content.ErrCorrupt, content.ErrNotFound, content.ErrUnavailable, errors.New("x")}
	codes := []int{10, 5, 8, 6, 4, 9, 1}
	for i := range order {
		all := []error{}
		for k := len(order) - 1; k >= i; k-- {
			all = append(all, order[k])
		}
		if got := codeOf(t.Context(), errors.Join(all...)); got != codes[i] {
			t.Errorf("%v: exit code %d, want %d", all, got, codes[i])
		}
	}
}

func TestASignalCountsWhateverFailedThen(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(InterruptedError{syscall.SIGTERM})
	if got := codeOf(ctx, fmt.Errorf("x: %w", context.Canceled)); got != 143 {
		t.Errorf("exit code %d, want 143", got)
	}
}

func TestReportIsOneLineForEachFailureAndAHint(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"one", errors.New("x"), "wherry: x\n"},
		{"two", errors.Join(errors.New("x"), errors.New("y")), "wherry: x\nwherry: y\n"},
		{"two within", fmt.Errorf("a: %w", errors.Join(errors.New("x"), errors.New("y"))), "wherry: a: x; y\n"},
		{"partly", &PartlyError{errors.Join(errors.New("x"), errors.New("y"))}, "wherry: x\nwherry: y\n"},
		{"outside text", errors.New("\x1b[31mred\u202e\r"), "wherry: \\x1b[31mred\\u{202e}\n"},
		{"no space", content.ErrNoSpace, "wherry: no space left\nhint: make room on the disk and run the same command again\n"},
		{"no credential", content.ErrUnauthorized, "wherry: not authenticated\nhint: log in with: wherry login HOST\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			f := newFactory(Stdio{In: strings.NewReader(""), Out: &out, Err: &out}, testEnv(t, nil))
			f.report(t.Context(), tt.err)
			if out.String() != tt.want {
				t.Errorf("got %q, want %q", out.String(), tt.want)
			}
		})
	}
}
