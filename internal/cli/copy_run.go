package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

// run plans the jobs, stops there with --dry-run, and carries them out. The
// result has what was done, also where the error is not nil.
func (m *mover) run(ctx context.Context) (MoveResult, error) {
	plan, err := m.copier.Plan(ctx, m.jobs...)
	if err != nil {
		return MoveResult{}, err
	}
	m.close = append(m.close, plan.Close)
	m.logPlan(ctx, plan)
	m.warnUnmatched(plan)
	m.notePartly(plan)
	left := m.leftBehind(ctx, plan)
	result, err := m.carryOut(ctx, plan)
	if result.Images != nil {
		result.LeftBehind = left
		m.f.sayLeftBehind(left)
	}
	return result, err
}

// logPlan tells --verbose what is moved and what is not.
func (m *mover) logPlan(ctx context.Context, plan *transfer.Plan) {
	for _, image := range plan.Images {
		if image.Err != nil {
			continue // it is reported
		}
		for _, t := range image.Targets {
			facts := []any{"image", image.Name, "to", t.Name, "digest", image.Root.Digest.String()}
			switch {
			case t.Err != nil:
			case t.Done && len(t.Kept) > 0:
				m.f.Log().InfoContext(ctx, "skipped: its names exist and are left alone", append(facts, "names", t.Kept)...)
			case t.Done:
				m.f.Log().InfoContext(ctx, "skipped: the destination has it", facts...)
			default:
				m.f.Log().InfoContext(ctx, "copy", append(facts,
					"missing", len(t.Missing), "there", t.Present, "manifests", image.Manifests, "referrers", image.Referrers, "left_out", image.LeftOut)...)
			}
		}
	}
}

// warnUnmatched says which platforms found nothing in an image that has others of
// those asked for.
func (m *mover) warnUnmatched(plan *transfer.Plan) {
	for _, image := range plan.Images {
		if names := platformNames(image.Unmatched); image.Err == nil && len(names) > 0 {
			m.f.Warn("%s has nothing for %s", image.Name, strings.Join(names, ", "))
		}
	}
}

// notePartly says which images have only some of their platforms at the source. One
// that has none of them is not moved, index or not.
func (m *mover) notePartly(plan *transfer.Plan) {
	if m.o.Partly == "" {
		return
	}
	for _, image := range plan.Images {
		switch {
		case image.Err != nil || image.Absent == 0:
		case image.Absent == image.Offered:
			image.Err = fmt.Errorf("none of the %d images of index %s is here: %w", image.Offered, image.Source.Digest, content.ErrNotFound)
		default:
			m.f.Note("%s has %d of %s %s", image.Name, image.Offered-image.Absent, count(image.Offered, "platform"), m.o.Partly)
		}
	}
}

// leftBehind returns what of the source nothing of the plan takes along.
func (m *mover) leftBehind(ctx context.Context, plan *transfer.Plan) []LeftBehind {
	if m.rest == nil {
		return nil
	}
	for _, sink := range m.sinks {
		if src, ok := content.As[content.Source](sink.Sink); ok && sink.err == nil {
			m.rest.near = append(m.rest.near, src)
		}
	}
	return m.rest.left(ctx, plan)
}

func (m *mover) carryOut(ctx context.Context, plan *transfer.Plan) (MoveResult, error) {
	if m.o.DryRun {
		return m.planned(plan), failures(plan.Forecast())
	}
	if err := m.refuse(plan); err != nil {
		return MoveResult{}, err
	}
	mode, err := m.f.progressMode()
	if err != nil {
		return MoveResult{}, err
	}
	done, err := m.show(ctx, plan, mode)
	if err == nil {
		err = m.commit(ctx)
	}
	if err != nil && m.o.Whole {
		return MoveResult{}, err
	}
	result := m.served(m.moved(done), done)
	m.sayDone(result, mode)
	return result, errors.Join(failures(done), m.writeDigests(result))
}

// served adds which registries gave what, and what had to be asked for again.
func (m *mover) served(r MoveResult, done *transfer.Result) MoveResult {
	r.Served, r.Retries = done.Served, done.Retries
	for _, job := range m.jobs {
		if _, ok := content.As[*registry.Mirrored](job.Src); ok {
			r.mirrored = true
		}
	}
	return r
}

// refuse returns why a plan is not even begun: an image is missing where all or
// none are wanted.
func (m *mover) refuse(plan *transfer.Plan) error {
	if !m.o.Whole {
		return nil
	}
	return plan.Forecast().Err()
}

// commit gives files their names that were held back until all is in them.
func (m *mover) commit(ctx context.Context) error {
	for _, held := range m.held {
		if err := held.commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// show runs plan while its progress is shown.
func (m *mover) show(ctx context.Context, plan *transfer.Plan, mode term.Mode) (*transfer.Result, error) {
	progress := term.NewProgress(m.f.Err, mode)
	defer progress.Close()
	defer m.f.retries.hush()()
	m.copier.Observe = observer(progress, mode, plan)
	if m.inOne {
		m.copier.Observe = withoutImages(m.copier.Observe)
	}
	return m.copier.Run(ctx, plan)
}

// sayDone writes a summary for people. Where each image had its line when it
// was done only the sum is left to tell.
func (m *mover) sayDone(r MoveResult, mode term.Mode) {
	if m.f.Flags.Quiet || mode == term.JSON {
		return
	}
	said := r.summary()
	if mode == term.Plain && r.pairs() > 1 {
		said = r.sum()
	}
	// Nobody is left to tell where standard error is gone.
	_, _ = m.f.Err.Write([]byte(said))
}

// writeDigests writes the digests of what was moved to --digestfile, one a
// line, as podman and skopeo do without a line end behind the last.
func (m *mover) writeDigests(r MoveResult) error {
	if m.o.DigestFile == "" {
		return nil
	}
	var digests []string
	for _, image := range r.Images {
		if image.written() {
			digests = append(digests, image.Digest.String())
		}
	}
	if len(digests) == 0 {
		return nil
	}
	_, err := writeFile(m.o.DigestFile, func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Join(digests, "\n"))
		return err
	})
	if err != nil {
		return fmt.Errorf("digest file: %w", err)
	}
	return nil
}
