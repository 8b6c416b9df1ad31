package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/durable"
	"github.com/wherry-dev/wherry/layout"
)

// A copy that waited for a process that was stopped never said so.
func TestACopyThatWaitsForAnotherProcessSaysForWhich(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	for path, names := range map[string][]string{src: {"v1"}, dst: {"old"}} {
		l, err := layout.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := contenttest.Put(t.Context(), l, contenttest.Kinds(t)[0], names...); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dst)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		lock, err := durable.Try(root, ".wherry/lock")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, func() {
			if err := lock.Release(); err != nil {
				t.Error(err)
			}
		})
		got := run(t, "copy", "oci:"+src+":v1", "oci:"+dst+":v1")
		want := fmt.Sprintf("wherry: warning: waiting for process %d to release %s\n", os.Getpid(), filepath.Join(dst, ".wherry", "lock"))
		if got.code != 0 || strings.Count(got.errors, want) != 1 {
			t.Errorf("%+v, want one line %q", got, want)
		}
	})
}
