//go:build unix

package layout

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

func makePipe(path string) error { return syscall.Mkfifo(path, 0o644) }

func limitFiles(n int) error {
	limit := syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

func TestAFullDiskIsSaidAndWhatWasFetchedIsUsedTheNextTime(t *testing.T) {
	l := created(t)
	const size, room = 2 << 20, 1 << 20
	out, err := child(t, "put", l.disk.path, "5", "2097152", "1048576").Output()
	if err != nil {
		t.Fatal(err)
	}
	if said := string(out); !strings.HasPrefix(said, "true ") {
		t.Errorf("on a full disk: %s", said)
	}
	b := counted("", noise(5, size))
	if has, err := l.Has(t.Context(), b.d); has || err != nil {
		t.Errorf("Has = %t, %v", has, err)
	}
	if got, err := l.PutBlob(t.Context(), b); got != content.Stored || err != nil {
		t.Errorf("PutBlob = %v, %v", got, err)
	}
	if !slices.Equal(b.opens, []int64{room}) {
		t.Errorf("opened at %d, want at %d", b.opens, room)
	}
}
