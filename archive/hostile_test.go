package archive_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
)

// What reading an archive may cost, whatever is in it.
const (
	mostMemory = 128 << 20
	mostTime   = slower * 10 * time.Second
)

func TestHostileArchivesAreRefused(t *testing.T) {
	for _, tt := range hostiles(t) {
		t.Run(tt.name, func(t *testing.T) {
			temp := t.TempDir()
			o := archive.Options{TempDir: temp, MaxUnpacked: 48 << 20}
			whole := tt.raw(t)
			if b, ok := whole.(*bytes.Reader); ok {
				path := filepath.Join(t.TempDir(), "in.tar")
				raw, err := io.ReadAll(b)
				must(t, err)
				must(t, os.WriteFile(path, raw, 0o600))
				refused(t, tt, path, func() (*archive.Archive, error) { return archive.Open(t.Context(), path, o) })
				whole = bytes.NewReader(raw)
			}
			refused(t, tt, "no path", func() (*archive.Archive, error) { return archive.Read(t.Context(), whole, o) })
			if c, ok := whole.(io.Closer); ok {
				must(t, c.Close())
			}
			left, err := os.ReadDir(temp)
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// refused wants an error of the right class on the way from opening to the last
// blob, within the limits.
func refused(t *testing.T, tt hostile, path string, open func() (*archive.Archive, error)) {
	t.Helper()
	peak := watchMemory()
	start := time.Now()
	a, err := open()
	if err == nil {
		_, err = load(t, a, "")
		must(t, a.Close())
	}
	took := time.Since(start)
	if n := peak(); n > mostMemory {
		t.Errorf("used %d MiB", n>>20)
	}
	if !errors.Is(err, tt.want) || !strings.Contains(strings.ReplaceAll(err.Error(), path, ""), tt.says) {
		t.Errorf("error = %v; want %v that says %q", err, tt.want, tt.says)
	}
	if err != nil && strings.ContainsAny(err.Error(), "\n\x00\x1b") {
		t.Errorf("more than one line: %q", err)
	}
	if took > mostTime {
		t.Errorf("took %v", took)
	}
}

// watchMemory begins to watch the heap, garbage included. What it returns ends
// that, and tells how much larger than in the beginning the heap ever was. Garbage is
// collected as often as it is by default, whatever $GOGC says, since it is counted.
func watchMemory() (peak func() uint64) {
	percent := debug.SetGCPercent(100)
	runtime.GC()
	heap := func() uint64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	first := heap()
	most := first
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				most = max(most, heap())
			case <-ended:
				return
			}
		}
	}()
	return func() uint64 {
		close(ended)
		<-done
		defer debug.SetGCPercent(percent)
		return max(most, heap()) - first
	}
}

func TestArchivesThatAreCutOffAreNeverTakenForWhole(t *testing.T) {
	for _, name := range []string{"docker25-hello-world.tar", "docker-two-images.tar", "oci-zstd.tar"} {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(images, name))
			must(t, err)
			whole, err := archive.Read(t.Context(), bytes.NewReader(raw), archive.Options{TempDir: t.TempDir()})
			closed(t, whole, err)
			ref := ""
			if names := tagsOf(t, whole); len(names) > 0 {
				ref = names[0]
			}
			want, err := load(t, whole, ref)
			must(t, err)
			for n := 0; n < len(raw); n += 256 {
				root, err := rootOf(t, raw[:n], ref)
				if err == nil && root != want.Root {
					t.Errorf("the first %d bytes have root %s, not %s", n, root, want.Root)
				}
				if err != nil && !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrCorrupt) {
					t.Errorf("the first %d bytes: %v", n, err)
				}
			}
		})
	}
}

// rootOf reads image ref of an archive whole.
func rootOf(t *testing.T, raw []byte, ref string) (digest.Digest, error) {
	t.Helper()
	a, err := archive.Read(t.Context(), bytes.NewReader(raw), archive.Options{TempDir: t.TempDir()})
	if err != nil {
		return "", err
	}
	g, err := load(t, a, ref)
	must(t, a.Close())
	if err != nil {
		return "", err
	}
	return g.Root, nil
}

func TestAZstdWindowThatIsAllowedIsRead(t *testing.T) {
	raw := makeTar(t, good()...)
	packed := pack(t, raw, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithWindowSize(64<<20)) })
	a, err := archive.Read(t.Context(), bytes.NewReader(packed), archive.Options{TempDir: t.TempDir()})
	closed(t, a, err)
	_, err = load(t, a, "a:1")
	must(t, err)
}
