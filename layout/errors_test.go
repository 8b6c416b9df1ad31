package layout

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

func TestAnErrorSaysWhereOnce(t *testing.T) {
	full := &fs.PathError{Op: "write", Path: "a/b", Err: syscall.ENOSPC}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&Error{Op: "write", Path: "a/b", Err: &content.FullError{Err: full}}, "write a/b: " + syscall.ENOSPC.Error()},
		{&Error{Op: "verify", Path: "a/b", Err: full}, "verify a/b: write a/b: " + syscall.ENOSPC.Error()},
		{&Error{Op: "read", Path: "a/b", Err: content.ErrNotFound}, "read a/b: not found"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
