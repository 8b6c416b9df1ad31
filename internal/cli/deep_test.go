package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/internal/durable"
)

// TestDeepHashesWhatIsOnDisk has a blob whose bytes went bad under a mark that
// says they are right: what a disk does, and no program can.
func TestDeepHashesWhatIsOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	copyTo := func(flags ...string) {
		t.Helper()
		args := append([]string{"copy", "archive:../../testdata/images/oci-gzip.tar", "oci:" + dir + ":v1"}, flags...)
		if got := run(t, args...); got.code != 0 {
			t.Fatalf("exit code %d: %s", got.code, got.errors)
		}
	}
	copyTo()
	blob := largest(t, filepath.Join(dir, "blobs", "sha256"))
	good, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(good)
	bad[len(bad)/2] ^= 1
	if err := os.WriteFile(blob, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(blob)
	if err != nil {
		t.Fatal(err)
	}
	stamp, lasting := durable.Stamp(fi)
	if !lasting {
		t.Skip("this system gives files no lasting stamp: every blob is hashed in any case")
	}
	mark := filepath.Join(dir, ".wherry", "verified", "sha256-"+filepath.Base(blob))
	if err := os.WriteFile(mark, []byte(stamp), 0o600); err != nil {
		t.Fatal(err)
	}
	copyTo()
	if now, _ := os.ReadFile(blob); !bytes.Equal(now, bad) {
		t.Error("without --deep a blob that is marked was read: the mark of this test is not what it should be")
	}
	copyTo("--deep")
	if now, _ := os.ReadFile(blob); !bytes.Equal(now, good) {
		t.Error("--deep left a blob that is not what its digest says")
	}
}

// largest returns the path of the largest file in dir.
func largest(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var path string
	var most int64
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if fi.Size() > most {
			path, most = filepath.Join(dir, e.Name()), fi.Size()
		}
	}
	return path
}

func TestARootThatWentBadOnDiskIsWrittenAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	copies := func() outcome {
		return run(t, "copy", "archive:../../testdata/images/oci-gzip.tar", "oci:"+dir+":v1")
	}
	if got := copies(); got.code != 0 {
		t.Fatal(got.errors)
	}
	root := strings.TrimSpace(run(t, "digest", "oci:"+dir+":v1").out)
	path := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(root, "sha256:"))
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(good, []byte("{"), []byte("["), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := copies(); got.code != 0 {
		t.Errorf("exit code %d: %s", got.code, got.errors)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, good) {
		t.Error("the root is still bad")
	}
}
