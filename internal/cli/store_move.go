package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/transfer"
)

// A storeMover moves all that an index.json says, to the user's store or from it,
// all of it or nothing. It must be closed.
type storeMover struct {
	*mover
	snap  layout.Snapshot
	roots []ocispec.Descriptor
	names map[digest.Digest][]string
	named int // entries with a name
}

// take makes snap what is moved.
func (m *storeMover) take(snap layout.Snapshot) {
	m.snap, m.roots, m.names = snap, snap.Roots(), map[digest.Digest][]string{}
	for _, e := range snap.Entries() {
		if e.Name != "" {
			m.names[e.Root.Digest] = append(m.names[e.Root.Digest], e.Name)
			m.named++
		}
	}
}

// called returns what messages call the image d.
func (m *storeMover) called(d digest.Digest) string {
	if names := m.names[d]; len(names) > 0 {
		return names[0]
	}
	return d.String()
}

// plan finds out what has to move from src to sink, which is called to. Where
// something is wrong with one image nothing is moved.
func (m *storeMover) plan(ctx context.Context, src content.Source, sink content.Sink, to string) (*transfer.Plan, error) {
	jobs := make([]transfer.Job, len(m.roots))
	for i, root := range m.roots {
		jobs[i] = transfer.Job{
			Name: m.called(root.Digest), Src: src, Ref: root.Digest.String(),
			Dst: []transfer.Target{{Name: to, Sink: sink}}, Filter: transfer.Filter{Here: true, Sparse: true},
		}
	}
	plan, err := m.copier.Plan(ctx, jobs...)
	if err != nil {
		return nil, err
	}
	m.close = append(m.close, plan.Close)
	m.logPlan(ctx, plan)
	return plan, failedAsOne(plan.Forecast())
}

// failedAsOne returns what went wrong, image by image, but of those for which there
// was no room one that stands for all: it says nothing of each that it does not of the
// others.
func failedAsOne(r *transfer.Result) error {
	var full []*transfer.ImageResult
	rest := &transfer.Result{}
	for _, image := range r.Images {
		if err := (&transfer.Result{Images: []*transfer.ImageResult{image}}).Err(); errors.Is(err, content.ErrNoSpace) {
			full = append(full, image)
		} else {
			rest.Images = append(rest.Images, image)
		}
	}
	if len(full) < 2 {
		return r.Err()
	}
	first := full[0].Err
	for _, t := range full[0].Targets {
		first = cmp.Or(first, t.Err)
	}
	return errors.Join(fmt.Errorf("%d of %s: %w", len(full), count(len(r.Images), "image"), first), rest.Err())
}

// carry carries out plan and shows its progress.
func (m *storeMover) carry(ctx context.Context, plan *transfer.Plan) (*transfer.Result, error) {
	mode, err := m.f.progressMode()
	if err != nil {
		return nil, err
	}
	m.inOne = true
	done, err := m.show(ctx, plan, mode)
	if done == nil {
		return nil, err
	}
	return done, cmp.Or(failedAsOne(done), err, context.Cause(ctx))
}

// stored counts the blobs that were moved, and their bytes.
func stored(r *transfer.Result) (blobs int, bytes int64) {
	for _, image := range r.Images {
		for _, t := range image.Targets {
			blobs += t.Stored
			bytes += t.Bytes
		}
	}
	return blobs, bytes
}

// wanted counts the blobs that plan moves, each once, and their bytes.
func wanted(plan *transfer.Plan) (blobs int, bytes int64) {
	seen := map[digest.Digest]bool{}
	for _, image := range plan.Images {
		for _, t := range image.Targets {
			for _, d := range t.Missing {
				seen[d.Digest] = true
			}
		}
	}
	return len(seen), plan.Bytes()
}

// A refusal is an error that exits with 6: what is there forbids what was asked.
type refusal struct{ error }

// Unwrap returns what it is about.
func (r refusal) Unwrap() error { return r.error }

// Is reports whether target is [content.ErrInvalid].
func (r refusal) Is(target error) bool { return target == content.ErrInvalid }
