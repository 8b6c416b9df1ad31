package layout

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// noise returns n bytes that are the same for the same seed.
func noise(seed uint64, n int) []byte {
	raw := make([]byte, n)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	src := rand.NewChaCha8(key)
	if _, err := src.Read(raw); err != nil {
		panic(err)
	}
	return raw
}

// A countedBlob remembers where it was opened.
type countedBlob struct {
	memoryBlob

	mu    sync.Mutex
	opens []int64 // offsets
}

func (b *countedBlob) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	b.mu.Lock()
	b.opens = append(b.opens, r.Off)
	b.mu.Unlock()
	return b.memoryBlob.Open(ctx, r)
}

func counted(mediaType string, raw []byte) *countedBlob {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return &countedBlob{memoryBlob: memoryBlob{d, raw}}
}

// work is what the child processes copy: image number i has a config and a
// small layer of its own, and a big one that all share.
type work struct {
	big    *countedBlob
	config *countedBlob
	m      content.Manifest
}

const bigLayer = 3 << 20

func workOf(i int) (work, error) {
	w := work{
		big:    counted(ocispec.MediaTypeImageLayer, noise(1, bigLayer)),
		config: counted(ocispec.MediaTypeImageConfig, fmt.Appendf(nil, `{"number":%d}`, i)),
	}
	own := counted(ocispec.MediaTypeImageLayer, noise(uint64(2+i), 10_000))
	raw := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s,%s]}`,
		ocispec.MediaTypeImageManifest, mustJSON(w.config.d), mustJSON(w.big.d), mustJSON(own.d))
	var err error
	w.m, err = content.ParseManifest("", raw, content.Limits{})
	return w, err
}

func mustJSON(d ocispec.Descriptor) []byte {
	e, err := newEntry(d)
	if err != nil {
		panic(err)
	}
	return e.raw
}

// copyTo stores image i under tag in the layout at path, and returns how often
// the big layer was opened.
func copyTo(ctx context.Context, path string, i int, tags ...string) (opens int, err error) {
	l, err := Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	w, err := workOf(i)
	if err != nil {
		return 0, err
	}
	own := counted(ocispec.MediaTypeImageLayer, noise(uint64(2+i), 10_000))
	for _, b := range []*countedBlob{w.big, own, w.config} {
		if _, err := l.PutBlob(ctx, b); err != nil {
			return 0, err
		}
	}
	return len(w.big.opens), l.PutManifest(ctx, w.m, tags...)
}

// whole reports what of the image called ref is missing or wrong at path.
func whole(ctx context.Context, path, ref string) (_ digest.Digest, err error) {
	l, err := Options{Deep: true}.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	m, err := l.Manifest(ctx, ref)
	if err != nil {
		return "", err
	}
	for _, d := range m.Blobs() {
		rc, err := l.Open(ctx, d, content.Range{})
		if err != nil {
			return "", err
		}
		if err := rc.Close(); err != nil {
			return "", err
		}
	}
	return m.Digest(), nil
}

// copyChild copies: PATH NUMBER TAG…
func copyChild(args []string) error {
	i, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	_, err = copyTo(context.Background(), args[0], i, args[2:]...)
	return err
}

func TestKilledAtAnyPointTheLayoutIsWholeAndOneRerunCompletes(t *testing.T) {
	const points = 20
	old, err := workOf(0)
	if err != nil {
		t.Fatal(err)
	}
	next, err := workOf(1)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := child(t, "copy", filepath.Join(t.TempDir(), "measured"), "1", "moving").Run(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	rnd := rand.New(rand.NewPCG(7, 11))
	killed := 0
	for point := range points {
		path := prepared(t)
		if point%2 == 0 {
			// Half of the runs have the big layer to fetch.
			if err := os.Remove(filepath.Join(path, "blobs", "sha256", old.big.d.Digest.Encoded())); err != nil {
				t.Fatal(err)
			}
		}
		after := time.Duration((float64(point) + rnd.Float64()) / points * float64(took))
		if killAfter(t, child(t, "copy", path, "1", "moving", "new"), after) {
			killed++
		}
		if point%2 == 0 {
			wantReadable(t, path, "moving", old.m.Digest(), next.m.Digest())
		} else {
			wantWhole(t, path, "moving", old.m.Digest(), next.m.Digest())
		}
		if err := child(t, "copy", path, "1", "moving", "new").Run(); err != nil {
			t.Fatalf("rerun after a kill at %v: %v", after, err)
		}
		wantWhole(t, path, "moving", next.m.Digest())
		wantWhole(t, path, "new", next.m.Digest())
		wantWhole(t, path, "kept", old.m.Digest())
		if left := strays(t, path); len(left) > 0 {
			t.Errorf("after a kill at %v and a rerun: %q are left", after, left)
		}
	}
	if killed == 0 {
		t.Error("no process was killed while it worked")
	}
}

// prepared returns a layout that has image 0.
func prepared(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layout")
	if _, err := copyTo(t.Context(), path, 0, "kept", "moving"); err != nil {
		t.Fatal(err)
	}
	return path
}

// killAfter runs cmd and kills it, as kill -9 does, when d has passed. It
// reports whether cmd was still running.
func killAfter(t *testing.T, cmd *exec.Cmd, d time.Duration) (killed bool) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(d, func() { _ = cmd.Process.Kill() }) // it may have ended
	err := cmd.Wait()
	return !timer.Stop() && err != nil
}

// wantWhole reports when ref at path does not stand for one of digests, with
// all its blobs.
func wantWhole(t *testing.T, path, ref string, digests ...digest.Digest) {
	t.Helper()
	if got, err := whole(t.Context(), path, ref); err != nil || !slices.Contains(digests, got) {
		t.Errorf("%s = %s, %v; want one of %s", ref, got, err, digests)
	}
}

// wantReadable is wantWhole for an image whose big layer the test has removed.
func wantReadable(t *testing.T, path, ref string, digests ...digest.Digest) {
	t.Helper()
	l, err := Open(path)
	if err != nil {
		t.Error(err)
		return
	}
	m, err := l.Manifest(t.Context(), ref)
	if err = errors.Join(err, l.Close()); err != nil || !slices.Contains(digests, m.Digest()) {
		t.Errorf("%s = %s, %v; want one of %s", ref, m.Digest(), err, digests)
	}
}

// roundsChild copies image NUMBER to each path that comes on standard input, and
// says how often it opened the big layer.
func roundsChild(args []string) error {
	i, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	paths := bufio.NewScanner(os.Stdin)
	for paths.Scan() {
		opens, err := copyTo(context.Background(), paths.Text(), i, "v"+args[0])
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(os.Stdout, opens); err != nil {
			return err
		}
	}
	return paths.Err()
}

func TestEightProcessesKeepAllTagsAndFetchTheSharedLayerOnce(t *testing.T) {
	const processes, rounds = 8, 20
	workers := make([]*worker, processes)
	for i := range workers {
		workers[i] = startWorker(t, i)
	}
	for round := range rounds {
		path := filepath.Join(t.TempDir(), "layout")
		for _, w := range workers {
			w.order(t, path)
		}
		opens := 0
		for _, w := range workers {
			opens += w.answer(t)
		}
		if opens != 1 {
			t.Errorf("round %d: the big layer was fetched %d times", round, opens)
		}
		for i := range processes {
			w, err := workOf(i)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := whole(t.Context(), path, "v"+strconv.Itoa(i)); got != w.m.Digest() || err != nil {
				t.Errorf("round %d: v%d = %s, %v", round, i, got, err)
			}
		}
		if left := strays(t, path); len(left) > 0 {
			t.Errorf("round %d: %q are left", round, left)
		}
	}
	for _, w := range workers {
		w.end(t)
	}
}

// A worker is a process that does round after round.
type worker struct {
	in   io.WriteCloser
	out  *bufio.Scanner
	wait func() error
}

func startWorker(t *testing.T, i int) *worker {
	t.Helper()
	cmd := child(t, "rounds", strconv.Itoa(i))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &worker{in, bufio.NewScanner(out), cmd.Wait}
}

func (w *worker) order(t *testing.T, path string) {
	t.Helper()
	if _, err := io.WriteString(w.in, path+"\n"); err != nil {
		t.Fatal(err)
	}
}

func (w *worker) answer(t *testing.T) int {
	t.Helper()
	if !w.out.Scan() {
		t.Fatal("a process has ended: ", w.out.Err())
	}
	n, err := strconv.Atoi(strings.TrimSpace(w.out.Text()))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (w *worker) end(t *testing.T) {
	t.Helper()
	if err := errors.Join(w.in.Close(), w.wait()); err != nil {
		t.Error(err)
	}
}

// putChild stores a blob of noise, SEED SIZE, in the layout at PATH under the
// process's limit on file sizes, LIMIT, and says what became of it.
func putChild(args []string) error {
	var numbers [3]int
	for i := range numbers {
		n, err := strconv.Atoi(args[1+i])
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	if err := limitFiles(numbers[2]); err != nil {
		return err
	}
	l, err := Open(args[0])
	if err != nil {
		return err
	}
	_, err = l.PutBlob(context.Background(), counted("", noise(uint64(numbers[0]), numbers[1])))
	var said bytes.Buffer
	fmt.Fprintf(&said, "%t %v\n", errors.Is(err, content.ErrNoSpace), err)
	_, err = said.WriteTo(os.Stdout)
	return errors.Join(err, l.Close())
}
