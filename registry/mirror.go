package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A mirror is given up sooner than a host that is asked for its own sake: there
// are others.
const (
	mirrorTries = 2                // in a row
	mirrorStall = 10 * time.Second // of silence
	maxFailed   = 5                // objects in a row that it has failed to give
)

// A Mirrored is a repository that is read from its mirrors, and from its own
// host where they fail. It is a [content.Source] and [content.Resolver]; what
// else the repository can do, its own host does.
//
// What tags stand for, and what there is, its own host says, or where that does
// not answer a mirror that may. A manifest or blob is asked for by digest of one
// host after the other. A mirror that gives wrong bytes, or cannot be
// reached, is not asked again by the Client, and one that is slow is asked last.
// It is shown the credentials it has under its own name and no others.
//
// What it does about names is in names.go.
type Mirrored struct {
	own     *Repository
	mirrors []mirrorRepository
	tagged  atomic.Bool // a tag was asked for
}

type mirrorRepository struct {
	*Repository
	resolvesTags, tagsOnly bool
}

var (
	_ content.Source          = (*Mirrored)(nil)
	_ content.Resolver        = (*Mirrored)(nil)
	_ content.TagLister       = (*Mirrored)(nil)
	_ content.ReferrerLister  = (*Mirrored)(nil)
	_ content.ReferrerWatcher = (*Mirrored)(nil)
)

// A mirrorHost is what a Client has learnt about a host as a mirror.
type mirrorHost struct {
	benched atomic.Bool  // is not asked again
	slow    atomic.Bool  // is asked last
	patient atomic.Bool  // is not judged by its speed any more: others are not faster
	rate    atomic.Int64 // bytes a second that it gave when it was left for being slow
	failed  atomic.Int32 // times in a row, not counting what it does not have
	told    sync.Map     // tags of which it was said that they are stale there
}

// Source returns the repository of that name to read from, through the mirrors
// that [Client.Routes] has for it. The errors are those of [Client.Repository].
func (c *Client) Source(host, name string) (content.Source, error) {
	route, err := c.route(host, name)
	if err != nil {
		return nil, err
	}
	own, err := c.repositoryAt(route.Read, asked)
	if err != nil || len(route.Mirrors) == 0 {
		return own, err
	}
	m := &Mirrored{own: own}
	for _, mirror := range route.Mirrors {
		if mirror.Wrong != nil {
			c.passOver(mirror)
			continue
		}
		r, err := c.repositoryAt(mirror.Endpoint, mirroring)
		if err != nil {
			return nil, fmt.Errorf("mirror of %s: %w", own, err)
		}
		m.mirrors = append(m.mirrors, mirrorRepository{r, mirror.ResolvesTags, mirror.TagsOnly})
	}
	return m, nil
}

// passOver says once that a mirror is not asked for what its settings are.
func (c *Client) passOver(m Mirror) {
	if _, before := c.passed.LoadOrStore(m.Host+" "+m.Wrong.Error(), true); !before {
		c.log().Warn("mirror passed over: its settings are wrong", "mirror", m.Host, "error", m.Wrong)
	}
}

// Avoid says that host is written to: it is not read from as a mirror, which
// would give it what it is to be given.
func (c *Client) Avoid(host string) {
	c.init()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.avoided[HostName(host)] = true
}

// Served returns how many bytes of blobs each host gave that gave any, those
// behind its redirects included.
func (c *Client) Served() map[string]int64 {
	c.init()
	c.mu.Lock()
	defer c.mu.Unlock()
	served := map[string]int64{}
	for _, h := range c.hosts {
		if n := h.served.Load(); n > 0 {
			served[h.name] += n
		}
	}
	return served
}

func (c *Client) avoids(host string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.avoided[host]
}

// Unwrap shows what else the repository's own host can do.
func (m *Mirrored) Unwrap() any { return m.own }

// String returns the repository's own name.
func (m *Mirrored) String() string { return m.own.String() }

// order returns who is asked, one after the other: mirrors that are well, the
// own host, and mirrors that are slow.
func (m *Mirrored) order() []*Repository {
	var first, last []*Repository
	for _, r := range m.mirrors {
		known := r.host.mirror
		switch {
		case r.tagsOnly && !m.tagged.Load():
		case known.benched.Load() || r.host.name != m.own.host.name && m.own.host.client.avoids(r.host.name):
		case known.slow.Load():
			last = append(last, r.Repository)
		default:
			first = append(first, r.Repository)
		}
	}
	if m.own.host.silent.Load() {
		return slices.Concat(first, last, []*Repository{m.own})
	}
	return slices.Concat(first, []*Repository{m.own}, last)
}

// Manifest implements [content.Source]. A tag is resolved first; its manifest
// is then read by digest.
func (m *Mirrored) Manifest(ctx context.Context, ref string) (found content.Manifest, err error) {
	if err := checkRef(ref); err != nil {
		return found, err
	}
	if !isDigest(ref) {
		d, err := m.Resolve(ctx, ref)
		if err != nil {
			return found, err
		}
		ref = d.Digest.String()
	}
	err = m.each(ctx, ref, func(r *Repository) (err error) {
		found, err = r.Manifest(ctx, ref)
		return err
	})
	return found, err
}

// each calls ask for one host after the other until one gives what ref is.
func (m *Mirrored) each(ctx context.Context, ref string, ask func(*Repository) error) error {
	var failed failures
	for _, r := range m.order() {
		err := ask(r)
		if err == nil {
			r.did()
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		failed.add(ctx, r, ref, err)
	}
	return &failed
}

func (m *Mirrored) log() *slog.Logger { return m.own.host.client.log() }

// Open implements [content.Source]. A host that breaks off for good is left for
// the next one at the byte reached.
func (m *Mirrored) Open(ctx context.Context, d ocispec.Descriptor, rng content.Range) (io.ReadCloser, error) {
	if err := content.CheckDigest(d.Digest); err != nil {
		return nil, err
	}
	off, n, err := rng.Resolve(d.Size)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return http.NoBody, nil
	}
	order := m.order()
	mirrors := slices.DeleteFunc(slices.Clone(order), func(r *Repository) bool { return r == m.own })
	r := &relay{ctx: ctx, desc: d, own: m.own, mirrors: mirrors, off: off, end: off + n, left: order, log: m.log()}
	if n == d.Size {
		if r.verifier, err = content.NewVerifier(d); err != nil {
			return nil, err
		}
	}
	if err := r.next(); err != nil {
		return nil, err
	}
	return r, nil
}

// fell notes that a mirror did not give what was asked of it.
func (r *Repository) fell(ctx context.Context, what string, err error) {
	known := r.host.mirror
	if known == nil {
		return
	}
	log := r.host.client.log()
	failure, ok := errors.AsType[*Error](err)
	switch {
	case errors.Is(err, content.ErrCorrupt):
		r.bench(ctx, "sent wrong bytes", what, err)
	case ok && failure.Status == 0 && errors.Is(err, content.ErrUnavailable) && ctx.Err() == nil:
		r.bench(ctx, "cannot be reached", what, err)
	case !errors.Is(err, content.ErrNotFound) && ctx.Err() == nil && known.failed.Add(1) == maxFailed:
		r.bench(ctx, "fails each time", what, err)
	default:
		log.InfoContext(ctx, "mirror passed over", "mirror", r.host.name, "object", what, "error", err)
	}
}

// did notes that a mirror gave something.
func (r *Repository) did() {
	if known := r.host.mirror; known != nil {
		known.failed.Store(0)
	}
}

// bench says once why a mirror is not asked again.
func (r *Repository) bench(ctx context.Context, why, what string, err error) {
	if !r.host.mirror.benched.Swap(true) {
		r.host.client.log().WarnContext(ctx, "mirror "+why+" and is not asked again", "mirror", r.host.name, "object", what, "error", err)
	}
}

// failures are those of every host that was asked for one object. Their class
// is that of the repository's own host.
type failures struct {
	own     error
	mirrors []error
}

func (f *failures) add(ctx context.Context, r *Repository, what string, err error) {
	if r.host.mirror == nil {
		f.own = err
		return
	}
	r.fell(ctx, what, err)
	f.mirrors = append(f.mirrors, err)
}

// Error has the own host's failure first.
func (f *failures) Error() string {
	text := "no host has it"
	if f.own != nil {
		text = f.own.Error()
	}
	for _, err := range f.mirrors {
		text += "; mirror: " + err.Error()
	}
	return text
}

// Unwrap returns the own host's failure.
func (f *failures) Unwrap() error { return f.own }
