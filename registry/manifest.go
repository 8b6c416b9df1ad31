package registry

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

const digestHeader = "Docker-Content-Digest"

// Manifest implements [content.Source]. What was asked for by digest has it;
// what was asked for by tag has the digest that the registry states, where it
// states one: other bytes, given twice, are [content.ErrCorrupt].
func (r *Repository) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	if err := checkRef(ref); err != nil {
		return content.Manifest{}, err
	}
	if m, kept := r.recall(ctx, ref); kept {
		return m, nil
	}
	m, err := r.get(ctx, ref)
	switch {
	case errors.Is(err, content.ErrCorrupt):
		m, err = r.get(ctx, ref) // it may have been hurt on its way
	case errors.Is(err, content.ErrNotFound) && isDigest(ref):
		m, err = r.getNamed(ctx, digest.Digest(ref), err)
	}
	if err != nil {
		return content.Manifest{}, err
	}
	r.host.quirks.found(r.path("manifests", ref))
	r.keep(m)
	return m, nil
}

// getNamed looks for manifest d, which is not found, under the tag for which a
// HEAD named it. A host that gives other bytes there names digests it does not
// have: [content.ErrCorrupt].
func (r *Repository) getNamed(ctx context.Context, d digest.Digest, missing error) (content.Manifest, error) {
	tag, named := r.host.quirks.nameOf(r.path("manifests", d.String()))
	if !named {
		return content.Manifest{}, missing
	}
	m, err := r.get(ctx, tag)
	if err == nil {
		m, err = content.VerifyManifest(ocispec.Descriptor{MediaType: m.MediaType(), Digest: d}, m.Raw(), r.host.client.Limits)
	}
	if err != nil {
		return content.Manifest{}, fmt.Errorf("%s names digest %s for tag %s and does not have it: %w", r.host.name, d, tag, err)
	}
	return m, nil
}

func (r *Repository) get(ctx context.Context, ref string) (content.Manifest, error) {
	most := r.host.client.Limits.Effective().ManifestSize
	resp, err := r.host.do(httpx.Whole(ctx, most), r.manifestCall(http.MethodGet, ref))
	if err != nil {
		return content.Manifest{}, err
	}
	if err := r.host.check(resp, http.StatusOK); err != nil {
		return content.Manifest{}, err
	}
	defer resp.Body.Close()
	raw, err := r.host.readSmall(resp, most)
	if err != nil {
		return content.Manifest{}, fmt.Errorf("manifest %s of %s: %w", ref, r, err)
	}
	m, err := r.verify(ref, resp.Header, raw)
	if err != nil {
		return content.Manifest{}, fmt.Errorf("%s: %w", r, r.host.secrets.maskError(err))
	}
	return m, nil
}

func (r *Repository) manifestCall(method, ref string) call {
	accept := []string{strings.Join(content.ManifestMediaTypes(), ", ")}
	return call{method: method, path: r.path("manifests", ref), query: r.query(), header: http.Header{"Accept": accept}, scopes: r.pull()}
}

func (r *Repository) verify(ref string, h http.Header, raw []byte) (content.Manifest, error) {
	limits := r.host.client.Limits
	mediaType := mediaTypeOf(h)
	if isDigest(ref) {
		return content.VerifyManifest(ocispec.Descriptor{MediaType: mediaType, Digest: digest.Digest(ref)}, raw, limits)
	}
	if err := checkStated(h, raw); err != nil {
		return content.Manifest{}, fmt.Errorf("tag %s: %w", ref, err)
	}
	return content.ParseManifest(mediaType, raw, limits)
}

// checkStated compares the digest a registry states with the bytes it gave.
func checkStated(h http.Header, raw []byte) error {
	stated := digest.Digest(h.Get(digestHeader))
	if stated == "" {
		return nil
	}
	if err := content.CheckDigest(stated); err != nil {
		return fmt.Errorf("header %s: %w", digestHeader, err)
	}
	size := int64(len(raw))
	got := stated.Algorithm().FromBytes(raw)
	if got == stated {
		return nil
	}
	mismatch := &content.MismatchError{Want: ocispec.Descriptor{Digest: stated, Size: size}, Got: got, Size: size}
	return fmt.Errorf("a proxy or the registry changed the manifest: %w", mismatch)
}

// mediaTypeOf returns the type of an answer, without parameters.
func mediaTypeOf(h http.Header) string {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mediaType
}

// errWebPage is what a captive portal or a misconfigured proxy answers.
var errWebPage = fmt.Errorf("answered with a web page, not with what was asked for (%w)", content.ErrUnavailable)

func (h *host) webPage(resp *http.Response) error {
	return fmt.Errorf("%s %w", h.locate(resp.Request), errWebPage)
}

// readSmall reads an answer of at most limit bytes. What a proxy compressed
// without being asked is unpacked; a web page is no answer.
func (h *host) readSmall(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("answer of %d bytes is over the limit of %d bytes: %w", resp.ContentLength, limit, content.ErrInvalid)
	}
	var body io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" && h.answers(Inflate) {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("answer is not the gzip it says it is: %w: %w", err, content.ErrInvalid)
		}
		body = unzipped
	}
	raw, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w: %w", err, content.ErrUnavailable)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("answer is over the limit of %d bytes: %w", limit, content.ErrInvalid)
	}
	if mediaTypeOf(resp.Header) == "text/html" || isHTML(strings.TrimSpace(string(raw[:min(len(raw), 128)]))) {
		return nil, h.webPage(resp)
	}
	return raw, nil
}

// Resolve implements [content.Resolver] with a HEAD. Where a registry answers
// that incompletely, or not at all, a GET says what it should have said.
//
// A 404 is believed, unless this host was caught before in not finding by HEAD
// what it has. Who must be sure that something is missing asks Manifest.
func (r *Repository) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	if err := checkRef(ref); err != nil {
		return ocispec.Descriptor{}, err
	}
	if !r.host.answers(AskByHead) {
		return r.resolveByGet(ctx, ref)
	}
	resp, err := r.host.do(ctx, r.manifestCall(http.MethodHead, ref))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		d, err := r.describe(ref, resp)
		if err != nil {
			return ocispec.Descriptor{}, fmt.Errorf("%s:%s: %w", r, ref, r.host.secrets.maskError(err))
		}
		if complete(d) || !r.host.answers(CompleteHead) {
			r.host.quirks.name(r.path("manifests", d.Digest.String()), ref)
			return d, nil
		}
		return r.resolveByGet(ctx, ref)
	}
	refusal := r.host.answerError(resp)
	switch {
	case errors.Is(refusal, content.ErrNotFound):
		if !r.host.answers(DoubtHead) || !r.host.quirks.missed(r.path("manifests", ref), resp.Header) {
			return ocispec.Descriptor{}, refusal
		}
	case r.host.answers(ReplaceHead) && (errors.Is(refusal, errors.ErrUnsupported) || errors.Is(refusal, content.ErrInvalid)):
	default:
		return ocispec.Descriptor{}, r.unseen(refusal)
	}
	return r.resolveByGet(ctx, ref)
}

// unseen marks the refusal to show what a name stands for as one that says
// nothing of whether the name is there.
func (r *Repository) unseen(refusal error) error {
	if e, ok := errors.AsType[*Error](refusal); ok && e.Status == http.StatusForbidden && r.host.answers(WriteUnseen) {
		e.hidden = true
	}
	return refusal
}

func (r *Repository) resolveByGet(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	m, err := r.Manifest(ctx, ref)
	return m.Descriptor(), err
}

// describe reads a descriptor from the headers of an answer; what they do not
// say stays empty.
func (r *Repository) describe(ref string, resp *http.Response) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: mediaTypeOf(resp.Header), Digest: digest.Digest(resp.Header.Get(digestHeader)), Size: resp.ContentLength}
	if resp.Header.Get("Content-Encoding") == "gzip" && r.host.answers(Inflate) {
		d.Size = 0
	}
	if d.Digest == "" {
		if isDigest(ref) {
			d.Digest = digest.Digest(ref)
		}
		return d, nil
	}
	if err := content.CheckDigest(d.Digest); err != nil {
		return d, fmt.Errorf("header %s: %w", digestHeader, err)
	}
	if isDigest(ref) && d.Digest != digest.Digest(ref) {
		if d.Digest.Algorithm() == digest.Digest(ref).Algorithm() {
			return d, &content.MismatchError{Want: ocispec.Descriptor{Digest: digest.Digest(ref), Size: d.Size}, Got: d.Digest, Size: d.Size}
		}
		d.Digest = digest.Digest(ref)
	}
	return d, nil
}

func complete(d ocispec.Descriptor) bool {
	return d.Digest != "" && d.Size > 0 && (content.IsIndex(d.MediaType) || strings.Contains(d.MediaType, "manifest"))
}

// PutManifest implements [content.Sink]: one PUT for each name. A manifest that
// has a subject is added to the subject's fallback index where the registry
// shows no sign of keeping referrers itself.
func (r *Repository) PutManifest(ctx context.Context, m content.Manifest, names ...string) error {
	if err := m.Ambiguous(); err != nil {
		return err
	}
	if own := m.Digest(); len(names) == 0 || own.Algorithm() != digest.SHA256 && !slices.Contains(names, own.String()) {
		names = append([]string{own.String()}, names...) // by tag alone, a registry would name it by its sha256
	}
	for _, name := range names {
		if err := checkRef(name); err != nil {
			return err
		}
	}
	subject, refers := m.Subject()
	kept := false
	for _, name := range names {
		h, err := r.put(ctx, name, m.MediaType(), m.Raw())
		if err != nil {
			return err
		}
		kept = kept || h.Get("OCI-Subject") != ""
	}
	if !refers || kept || !r.host.answers(FallbackTag) {
		return nil
	}
	return r.mergeReferrer(ctx, subject.Digest, content.ReferrerDescriptor(m))
}

// put stores a manifest under one name. A registry that states another digest
// than the bytes have has changed them: [content.ErrCorrupt].
func (r *Repository) put(ctx context.Context, name, mediaType string, raw []byte) (http.Header, error) {
	for try := 1; ; try++ {
		h, err := r.putOnce(ctx, name, mediaType, raw)
		if err == nil || !hasCode(err, "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN") {
			return h, err
		}
		m, unread := content.ParseManifest(mediaType, raw, r.host.client.Limits)
		if unread != nil || !r.comesAround(ctx, m, err) || try >= r.host.client.retries() {
			return h, err
		}
		if err := httpx.Wait(ctx, httpx.Backoff(r.host.client.backoff(), try)); err != nil {
			return nil, err
		}
	}
}

// comesAround reports whether a registry that refuses m for what that names will
// take it soon: it has all of that, and what looks at manifests does not see it
// yet. What it is known to have is asked for anew.
//
// Distribution before v3 writes its links in place. Where another client puts a
// child of an index at that moment, the link to it reads as empty, and the
// registry finds no digest in it and then no child: that passes too.
func (r *Repository) comesAround(ctx context.Context, m content.Manifest, refusal error) bool {
	r.host.blobs.forget(r.name, m.Blobs())
	if !r.host.answers(PutAgain) || hasCode(refusal, "DIGEST_INVALID") {
		return r.host.answers(PutAgain)
	}
	for _, e := range m.Edges() {
		if !r.hasNow(ctx, e) {
			return false
		}
	}
	return true
}

// hasNow reports whether the registry has what e leads to, as far as a manifest
// needs it.
func (r *Repository) hasNow(ctx context.Context, e content.Edge) bool {
	switch {
	case e.Role == content.RoleSubject || content.IsForeign(e.Descriptor.MediaType):
		return true
	case e.Role == content.RoleChild:
		_, err := r.Resolve(ctx, e.Descriptor.Digest.String())
		return err == nil
	}
	there, err := r.Has(ctx, e.Descriptor)
	return err == nil && there
}

func (r *Repository) putOnce(ctx context.Context, name, mediaType string, raw []byte) (http.Header, error) {
	if isDigest(name) {
		if got := digest.Digest(name).Algorithm().FromBytes(raw); got != digest.Digest(name) {
			return nil, fmt.Errorf("manifest is not what its name says: %w",
				&content.MismatchError{Want: ocispec.Descriptor{Digest: digest.Digest(name), Size: int64(len(raw))}, Got: got, Size: int64(len(raw))})
		}
	}
	resp, err := r.host.do(httpx.Whole(ctx, maxErrorBody), call{
		method: http.MethodPut,
		path:   r.path("manifests", name),
		header: http.Header{"Content-Type": {mediaType}},
		body:   bytes.Clone(raw),
		scopes: r.push(),
	})
	if err != nil {
		return nil, err
	}
	if err := r.host.check(resp, http.StatusCreated, http.StatusOK, http.StatusAccepted, http.StatusNoContent); err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated && resp.Header.Get("Location") == "" && resp.Header.Get(digestHeader) == "" {
		// Something in between answered; what a registry has stored it names.
		return nil, fmt.Errorf("PUT %s: %d is no answer to a manifest: %w", r.host.locate(resp.Request), resp.StatusCode, content.ErrUnavailable)
	}
	if err := checkStated(resp.Header, raw); err != nil {
		return nil, fmt.Errorf("PUT %s: %w", r.host.locate(resp.Request), r.host.secrets.maskError(err))
	}
	return resp.Header, nil
}
