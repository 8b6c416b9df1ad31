package matrix

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type originKind struct {
	name string
	make func(t *testing.T, img testimage.Image) origin
	not  []string // kinds of content it cannot hold
}

func origins() []originKind {
	return []originKind{
		{"registry", fromRegistry, nil},
		{"layout", fromLayout, nil},
		{"OCI archive", fromOCIArchive, nil},
		{"docker archive", fromDockerArchive, []string{"artifact", "empty-config", "empty-index", "orphan"}},
		{"plain directory", fromDir, nil},
	}
}

type goalKind struct {
	name string
	make func(t *testing.T) *goal
}

func goals() []goalKind {
	return []goalKind{
		{"registry", toRegistry},
		{"layout", toLayout},
		{"OCI archive", toOCIArchive},
		{"docker archive", toDockerArchive},
		{"plain directory", toDir},
	}
}

// copyOnce copies, as a process of its own, and returns what became of it.
func copyOnce(t *testing.T, c *transfer.Copier, from origin, to *goal) *transfer.TargetResult {
	t.Helper()
	result := run(t, c, transfer.Job{
		Name: "image", Src: from.open(t), Ref: from.ref,
		Filter: transfer.Filter{Referrers: true},
		Dst:    []transfer.Target{to.target(t)},
	})
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return result.Images[0].Targets[0]
}

// run plans and runs jobs.
func run(t *testing.T, c *transfer.Copier, jobs ...transfer.Job) *transfer.Result {
	t.Helper()
	plan, err := c.Plan(t.Context(), jobs...)
	if err != nil {
		t.Fatal(err)
	}
	result, err := c.Run(t.Context(), plan)
	if result == nil {
		t.Fatal(err)
	}
	return result
}

// TestEveryKindBetweenEveryPair counts its cells: one that is left out fails.
func TestEveryKindBetweenEveryPair(t *testing.T) {
	var cells atomic.Int64
	kinds := testimage.Kinds()
	t.Run("copy", func(t *testing.T) { copyAll(t, kinds, &cells) })
	if want := (len(kinds)*5 - 4) * 5; len(kinds) < 21 || int(cells.Load()) != want {
		t.Errorf("%d cells of %d went well", cells.Load(), want)
	}
}

func copyAll(t *testing.T, kinds []testimage.Kind, cells *atomic.Int64) {
	t.Helper()
	for i, kind := range kinds {
		img := kind.Make(uint64(100 + i))
		for _, from := range origins() {
			if slices.Contains(from.not, kind.Name) {
				continue
			}
			for _, to := range goals() {
				name := kind.Name + " from " + from.name + " to " + to.name
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					copyTwice(t, from.make(t, img), to.make(t), kind.Name)
					if !t.Failed() {
						cells.Add(1)
					}
				})
			}
		}
	}
}

// copyTwice copies and checks every byte, then copies again, which moves nothing.
func copyTwice(t *testing.T, from origin, to *goal, kind string) {
	t.Helper()
	want := from.want(t)
	remembered := contenttest.NewFacts()
	first := copyOnce(t, &transfer.Copier{Facts: remembered}, from, to)
	if first.UpToDate || first.Existed > 0 || first.Mounted > 0 {
		t.Errorf("an empty place had something: %+v", first)
	}
	to.read(t).check(t, want.renamed(to.name))
	read := firstRead(t, kind, want)
	if kind == "referrers" && to.registry != nil {
		read["GET referrers"]++ // of the index, to know when that changes
	}
	wantRequests(t, "first run, source", from.registry, read)
	wantRequests(t, "first run, destination", to.registry, firstWrite(t, kind, first, want))
	checkRead(t, to, want)

	before := to.snapshot(t)
	reset(from.registry, to.registry)
	second := copyOnce(t, &transfer.Copier{Facts: remembered}, from, to)
	to.read(t).check(t, want.renamed(to.name))
	before.wantUntouched(t, to.snapshot(t))
	if to.file {
		wantWrittenAnew(t, from, first, second, kind)
		return
	}
	if second.Stored > 0 || second.Mounted > 0 || second.Bytes > 0 {
		t.Errorf("the second run moved blobs: %+v", second)
	}
	if moved := blobBytes(from.registry, to.registry); moved > 0 {
		t.Errorf("the second run moved %d bytes of blobs", moved)
	}
	wantSecond(t, from, to, kind)
}

// wantWrittenAnew checks what a second copy into an archive costs, which is what the first one did (ADR 12): each
// blob is read and written again. That the file is the same byte for byte is for the caller to look at.
func wantWrittenAnew(t *testing.T, from origin, first, second *transfer.TargetResult, kind string) {
	t.Helper()
	if second.UpToDate || second.Stored != first.Stored || second.Bytes != first.Bytes || second.Existed > 0 || second.Mounted > 0 {
		t.Errorf("the second run wrote %+v, the first %+v", second, first)
	}
	wantRequests(t, "second run, source", from.registry, firstRead(t, kind, from.want(t)))
}

// checkRead reads what was written with wherry.
func checkRead(t *testing.T, to *goal, want store) {
	t.Helper()
	src := to.source(t)
	for name, d := range want.names {
		ref := to.name(name)
		if name == tag {
			ref = to.ref()
		}
		m, err := src.Manifest(t.Context(), ref)
		if err != nil || !bytes.Equal(m.Raw(), want.bytes[d]) {
			t.Errorf("%s reads as %s, %v; want %s", ref, m.Digest(), err, d)
		}
	}
}

// A snapshot is what lies in a place on disk: the files of a folder, without what the place keeps for itself in folders
// whose names start with a dot; of an archive, which every copy writes anew, its digest.
type snapshot struct {
	files  map[string]fs.FileInfo
	digest string
}

func (g *goal) snapshot(t *testing.T) snapshot {
	t.Helper()
	switch {
	case g.registry != nil:
		return snapshot{}
	case g.file:
		return snapshot{digest: digestOfFile(t, g.path)}
	}
	s := snapshot{files: map[string]fs.FileInfo{}}
	for name := range inFolder(t, g.path) {
		info, err := os.Stat(filepath.Join(g.path, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		s.files[name] = info
	}
	return s
}

// wantUntouched wants every file to be the one it was, neither replaced nor written to, and no other to be there.
func (s snapshot) wantUntouched(t *testing.T, after snapshot) {
	t.Helper()
	if s.digest != after.digest {
		t.Errorf("the second run made another archive: %s became %s", s.digest, after.digest)
	}
	for name, was := range s.files {
		is, there := after.files[name]
		if !there || !os.SameFile(was, is) || was.Size() != is.Size() || !was.ModTime().Equal(is.ModTime()) {
			t.Errorf("the second run wrote %s, or took it away", name)
		}
	}
	for name := range after.files {
		if s.files[name] == nil {
			t.Errorf("the second run wrote a new file %s", name)
		}
	}
}

func reset(registries ...*testregistry.Registry) {
	for _, r := range registries {
		if r != nil {
			r.Reset()
		}
	}
}

func blobBytes(registries ...*testregistry.Registry) int64 {
	var n int64
	for _, r := range registries {
		if r != nil {
			n += r.BlobBytesSent() + r.BlobBytesReceived()
		}
	}
	return n
}
