package layout

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/wherry-dev/wherry/content"
)

// fill makes the partial complete and right. Bytes that turn out wrong are
// dropped, and the blob is fetched again from its start.
func (p *partial) fill(ctx context.Context, b *begunBlob) error {
	return content.Reread(ctx, b.Blob, func() error {
		err := p.fetch(ctx, b)
		if !errors.Is(err, content.ErrCorrupt) {
			return err
		}
		if stuck := p.empty(); stuck != nil {
			// Read again, it would be as wrong: err is no class of this.
			return fmt.Errorf("%w, after %v", stuck, err) //nolint:errorlint // see above
		}
		return err
	})
}

// fetch hashes what is there and then, on its way to the file, what is missing.
func (p *partial) fetch(ctx context.Context, b *begunBlob) error {
	if err := p.catchUp(ctx); err != nil {
		return err
	}
	if missing := p.Done().Missing(p.d.Size); len(missing) > 0 {
		if err := p.pull(ctx, b, missing); err != nil {
			return err
		}
	}
	return p.check(ctx)
}

// pull reads what is missing. Of a big blob what came is made durable now and
// then on the way, which takes little of the time that it would at the end.
func (p *partial) pull(ctx context.Context, b *begunBlob, missing content.Spans) (err error) {
	if missing.Bytes() >= 2*p.k.safeEvery {
		due := make(chan struct{}, 1)
		p.due = due
		var saved error
		var saving sync.WaitGroup
		saving.Go(func() { saved = p.saveWhen(due) })
		defer func() {
			p.due = nil
			close(due)
			saving.Wait()
			err = errors.Join(err, saved)
		}()
	}
	return p.readAll(ctx, b, missing)
}

// saveWhen makes the file durable each time it is due, until due is closed. A
// disk that failed to do so once must not be believed later.
func (p *partial) saveWhen(due <-chan struct{}) error {
	var err error
	for range due {
		if err == nil {
			err = p.save()
		}
	}
	return err
}

// readAll reads what is missing: in any order where the blob can be read so, else
// one span after the other.
func (p *partial) readAll(ctx context.Context, b *begunBlob, missing content.Spans) error {
	s, ok, err := b.Spread(ctx, missing)
	if err != nil {
		return err
	}
	if ok {
		return errors.Join(s.Scatter(p), s.Close())
	}
	for _, r := range missing {
		if err := p.read(ctx, b, r); err != nil {
			return err
		}
	}
	return nil
}

// read reads one span. What a blob has past its end is as wrong as what it lacks.
func (p *partial) read(ctx context.Context, b *begunBlob, r content.Range) (err error) {
	asked := r
	if r.Off+r.Len == p.d.Size {
		asked.Len = 0
	}
	rc, err := b.Open(ctx, asked)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	return pump(ctx, &spanWriter{p, r.Off, r.Off + r.Len}, rc)
}

// A spanWriter writes one span from its start on, and nothing beyond.
type spanWriter struct {
	p       *partial
	at, end int64
}

func (w *spanWriter) Write(b []byte) (int, error) {
	if int64(len(b)) > w.end-w.at {
		return 0, w.p.fail("verify", &content.MismatchError{Want: w.p.d, Size: w.p.d.Size + 1})
	}
	n, err := w.p.WriteAt(b, w.at)
	w.at += int64(n)
	return n, err
}
