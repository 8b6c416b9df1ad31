package layout

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/durable"
)

// CollectOptions say what may be removed.
type CollectOptions struct {
	// Grace is for how long a blob stays after it was stored, though nothing
	// reaches it: a tool that has no lease may be about to name it. 0 means an
	// hour, a negative one no time.
	Grace time.Duration

	// Forget are what the caller does away with: their entries of index.json that
	// have no name are dropped, and Grace counts neither for them nor for what they
	// need and what refers to them. What has a name stays.
	Forget []digest.Digest

	// Now is the time that ages are told by; zero is the time that it is.
	Now time.Time

	// DryRun finds out what would be removed, and removes none of it.
	DryRun bool
}

// Collected is what was removed, and what would have been but for those who may
// need it.
type Collected struct {
	Removed  []digest.Digest      // blobs, in the order in which they went
	Dropped  []ocispec.Descriptor // entries of index.json that were to be forgotten, or referred to what went
	Partials []digest.Digest      // of which a part was there that nobody has worked on for a week
	Bytes    int64                // of all these

	Leased []digest.Digest // blobs that runs under way rely on, sorted
	Young  []digest.Digest // blobs that were stored just now, and what they need, sorted
}

const (
	standardGrace = time.Hour

	holdGate  = 20 * time.Millisecond // for which who removes blobs keeps others waiting, in layouts of some thousand blobs
	leaveGate = 10 * time.Millisecond // between: more than those wait who pass the gate
)

// Collect removes the blobs that nothing in index.json reaches, and what refers
// to them. Reached are, from an entry that has a name or is an image, the
// children of indexes, configs and layers, and what refers to any of these and
// has an entry without a name or under a tag sha256-… of its subject, again with
// what it needs. Where any of that cannot be read, nothing is removed.
//
// What runs under way rely on stays, and what was stored within the grace period,
// each with what it needs. Partial blobs that nobody has worked on for a week are
// removed too. Where it is broken off Collected says what was removed until then,
// and the layout is as good as before.
func (l *Layout) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	if !l.disk.made.Load() {
		return Collected{}, nil
	}
	if o.Grace == 0 {
		o.Grace = standardGrace
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	c := &collection{survey: newSurvey(l, o.Forget), o: o, young: map[digest.Digest]bool{}}
	err := c.run(ctx)
	return c.got, err
}

// A collection is the removal of blobs under way.
//
// It is safe beside runs that store blobs since each blob is removed while the
// gate is held alone, after all leases were read and, after these, index.json. A
// run that relies on the blob is then in one of three states. Its lease has the
// blob, which stays. Or it has ended its lease before the leases were read: what
// it has named stood in index.json by then, which is read later, and reaches the
// blob. Or it has not written the blob into its lease: then it does so when the
// gate is left, looks for the blob after that, and stores it anew.
//
// A run may find a manifest and take it for all that it needs. Therefore a
// manifest goes before what it needs, and what is kept for whatever reason, be it
// a lease, its age, or that it was stored since all was looked through, is kept
// with what it needs.
type collection struct {
	*survey
	o       CollectOptions
	freed   set                    // for which the grace period does not count
	young   map[digest.Digest]bool // whether a blob was stored within the grace period, for those that were looked at
	dropped []ocispec.Descriptor   // of the index that is being written
	got     Collected

	kept   set             // when it was last found out; nil before that was found out
	leased []digest.Digest // what stood in leases then
	doomed []digest.Digest // what is left to be removed of what is not kept; nil before that was found out
}

func (c *collection) run(ctx context.Context) error {
	if err := c.look(ctx); err != nil {
		return err
	}
	c.freed = c.graph.from(c.o.Forget, c.claims)
	if c.o.DryRun {
		return c.foretell(ctx)
	}
	drop := c.toDrop(c.graph.reach(c.claims))
	for {
		if drop {
			if err := c.forget(ctx); err != nil {
				return err
			}
		}
		if c.forgotten != nil {
			c.index, c.forgotten = nil, nil // an entry that comes from here on is another one
		}
		var done bool
		var err error
		if drop, done, err = c.removeSome(ctx); err != nil {
			return err
		}
		if done {
			break
		}
		if err := wait(ctx, leaveGate); err != nil {
			return err
		}
	}
	err := c.removePartials(ctx)
	_ = c.l.disk.root.Remove(leasesDir) // others may have something in it
	_ = c.l.disk.root.Remove(ownDir)
	return err
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// foretell says what would be removed.
func (c *collection) foretell(ctx context.Context) error {
	kept, err := c.decide(ctx, c.l.index)
	if err != nil {
		return err
	}
	for _, e := range c.index.entries {
		if c.drops(kept, e) {
			c.got.Dropped = append(c.got.Dropped, e.descriptor())
		}
	}
	for _, d := range c.graph.doomed(kept) {
		fi, err := c.l.disk.root.Lstat(c.l.disk.place(d))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just been removed
		}
		if err != nil {
			return c.l.disk.fail("read", c.l.disk.place(d), err)
		}
		c.got.Removed = append(c.got.Removed, d)
		c.got.Bytes += fi.Size()
	}
	return c.removePartials(ctx)
}

// keep returns what of the graph stays for the entries that were read last, and
// says in got why.
func (c *collection) keep(leased []digest.Digest) (set, error) {
	named := c.graph.reach(c.claims)
	held := slices.Concat(leased, c.fresh)
	relied := c.graph.reach(c.claims, held...)
	for d := range c.graph {
		if relied[d] {
			continue
		}
		young, err := c.isYoung(d)
		if err != nil {
			return nil, err
		}
		if young {
			held = append(held, d)
		}
	}
	kept := c.graph.reach(c.claims, held...)
	c.got.Leased, c.got.Young = c.graph.between(named, relied), c.graph.between(relied, kept)
	return kept, nil
}

// isYoung reports whether blob d was stored within the grace period.
func (c *collection) isYoung(d digest.Digest) (bool, error) {
	if young, known := c.young[d]; known {
		return young, nil
	}
	fi, err := c.l.disk.root.Lstat(c.l.disk.place(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, c.l.disk.fail("read", c.l.disk.place(d), err)
	}
	c.young[d] = err == nil && c.countsAsYoung(d, fi)
	return c.young[d], nil
}

func (c *collection) countsAsYoung(d digest.Digest, fi fs.FileInfo) bool {
	return !c.freed[d] && c.o.Now.Sub(fi.ModTime()) < c.o.Grace
}

// gate takes the gate alone.
func (k *disk) gate(ctx context.Context) (*durable.Lock, error) {
	return k.takeLock(gateFile, func() (*durable.Lock, error) {
		return durable.Acquire(ctx, k.root, gateFile, func(pid int) { k.waits(gateFile, "", pid) })
	})
}

// forget drops the entries of what refers to something that is removed. It holds
// the lock of index.json before it takes the gate: who has the gate waits for
// nobody.
func (c *collection) forget(ctx context.Context) (err error) {
	var gate *durable.Lock
	defer func() {
		if gate != nil {
			err = errors.Join(err, gate.Release())
		}
	}()
	err = c.l.edit(ctx, func(x *index) (changed bool, err error) {
		if gate == nil {
			gate, err = c.l.disk.gate(ctx)
		}
		if err != nil {
			return false, err
		}
		return c.drop(ctx, x)
	})
	if err == nil {
		c.got.Dropped = append(c.got.Dropped, c.dropped...)
	}
	return err
}

// drop drops the entries of x that nothing keeps. The caller holds the gate, and
// nobody names anything meanwhile: x is what index.json says when the leases are
// read.
func (c *collection) drop(ctx context.Context, x *index) (changed bool, err error) {
	kept, err := c.decide(ctx, func() (*index, error) { return x, nil })
	if err != nil {
		return false, err
	}
	var left []entry
	c.dropped = nil
	for _, e := range x.entries {
		if c.drops(kept, e) {
			c.dropped = append(c.dropped, e.descriptor())
			continue
		}
		left = append(left, e)
	}
	x.entries, c.index = left, nil // x is another one now
	return len(c.dropped) > 0, nil
}

// toDrop reports whether some of the entries that were read last have no place in
// index.json.
func (c *collection) toDrop(kept set) bool {
	return slices.ContainsFunc(c.index.entries, func(e entry) bool { return c.drops(kept, e) })
}

// drops reports whether e has no place in index.json where kept is all that is kept.
func (c *collection) drops(kept set, e entry) bool {
	return !kept[e.digest] || c.forgets(e)
}

// decide returns what is kept now. The caller holds the gate.
func (c *collection) decide(ctx context.Context, read func() (*index, error)) (set, error) {
	leased, err := c.l.disk.leased()
	if err != nil {
		return nil, err
	}
	x, err := read() // after the leases: see collection
	if err != nil {
		return nil, err
	}
	fresh := len(c.fresh)
	same := c.kept != nil && x == c.index && slices.Equal(leased, c.leased)
	if err := c.renew(ctx, x); err != nil {
		return nil, err
	}
	if same && fresh == len(c.fresh) {
		return c.kept, nil
	}
	c.leased, c.doomed = leased, nil
	c.kept, err = c.keep(leased)
	return c.kept, err
}

// removeSome removes blobs for as long as others may be kept waiting. done is true
// where no more are left, and drop where entries have to go first, of what has lost
// its subject since.
func (c *collection) removeSome(ctx context.Context) (drop, done bool, err error) {
	gate, err := c.l.disk.gate(ctx)
	if err != nil {
		return false, false, err
	}
	defer func() { err = errors.Join(err, gate.Release()) }()
	began := time.Now()
	kept, err := c.decide(ctx, c.l.index)
	if err != nil || c.toDrop(kept) {
		return true, false, err
	}
	if c.doomed == nil {
		c.doomed = c.graph.doomed(kept)
	}
	// In a large layout it takes longer to find out what to remove: that is not to
	// be most of the work.
	hold := max(holdGate, 3*time.Since(began))
	for ; len(c.doomed) > 0; c.doomed = c.doomed[1:] {
		if time.Since(began) > hold {
			return false, false, nil
		}
		if ctx.Err() != nil {
			return false, false, context.Cause(ctx)
		}
		gone, err := c.remove(c.doomed[0])
		if err != nil || !gone {
			return false, false, err
		}
	}
	return false, true, nil
}

// remove removes blob d. gone is false where it was stored again meanwhile by who
// has no lease.
func (c *collection) remove(d digest.Digest) (gone bool, err error) {
	k, name := c.l.disk, c.l.disk.place(d)
	fi, err := k.root.Lstat(name)
	if err == nil && c.countsAsYoung(d, fi) {
		c.young[d], c.kept = true, nil
		return false, nil
	}
	if err == nil {
		err = k.root.Remove(name)
	}
	switch {
	case err == nil:
		c.got.Removed = append(c.got.Removed, d)
		c.got.Bytes += fi.Size()
	case !errors.Is(err, fs.ErrNotExist): // else another tool has removed it
		return false, k.fail("remove", name, err)
	}
	delete(c.graph, d)
	k.right.Delete(d)
	c.l.facts.seen.Delete(d)
	_ = k.root.Remove(k.mark(d)) // it is that of no file by now
	return true, nil
}
