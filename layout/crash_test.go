package layout

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
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
	raw, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: w.config.d, Layers: []ocispec.Descriptor{w.big.d, own.d},
	})
	if err != nil {
		return work{}, err
	}
	w.m, err = content.ParseManifest("", raw, content.Limits{})
	return w, err
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

// whole reports what of the image called ref is missing or wrong at path. It
// hashes every blob.
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
		right := d.Digest.Verifier()
		if _, err := io.Copy(right, rc); errors.Join(err, rc.Close()) != nil || !right.Verified() {
			return "", fmt.Errorf("%s has other bytes: %w", d.Digest, errors.Join(err, content.ErrCorrupt))
		}
	}
	return m.Digest(), nil
}

// wantWhole reports when ref at path does not stand for one of digests, with
// all its blobs.
func wantWhole(t *testing.T, path, ref string, digests ...digest.Digest) {
	t.Helper()
	if got, err := whole(t.Context(), path, ref); err != nil || !slices.Contains(digests, got) {
		t.Errorf("%s = %s, %v; want one of %s", ref, got, err, digests)
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
	const processes = 8
	rounds := rounds(5, 100)
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

// rounds returns few, or many under make soak.
func rounds(few, many int) int {
	if os.Getenv("WHERRY_SOAK") != "" {
		return many
	}
	return few
}

// A worker is a process that does round after round.
type worker struct {
	in   io.WriteCloser
	out  *bufio.Scanner
	wait func() error
}

func startWorker(t *testing.T, i int) *worker {
	t.Helper()
	return startChild(t, child(t, "rounds", strconv.Itoa(i)))
}

func startChild(t *testing.T, cmd *exec.Cmd) *worker {
	t.Helper()
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

// said returns the next line.
func (w *worker) said(t *testing.T) string {
	t.Helper()
	if !w.out.Scan() {
		t.Fatal("a process has ended: ", w.out.Err())
	}
	return strings.TrimSpace(w.out.Text())
}

func (w *worker) answer(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(w.said(t))
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
