package archive_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
)

// FuzzDockerArchive reads anything as an archive, to its last blob: there is no
// panic, every failure has a class, and what is given out is what was named.
func FuzzDockerArchive(f *testing.F) {
	for _, name := range []string{"docker-two-images.tar", "docker25-hello-world.tar", "whiteout.tar", "oci-gzip.tar", "oci-zstd.tar"} {
		raw, err := os.ReadFile(filepath.Join(images, name))
		must(f, err)
		f.Add(raw)
		f.Add(packers["gzip"](f, raw))
	}
	f.Add(packers["xz"](f, makeTar(f, good()...)))
	f.Add(packers["xz of many blocks and two streams"](f, makeTar(f, good()...)))
	f.Add(makeTar(f, append(good(), link("x", "y"), hardlink("y", "x"))...))
	f.Add(xzBomb(f))
	temp := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, c := range []archive.Compression{archive.None, archive.Gzip} {
			a, err := archive.Read(t.Context(), bytes.NewReader(raw), archive.Options{TempDir: temp, Compress: c, MaxUnpacked: 1 << 20})
			if err != nil {
				wantClass(t, err)
				continue
			}
			refs := []string{""}
			for name, err := range a.Tags(t.Context()) {
				must(t, err)
				refs = append(refs, name)
			}
			for _, ref := range refs {
				g, err := load(t, a, ref)
				wantClass(t, err)
				if err != nil {
					continue
				}
				for _, err := range a.Referrers(t.Context(), g.Root, "") {
					wantClass(t, err)
				}
			}
			must(t, a.Close())
		}
	})
}

func wantClass(t *testing.T, err error) {
	t.Helper()
	for _, class := range []error{nil, content.ErrInvalid, content.ErrCorrupt, content.ErrNotFound} {
		if errors.Is(err, class) {
			return
		}
	}
	t.Errorf("an error without a class: %v", err)
}
