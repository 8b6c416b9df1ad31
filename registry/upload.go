package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// Has implements [content.Sink] with a HEAD. What is known to be there is not
// asked for again. A registry that denies to show a blob says nothing of whether
// it is there, and may take it all the same: it is not there as far as was seen,
// and that is not remembered.
func (r *Repository) Has(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	if err := content.CheckDigest(d.Digest); err != nil {
		return false, err
	}
	if there, known := r.host.blobs.is(r.name, d); known && there {
		return true, nil
	}
	resp, err := r.host.do(ctx, call{method: http.MethodHead, path: r.path("blobs", d.Digest.String()), scopes: r.pull()})
	if err != nil {
		return false, err
	}
	there, err := r.hasBlob(resp, d)
	switch {
	case r.host.denies(err):
		return false, nil // who writes finds out
	case err != nil:
	case there:
		r.host.blobs.note(r.name, d)
		r.trail(d).drop()
	default:
		r.host.blobs.missing(r.name, d)
	}
	return there, err
}

// hasBlob reads the answer to a HEAD. A blob of another size is not the one. A
// registry that leads on to where a blob is has it, even where a HEAD is not
// allowed there: such URLs are signed for GET.
func (r *Repository) hasBlob(resp *http.Response, d ocispec.Descriptor) (bool, error) {
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		return resp.ContentLength < 0 || resp.ContentLength == d.Size, nil
	case resp.StatusCode == http.StatusNotFound:
		return false, nil
	case resp.Request.Response != nil && resp.StatusCode/100 == 4 && r.host.answers(TrustRedirect):
		return true, nil
	}
	err := r.host.answerError(resp)
	if errors.Is(err, errors.ErrUnsupported) {
		return false, nil // it will be sent; nothing is wrong with that
	}
	return false, err
}

// denies reports whether err is that the host itself, and nobody to whom it led,
// does not show whether it has something.
func (h *host) denies(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusForbidden && len(e.Via) == 0 && !e.token && h.answers(WriteUnseen)
}

// PutBlob implements [content.Sink]. A blob that another repository of the same
// host has, or is being sent, is mounted; one that is being sent to this one is
// waited for. What breaks off is gone on with where the registry says it stands,
// by the next process too, if [Client.Journal] remembers. The bytes are hashed on their way, and the last of them leave only
// when all are right: others are [content.ErrCorrupt], after a second reading
// of the source.
func (r *Repository) PutBlob(ctx context.Context, b content.Blob) (content.Outcome, error) {
	d := b.Descriptor()
	if err := content.CheckDigest(d.Digest); err != nil {
		return 0, err
	}
	if d.Size < 0 {
		return 0, fmt.Errorf("blob %s has size %d: %w", d.Digest, d.Size, content.ErrInvalid)
	}
	leave, err := r.host.uploads.enter(ctx, flight{r.name, d.Digest})
	if err != nil {
		return 0, err
	}
	defer leave()
	there, known := r.host.blobs.is(r.name, d)
	if !known {
		if there, err = r.Has(ctx, d); err != nil {
			return 0, err
		}
	}
	if there {
		return content.Existed, nil
	}
	u := &upload{repo: r, desc: d, source: newSource(b), trail: r.trail(d)}
	u.source.passed = u.trail.pass
	outcome, err := u.put(ctx, b)
	if err == nil {
		u.trail.drop()
		r.host.blobs.note(r.name, d)
	}
	return outcome, err
}

// put mounts the blob or sends it. While it is sent to one repository of a host
// that mounts, the others wait to have it from there.
func (u *upload) put(ctx context.Context, b content.Blob) (content.Outcome, error) {
	h := u.repo.host
	leave := func() {}
	if h.mounts() {
		var err error
		if leave, err = h.uploads.enter(ctx, flight{digest: u.desc.Digest}); err != nil {
			return 0, err
		}
		defer leave()
	}
	mounted, err := u.mount(ctx, b)
	switch {
	case err != nil:
		return 0, err
	case mounted:
		return content.Mounted, nil
	case u.unmounted:
		leave() // nor will those be who wait
	}
	h.learnBodies()
	if err := u.run(ctx); err != nil {
		return 0, err
	}
	h.rememberBodies()
	return content.Stored, nil
}

// mount asks the registry to take the blob from another of its repositories.
// Where it will not, it may have opened an upload session instead.
func (u *upload) mount(ctx context.Context, b content.Blob) (bool, error) {
	r := u.repo
	from := r.mountFrom(b)
	way := mountPath{from, r.name}
	var never bool
	r.host.quirks.with(func(q *quirks) { never = q.noMount || q.barred[way] })
	if from == "" || never {
		u.unmounted = never
		return false, nil
	}
	u.unmounted = true
	resp, err := r.host.do(ctx, call{
		method: http.MethodPost,
		path:   r.name + "/blobs/uploads/",
		query:  url.Values{"mount": {u.desc.Digest.String()}, "from": {from}},
		scopes: append(r.push(), "repository:"+from+":pull"),
	})
	if err != nil {
		r.host.quirks.bar(way, err)
		return false, fatalToMount(ctx, err)
	}
	sends := r.host.answers(SendUnmounted)
	switch {
	case resp.StatusCode == http.StatusCreated:
		httpx.Drain(resp.Body)
		r.host.quirks.with(func(q *quirks) { q.unmounted = false })
		return true, nil
	case resp.StatusCode == http.StatusAccepted && sends:
		r.host.quirks.with(func(q *quirks) { q.unmounted = true })
		return false, u.begin(resp)
	}
	refusal := r.host.answerError(resp)
	if !sends {
		return false, refusal
	}
	if errors.Is(refusal, errors.ErrUnsupported) || errors.Is(refusal, content.ErrInvalid) {
		r.host.quirks.with(func(q *quirks) { q.noMount = true })
	}
	r.host.quirks.bar(way, refusal)
	return false, nil
}

// mounts reports whether the host may mount blobs, as far as is known.
func (h *host) mounts() bool {
	may := false
	h.quirks.with(func(q *quirks) { may = !q.noMount && !q.unmounted })
	return may
}

// fatalToMount returns err if an upload would fail with it too. Others may be the
// token server's: the credential may be good for the destination alone.
func fatalToMount(ctx context.Context, err error) error {
	if context.Cause(ctx) != nil || errors.Is(err, content.ErrRateLimited) {
		return err
	}
	return nil
}

// mountFrom returns another repository of this host that has the blob, "" for none.
func (r *Repository) mountFrom(b content.Blob) string {
	if o, ok := content.As[content.Originer](b); ok {
		if host, repository := o.Origin(); host == r.host.name && repository != r.name {
			return repository
		}
	}
	return r.host.blobs.elsewhere(r.name, b.Descriptor())
}

// move goes to the session's new URL, if an answer has one.
func (u *upload) move(resp *http.Response) error {
	location := resp.Header.Get("Location")
	if location == "" || !u.repo.host.answers(FollowSession) {
		return nil
	}
	return u.goTo(location, resp.Request)
}

// goTo takes the URL of the session that the answer to asked names. Once it was
// elsewhere, it has no credentials any more.
func (u *upload) goTo(location string, asked *http.Request) error {
	h := u.repo.host
	policy := httpx.Policy{Kind: httpx.UploadLocation, From: asked.URL, Reach: h.reachable()}
	named, err := policy.Decide(location)
	if err != nil {
		return h.secrets.maskError(fmt.Errorf("upload at %s: %w", httpx.Redact(asked.URL), err))
	}
	u.at, u.away = named.URL, !named.Trusted || httpx.IsAnonymous(asked)
	u.trail.lead(u.notable(), u.off)
	return nil
}

// as returns the context of requests to the session.
func (u *upload) as(ctx context.Context) context.Context {
	if u.away {
		return httpx.Anonymous(ctx)
	}
	return ctx
}
