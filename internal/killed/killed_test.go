package killed

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/testlink"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// A line is what lies between the program and a registry.
type line struct {
	name string
	// through returns the address at which host is reached over the line.
	through func(t *testing.T, host string) string
}

// lines are loopback, and one that makes it worth while to use many connections.
var lines = []line{
	{"loopback", func(_ *testing.T, host string) string { return host }},
	{"a slow line", func(t *testing.T, host string) string {
		t.Helper()
		return testlink.Start(t, host, testlink.Shape{RTT: 50 * time.Millisecond, PerConn: 10 << 20}).Addr()
	}},
}

// A scene is what copies are killed in: the image old is at the destination
// already, and next comes to it.
type scene struct {
	t         *testing.T
	line      line
	home      string // of the program, and of what all copies share
	top       string // of the destination of one copy
	old, next testimage.Image
}

// A way is a pair of places that copies go between.
type way struct {
	name string
	// begin makes both places anew, and returns the arguments of the copy and what
	// looks at the destination: after holds when the copy was killed, done when it
	// came to its end.
	begin func(s *scene) (args []string, after, done func())
}

var ways = []way{
	{"pull", pulls},
	{"push", pushes},
	{"copy", copies},
	{"save", saves},
}

// images returns the image that is there and the one that is copied: a layer is
// big enough to be read over several connections, and another one is in both.
func images() (old, next testimage.Image) {
	a, b := testimage.Builder{Seed: 5}, testimage.Builder{Seed: 6}
	shared := a.Layer(testimage.Stored, 1<<20)
	old = a.Done(a.Image("linux/amd64", shared, a.Layer(testimage.Stored, 100<<10)))
	b.Blob(shared.Descriptor.MediaType, old.Blobs[shared.Descriptor.Digest])
	next = b.Done(b.Image("linux/amd64", shared, b.Layer(testimage.Stored, 17<<20), b.Layer(testimage.Stored, 3<<20), b.Layer(testimage.Stored, 30<<10)))
	return old, next
}

// TestKilledAtAnyMomentWhatIsThereIsWholeAndOneRerunCompletes kills copies at
// moments that follow from a seed, those on a slow line at the same time.
func TestKilledAtAnyMomentWhatIsThereIsWholeAndOneRerunCompletes(t *testing.T) {
	old, next := images()
	for i, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			s := &scene{t: t, line: lines[0], home: t.TempDir(), old: old, next: next}
			w.kill(s, soak(5), rand.New(rand.NewPCG(7, uint64(i))))
		})
	}
	for i, w := range ways {
		t.Run(w.name+" on a slow line", func(t *testing.T) {
			t.Parallel()
			s := &scene{t: t, line: lines[1], home: t.TempDir(), old: old, next: next}
			w.kill(s, soak(1), rand.New(rand.NewPCG(11, uint64(i))))
		})
	}
}

// soak returns how many copies are killed: few, or 200 under make soak.
func soak(few int) int {
	if os.Getenv("WHERRY_SOAK") != "" {
		return 200
	}
	return few
}

func (w way) kill(s *scene, points int, rnd *rand.Rand) {
	s.t.Helper()
	s.top = filepath.Join(s.home, "whole")
	args, _, done := w.begin(s)
	took := finish(s.t, s.home, args...)
	done()
	killed := 0
	for point := range points {
		// One that was done before is as good, but takes less time than was thought.
		for range 3 {
			part := (float64(point) + rnd.Float64()) / float64(points)
			after := time.Duration(part * float64(took))
			s.top = filepath.Join(s.home, fmt.Sprint(point, after))
			args, check, done := w.begin(s)
			atWork := killWhen(s.t, wherry(s.t, s.home, args...), func() <-chan time.Time { return time.After(after) })
			check()
			finish(s.t, s.home, args...)
			done()
			if s.t.Failed() {
				s.t.Fatalf("killed after %v", after)
			}
			if err := os.RemoveAll(s.top); err != nil {
				s.t.Fatal(err)
			}
			if atWork {
				killed++
				break
			}
			took = after
		}
	}
	s.t.Logf("%d of %d were killed at work, which takes %v", killed, points, took)
	if killed < max(1, points*3/4) {
		s.t.Errorf("only %d of %d were killed while they worked", killed, points)
	}
}

// registry starts a registry that has old and, where the copy comes from it, next.
func (s *scene) registry(has ...testimage.Image) *testregistry.Registry {
	s.t.Helper()
	r := testregistry.Start(s.t, testregistry.Config{})
	for i, img := range has {
		img.PutTo(r, "app", []string{"old", "next"}[i])
	}
	return r
}

// source returns a layout that has both images, and is the same each time.
func (s *scene) source() string {
	s.t.Helper()
	path := filepath.Join(s.home, "source")
	if _, err := os.Stat(path); err != nil {
		writeLayout(s.t, path, s.old, s.next)
	}
	return path
}

// destination makes a layout that has the old image.
func (s *scene) destination() string {
	s.t.Helper()
	path := filepath.Join(s.top, "destination")
	writeLayout(s.t, path, s.old)
	return path
}

func pulls(s *scene) (args []string, after, done func()) {
	r, dst := s.registry(s.old, s.next), s.destination()
	args = []string{"copy", "-q", "docker://" + s.line.through(s.t, r.Host()) + "/app:next", "oci:" + dst + ":next"}
	return args, func() { s.wantLayout(dst, stands) }, func() { s.wantLayout(dst, complete) }
}

func copies(s *scene) (args []string, after, done func()) {
	src, dst := s.source(), s.destination()
	args = []string{"copy", "-q", "oci:" + src + ":next", "oci:" + dst + ":next"}
	return args, func() { s.wantLayout(dst, stands) }, func() { s.wantLayout(dst, complete) }
}

func pushes(s *scene) (args []string, after, done func()) {
	src, r := s.source(), s.registry(s.old)
	args = []string{"copy", "-q", "oci:" + src + ":next", "docker://" + s.line.through(s.t, r.Host()) + "/app:next"}
	return args, func() { s.wantRegistry(r, stands) }, func() { s.wantRegistry(r, complete) }
}

func saves(s *scene) (args []string, after, done func()) {
	r := s.registry(s.old, s.next)
	folder := filepath.Join(s.top, "out")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(folder, "image.tar")
	before := []byte("what was there before")
	if err := os.WriteFile(file, before, 0o600); err != nil {
		s.t.Fatal(err)
	}
	args = []string{"copy", "-q", "docker://" + s.line.through(s.t, r.Host()) + "/app:next", "oci-archive:" + file + ":next"}
	after = func() {
		raw, err := os.ReadFile(file)
		if err != nil {
			s.t.Error(err)
		}
		if string(raw) != string(before) {
			s.wantArchive(file)
		}
	}
	done = func() {
		s.wantArchive(file)
		if left := listing(s.t, folder); left != "image.tar" {
			s.t.Errorf("%s lie there", left)
		}
	}
	return args, after, done
}
