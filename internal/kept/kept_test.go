package kept

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// tenth returns n under make soak, and else a tenth of it.
func tenth(n int) int {
	if os.Getenv("WHERRY_SOAK") != "" {
		return n
	}
	return n / 10
}

// inMemory returns a folder that is in memory where there is such a place: disks
// take long to make many small files durable.
func inMemory(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "wherry-*") //nolint:usetesting // the folder for tests may be on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// A sequence is what happens to one store, one thing after the other.
type sequence struct {
	model
	r      *rand.Rand
	folder string   // in which the store is, copies of it and backups
	copies int      // that were made
	chain  []saved  // backups, each an increment of the one before
	log    []string // what was done
}

// steps are what may happen, each as often as its weight says. A step returns the
// state that it leads to when nothing strikes it.
var steps = []struct {
	name   string
	weight int
	do     func(q *sequence, t *testing.T, d *doom) (state, error)
}{
	{"pull", 6, (*sequence).pull},
	{"pull while others prune", 1, (*sequence).pullWhilePruned},
	{"load", 2, (*sequence).load},
	{"tag", 3, (*sequence).tag},
	{"rmi a name", 3, (*sequence).removeName},
	{"rmi an image", 1, (*sequence).removeImage},
	{"prune", 2, (*sequence).prune},
	{"prune within the grace period", 1, (*sequence).pruneYoung},
	{"backup and restore", 1, (*sequence).backUp},
}

// step does one of the steps. Every third is struck at one of its moments: it is
// cancelled, or all that works on the store is killed.
func (q *sequence) step(t *testing.T) {
	t.Helper()
	sum := 0
	for _, s := range steps {
		sum += s.weight
	}
	at, n := q.r.IntN(sum), 0
	for at >= steps[n].weight {
		at -= steps[n].weight
		n++
	}
	d := &doom{}
	var killed string
	switch q.r.IntN(6) {
	case 0:
		d.left, d.strike = 1+q.r.IntN(40), func() {}
	case 1:
		d.left, d.strike = 1+q.r.IntN(40), func() {
			q.copies++
			killed = filepath.Join(q.folder, fmt.Sprint("copy", q.copies))
			snapshot(t, q.path, killed)
		}
	}
	q.log = append(q.log, steps[n].name)
	want, err := steps[n].do(q, t, d)
	if killed != "" {
		q.log = append(q.log, "killed")
		q.leave(t, killed)
	}
	switch {
	case d.struck && (killed != "" || err != nil):
		q.settle(t, want)
	case err != nil:
		t.Errorf("%s: %v", steps[n].name, err)
	default:
		q.state = want
	}
	q.check(t)
}

// leave goes on with a copy of the store.
func (q *sequence) leave(t *testing.T, to string) {
	t.Helper()
	if err := os.RemoveAll(q.path); err != nil {
		t.Error(err)
	}
	q.path = to
}

var tags = []string{"app:1", "app:2", "team/app:1", "registry.example/db:1"}

func (q *sequence) aTag() string { return tags[q.r.IntN(len(tags))] }

func (q *sequence) aRoot() digest.Digest { return q.world.roots[q.r.IntN(len(q.world.roots))] }

func sorted[M ~map[K]V, K string | digest.Digest, V any](m M) []K {
	return slices.Sorted(maps.Keys(m))
}

// Whatever happens to a store, it keeps what it promises: named images with the
// platforms that were pulled, what refers to them, and nothing else for long.
func TestAStoreKeepsWhatItPromises(t *testing.T) {
	w, folder := newWorld(), inMemory(t)
	for seed := range tenth(1000) {
		q := &sequence{
			model:  model{state: newState(), world: w, path: filepath.Join(folder, fmt.Sprint("store", seed))},
			r:      rand.New(rand.NewPCG(uint64(seed), 0)),
			folder: folder,
		}
		for range 8 {
			if q.step(t); t.Failed() {
				t.Fatalf("sequence %d: %s", seed, strings.Join(q.log, ", "))
			}
		}
		q.checkSignatures(t)
		q.checkBytes(t)
		if err := os.RemoveAll(q.path); err != nil {
			t.Error(err)
		}
	}
}
