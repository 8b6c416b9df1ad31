package registry

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

const (
	// A mirror that gave less than slowRate bytes a second after slowAfter of
	// waiting for it is left for the next host.
	slowRate  = 256 << 10
	slowAfter = 2 * time.Second
)

// A relay reads a blob from one host after the other, going on at the byte
// reached. Where it reads all of the blob it checks what mirrors gave, so that
// the one that lied is known before anybody has relied on it.
type relay struct {
	ctx  context.Context //nolint:containedctx // reading ends with the context of Open
	desc ocispec.Descriptor
	own  *Repository // whose word counts where mirrors gave wrong bytes
	log  *slog.Logger

	mirrors []*Repository // all of them, as witnesses too

	off, end int64
	left     []*Repository // who was not asked yet
	from     *Repository   // who is being read
	rc       io.ReadCloser
	given    int64            // bytes from has given
	waited   time.Duration    // for them
	gave     []*content.Share // what each gave, in order, by its repository
	slow     []*host          // mirrors that were left for being slow
	failed   failures
	verifier *content.Verifier // nil where only a part is read
	err      error             // why there is no more to read
}

// Read implements [io.Reader].
func (r *relay) Read(p []byte) (int, error) {
	for r.err == nil {
		begun := time.Now()
		n, err := r.rc.Read(p)
		r.waited += time.Since(begun)
		r.take(p[:n])
		switch {
		case r.off == r.end:
			r.err = r.finish(err)
			if errors.Is(r.err, io.EOF) {
				return n, nil
			}
			return n, r.err
		case err != nil:
			r.err = r.leave(err)
		case r.drags():
			r.err = r.leave(errSlow)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, r.err
}

// Close implements [io.Closer].
func (r *relay) Close() error {
	r.err = cmp.Or(r.err, http.ErrBodyReadAfterClose)
	if r.rc == nil {
		return nil
	}
	rc := r.rc
	r.rc = nil
	return rc.Close()
}

func (r *relay) take(p []byte) {
	r.off += int64(len(p))
	r.given += int64(len(p))
	if r.verifier == nil || len(p) == 0 {
		return
	}
	_, _ = r.verifier.Write(p) // Check tells
	r.gave[len(r.gave)-1].Add(p)
}

// next opens what is missing at the next host that has it.
func (r *relay) next() error {
	for len(r.left) > 0 {
		from := r.left[0]
		r.left = r.left[1:]
		rc, err := from.Open(r.ctx, r.desc, content.Range{Off: r.off, Len: r.end - r.off})
		if err == nil {
			r.from, r.rc, r.given, r.waited = from, rc, 0, 0
			r.gave = append(r.gave, &content.Share{Host: from.String(), Off: r.off})
			from.did()
			return nil
		}
		if r.ctx.Err() != nil {
			return err
		}
		r.failed.add(r.ctx, from, r.desc.Digest.String(), err)
	}
	return &r.failed
}

// errSlow is why a mirror is left that works.
var errSlow = errors.New("is slow")

// leave goes on at the next host after reason.
func (r *relay) leave(reason error) error {
	_ = r.rc.Close() // what it had to give is taken
	r.rc = nil
	switch {
	case r.ctx.Err() != nil:
		return reason
	case errors.Is(reason, errSlow):
		r.slow = append(r.slow, r.from.host)
		r.from.host.mirror.rate.Store(r.rate())
		r.from.host.mirror.slow.Store(true)
		r.log.InfoContext(r.ctx, "mirror is slow and is asked last", "mirror", r.from.host.name, "bytes_per_second", r.rate())
	default:
		r.judge()
		r.failed.add(r.ctx, r.from, r.desc.Digest.String(), reason)
	}
	if len(r.left) > 0 {
		r.from.host.again(r.ctx, content.Retry{Desc: r.desc, Offset: r.off}, reason)
	}
	return r.next()
}

// drags reports whether the host is a mirror so slow that others are worth a try.
func (r *relay) drags() bool {
	known := r.from.host.mirror
	return known != nil && len(r.left) > 0 && r.waited >= slowAfter && r.rate() < slowRate && !known.patient.Load()
}

// rate is how many bytes a second the host gives.
func (r *relay) rate() int64 { return int64(float64(r.given) / max(r.waited.Seconds(), 1e-3)) }

// judge takes mirrors back that were left for being slow where this host is
// hardly faster: it is the line that is slow.
func (r *relay) judge() {
	if r.waited < slowAfter {
		return
	}
	for _, h := range r.slow {
		if r.rate() < 2*h.mirror.rate.Load() {
			h.mirror.patient.Store(true)
			h.mirror.slow.Store(false)
		}
	}
}

// finish checks what was read, and returns [io.EOF] where it is right.
func (r *relay) finish(err error) error {
	r.judge()
	if err != nil && !errors.Is(err, io.EOF) {
		r.failed.add(r.ctx, r.from, r.desc.Digest.String(), err)
		if r.from.host.mirror != nil && errors.Is(err, content.ErrCorrupt) {
			return &content.BlamedError{Hosts: []string{r.from.host.name}, Err: err}
		}
		return err
	}
	if r.verifier == nil {
		return io.EOF
	}
	if mismatch := r.verifier.Check(); mismatch != nil {
		return r.blame(mismatch)
	}
	return io.EOF
}

// blame benches the mirrors that gave wrong bytes. Where none did, the blob is
// for its reader to refuse.
func (r *relay) blame(mismatch error) error {
	var witnesses []content.Witness
	at := map[string]*Repository{}
	for _, repo := range append(r.mirrors, r.own) {
		at[repo.String()] = repo
		witnesses = append(witnesses, content.Witness{Host: repo.String(), Open: repo.Open})
	}
	guilty := content.Culprits(r.ctx, r.desc, r.gave, witnesses)
	if len(guilty) == 0 {
		return io.EOF
	}
	var names []string
	for _, g := range guilty {
		mirror := at[g]
		mirror.bench(r.ctx, "sent wrong bytes", r.desc.Digest.String(), mismatch)
		names = append(names, mirror.host.name)
	}
	return &content.BlamedError{Hosts: names, Err: mismatch}
}
