package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/durable"
	"github.com/wherry-dev/wherry/internal/term"
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

func TestAWaitForARegistryIsShownAsProgressIs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		flags Flags
		want  string
	}{
		{"a log", Flags{}, "docker.io asks to wait: going on in 40s\n"},
		{"a program", Flags{Progress: term.JSON}, `"host":"docker.io"`},
		{"nobody", Flags{Progress: term.None}, ""},
		{"somebody who wants to hear little", Flags{Quiet: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var errs bytes.Buffer
				f := newFactory(Stdio{Err: &errs}, testEnv(t, nil))
				f.Flags = &tt.flags
				client, err := f.Client()
				if err != nil {
					t.Fatal(err)
				}
				client.Waiting("docker.io", time.Now().Add(40*time.Second))
				if got := errs.String(); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}
