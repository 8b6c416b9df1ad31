package kept

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/backup"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/transfer"
)

// longestChain is how many backups build on each other before a full one.
const longestChain = 4

// A saved backup is a file, and what the next one need not have.
type saved struct {
	path string
	id   digest.Digest
	all  []ocispec.Descriptor
}

// A heldFile gets its name from who writes its description, and not from the engine.
type heldFile struct{ *archive.Writer }

// Commit implements [content.Committer] and does nothing.
func (heldFile) Commit(context.Context) error { return nil }

// backUp makes a full backup of the store or an increment, and wants a store that is
// restored from it, and from all that it builds on, to be what this one is.
func (q *sequence) backUp(t *testing.T, d *doom) (state, error) {
	t.Helper()
	want := q.clone()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	strike := d.strike
	d.strike = func() {
		strike()
		cancel(errDoomed)
	}
	s := q.open(t)
	snap, err := s.Snapshot()
	if err != nil || len(snap.Roots()) == 0 {
		return want, errors.Join(err, s.Close())
	}
	if len(q.chain) == longestChain {
		q.chain = nil
	}
	q.copies++
	made, err := q.save(ctx, s, d, snap, filepath.Join(q.folder, fmt.Sprintf("backup%d.tar", q.copies)))
	if err = errors.Join(err, s.Close()); err != nil {
		return want, err
	}
	q.chain = append(q.chain, made)
	restored := &model{state: q.backedUp(snap, made), world: q.world, path: filepath.Join(q.folder, fmt.Sprint("restored", q.copies))}
	if err := q.restore(t.Context(), restored.path); err != nil {
		return want, err
	}
	restored.check(t)
	restored.checkSignatures(t)
	restored.checkBytes(t)
	return want, os.RemoveAll(restored.path)
}

// backedUp returns what a store is to show that is restored from a backup: what this
// one does and, where a prune was killed before it came to their entries, referrers
// whose subject nothing leads to any more. Here they are none as long as its blob lies
// there, but that is in no backup.
func (q *sequence) backedUp(snap layout.Snapshot, made saved) state {
	want := q.clone()
	for _, root := range snap.Roots() {
		subject, refers := q.world.manifests[root.Digest].Subject()
		came := slices.ContainsFunc(made.all, func(d ocispec.Descriptor) bool { return d.Digest == subject.Digest })
		if refers && !came {
			want.roots[root.Digest], want.whole[root.Digest] = true, true
		}
	}
	return want
}

// save writes the backup of s, which says snap, to a file.
func (q *sequence) save(ctx context.Context, s *layout.Store, d *doom, snap layout.Snapshot, path string) (made saved, err error) {
	made.path = path
	if made.all, err = backup.Contents(ctx, s.Layout, snap.Roots(), digest.Digest.String); err != nil {
		return made, err
	}
	w, err := archive.Create(path)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	description := backup.Description{Index: digest.FromBytes(snap.Raw()), Blobs: made.all}
	if len(q.chain) > 0 {
		base := q.chain[len(q.chain)-1]
		description.Base = base.id
		w.Assume(base.all...)
	}
	raw, id, err := description.Encode()
	if err != nil {
		return made, err
	}
	made.id = id
	if err := carry(ctx, d, allOf(snap, s.Layout, &heldFile{w})...); err != nil {
		return made, err
	}
	w.SetIndex(snap.Raw())
	if err := w.PutFile(ctx, backup.File, raw); err != nil {
		return made, err
	}
	return made, w.Commit(ctx)
}

// allOf returns what moves all that snap says, as it is at src.
func allOf(snap layout.Snapshot, src content.Source, dst content.Sink) []transfer.Job {
	var jobs []transfer.Job
	for _, root := range snap.Roots() {
		jobs = append(jobs, transfer.Job{
			Name: root.Digest.String(), Src: src, Ref: root.Digest.String(), Dst: []transfer.Target{{Name: "there", Sink: dst}},
			Filter: transfer.Filter{Here: true, Sparse: true},
		})
	}
	return jobs
}

// restore makes a store of all backups of the chain.
func (q *sequence) restore(ctx context.Context, path string) (err error) {
	s, err := layout.OpenStore(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var parts []*backup.Part
	for _, file := range slices.Backward(q.chain) { // in any order
		p, err := backup.Open(ctx, file.path, archive.Options{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		parts = append(parts, p)
	}
	chain, err := backup.NewChain(parts)
	if err != nil {
		return err
	}
	if missing, err := chain.Missing(ctx, s.Layout); err != nil || len(missing) > 0 {
		return errors.Join(err, &backup.MissingError{Blobs: missing})
	}
	snap, err := layout.ReadSnapshot(chain.Head().JSON, content.Limits{})
	if err != nil {
		return err
	}
	if err := carry(ctx, &doom{}, allOf(snap, chain.Source(s.Layout), s.Stage())...); err != nil {
		return err
	}
	return s.Adopt(ctx, snap, layout.Refuse)
}
