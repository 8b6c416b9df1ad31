package layout

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

const (
	leasesDir = ownDir + "/leases"
	gateFile  = ownDir + "/gc" // held alone by who removes blobs; nobody waits for anything else who holds it, in either way
)

// A lease is what a run relies on from the moment it looks for it until it ends:
// a file with a digest in each line, and beside it a lock that is held meanwhile.
// What stands in it is not removed by [Layout.Collect]. A digest is written while
// the gate is passed: whoever holds the gate alone reads all that is relied on.
type lease struct {
	k *disk

	mu   sync.Mutex
	gate durable.Gate
	lock *durable.Lock // nil before the first digest
	name string
	size int64 // bytes of the file that count
	has  map[digest.Digest]bool
}

// add writes down digests that do not stand in the lease yet.
func (l *lease) add(ctx context.Context, digests ...digest.Digest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines strings.Builder
	for _, d := range digests {
		if !l.has[d] {
			lines.WriteString(d.String() + "\n")
		}
	}
	if lines.Len() == 0 {
		return nil
	}
	if l.lock == nil {
		if err := l.begin(ctx); err != nil {
			return err
		}
	}
	var failed error
	waits := func(pid int) { l.k.waits(gateFile, "", pid) }
	err := l.gate.Pass(ctx, waits, func() error {
		failed = l.write(lines.String())
		return nil
	})
	if err != nil {
		return l.k.fail("lock", gateFile, err)
	}
	if failed != nil {
		return l.k.fail("write", l.name, failed)
	}
	for _, d := range digests {
		l.has[d] = true
	}
	return nil
}

// begin takes the lock of a lease that has nothing in it yet.
func (l *lease) begin(ctx context.Context) error {
	name := leasesDir + "/" + strings.ToLower(rand.Text())
	lock, err := l.k.lock(ctx, name+lockEnd, "")
	if err != nil {
		return err
	}
	l.name, l.lock, l.size, l.has = name, lock, 0, map[digest.Digest]bool{}
	l.gate = durable.Gate{Root: l.k.root, Name: gateFile}
	return nil
}

// write writes lines behind those that are there. The file is closed each time:
// then they are seen on network disks too. What a full disk took a part of only
// is written over the next time.
func (l *lease) write(lines string) error {
	f, err := l.k.root.OpenFile(l.name, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(lines), l.size)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	l.size += int64(len(lines))
	return nil
}

// end gives the lease up. Of folders that it was the first to need nothing stays.
// What cannot be removed harms nobody: it is a lease that nobody holds.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		return
	}
	_ = l.k.root.Remove(l.name)
	_ = l.gate.Close()
	_ = l.lock.Release()
	l.lock = nil
	l.k.endStaleLeases()
	_ = l.k.root.Remove(leasesDir) // others may have something in it
	_ = l.k.root.Remove(ownDir)
}

// relies writes down that the blobs are needed. Of a folder that is not made yet
// nothing can be removed, and of a plain directory nobody removes anything.
func (k *disk) relies(ctx context.Context, digests ...digest.Digest) error {
	if k.lease == nil || !k.made.Load() {
		return nil
	}
	return k.lease.add(ctx, digests...)
}

// leased returns what stands in leases that are held. Others are those of runs
// that have ended, and are removed. The caller holds the gate alone.
func (k *disk) leased() ([]digest.Digest, error) {
	files, err := k.list(leasesDir)
	if err != nil {
		return nil, err
	}
	var all []digest.Digest
	last := ""
	for _, f := range files {
		lease, _, _ := strings.Cut(f.Name(), ".") // a lock's name goes on
		if lease == last {
			continue
		}
		last = lease
		found, err := k.readLease(leasesDir + "/" + lease)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// endStaleLeases removes the leases of runs that were killed, where nobody has
// collected since. What cannot be removed harms nobody.
func (k *disk) endStaleLeases() {
	files, err := k.list(leasesDir)
	if err != nil {
		return
	}
	for _, f := range files {
		lease, _, _ := strings.Cut(f.Name(), ".") // a lock's name goes on
		k.endStale(leasesDir + "/" + lease)
	}
}

// endStale removes lease name if nobody holds it, and reports whether it did. One
// whose lock cannot be tried is held.
func (k *disk) endStale(name string) (stale bool) {
	lock, err := durable.Try(k.root, name+lockEnd)
	if err != nil {
		return false
	}
	_ = k.root.Remove(name) // gone, or tried again the next time
	_ = lock.Release()
	return true
}

// readLease returns what stands in a lease that is held. A line that is no digest
// is one whose writing has failed, on a full disk: nobody relies on what it was
// about.
func (k *disk) readLease(name string) ([]digest.Digest, error) {
	if k.endStale(name) {
		return nil, nil
	}
	raw, err := durable.ReadRegular(k.root, name, unlimited, content.ErrInvalid)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // its run has just ended
	}
	if err != nil {
		return nil, k.fail("read", name, err)
	}
	var found []digest.Digest
	for line := range strings.Lines(string(raw)) {
		d := digest.Digest(strings.TrimSuffix(line, "\n"))
		if content.CheckDigest(d) == nil {
			found = append(found, d)
		}
	}
	return found, nil
}
