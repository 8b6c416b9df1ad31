package testregistry

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const defaultMaxManifest = 4 << 20

func (r *Registry) manifest(q *exchange) reply {
	switch q.Method {
	case http.MethodGet, http.MethodHead:
		return r.getManifest(q)
	case http.MethodPut:
		return r.putManifest(q)
	case http.MethodDelete:
		return r.removeManifest(q)
	}
	return methodNotAllowed()
}

func manifestUnknown(ref string) reply {
	return apiError(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown: %s", ref)
}

func (r *Registry) getManifest(q *exchange) reply {
	r.mu.Lock()
	p := r.repos[q.repo]
	if p == nil {
		r.mu.Unlock()
		return apiError(http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry: %s", q.repo)
	}
	d := p.resolve(q.ref)
	m, known := p.manifests[d]
	r.mu.Unlock()
	if !known || !accepts(q.Header.Values("Accept"), m.MediaType) {
		return manifestUnknown(q.ref)
	}
	a := newReply(http.StatusOK).with("Content-Type", m.MediaType).with("Docker-Content-Digest", d.String())
	a.body = m.Bytes
	return a
}

// accepts follows distribution, which answers 404 where the client does not want the type that is stored.
func accepts(headers []string, mediaType string) bool {
	if len(headers) == 0 {
		return true
	}
	for item := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, _, _ := strings.Cut(item, ";")
		if name = strings.TrimSpace(name); name == mediaType || name == "*/*" {
			return true
		}
	}
	return false
}

// parts is what any kind of manifest may hold.
type parts struct {
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType"`
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Blobs        []ocispec.Descriptor `json:"blobs"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
	Subject      *ocispec.Descriptor  `json:"subject"`
	Annotations  map[string]string    `json:"annotations"`
}

func (r *Registry) putManifest(q *exchange) reply {
	limit := cmp.Or(r.config.MaxManifest, defaultMaxManifest)
	content, err := io.ReadAll(io.LimitReader(q.body, limit+1))
	if err != nil {
		return apiError(http.StatusBadRequest, "MANIFEST_INVALID", "%v", err)
	}
	if int64(len(content)) > limit {
		return apiError(http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", "manifest of more than %d bytes", limit)
	}
	d, refusal, refused := checkReference(q.ref, content)
	if refused {
		return refusal
	}
	mediaType := q.Header.Get("Content-Type")
	var m parts
	if json.Unmarshal(content, &m) == nil && m.MediaType != "" && m.MediaType != mediaType {
		return apiError(http.StatusBadRequest, "MANIFEST_INVALID", "Content-Type %q, mediaType %q", mediaType, m.MediaType)
	}
	if missing := r.missing(q.repo, m); missing != "" && !r.config.AllowMissing {
		return apiError(http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry: %s", missing)
	}
	r.PutManifest(q.repo, d.String(), mediaType, content)
	a := newReply(http.StatusCreated).with("Location", "/v2/"+q.repo+"/manifests/"+d.String()).
		with("Docker-Content-Digest", d.String())
	if q.ref != d.String() {
		r.Tag(q.repo, q.ref, d)
	}
	for _, tag := range q.URL.Query()["tag"] {
		r.Tag(q.repo, tag, d)
		a.header.Add("OCI-Tag", tag)
	}
	if m.Subject != nil && !r.config.NoReferrers {
		a.header.Set("OCI-Subject", m.Subject.Digest.String())
	}
	return a
}

// checkReference returns the digest under which content goes: ref where it is one and right, else its sha256.
func checkReference(ref string, content []byte) (digest.Digest, reply, bool) {
	if !strings.Contains(ref, ":") {
		if !tagName.MatchString(ref) {
			return "", apiError(http.StatusBadRequest, "MANIFEST_INVALID", "invalid tag"), true
		}
		return digest.FromBytes(content), reply{}, false
	}
	d, err := digest.Parse(ref)
	if err != nil {
		return "", apiError(http.StatusBadRequest, "DIGEST_INVALID", "%v", err), true
	}
	if got := d.Algorithm().FromBytes(content); got != d {
		return "", apiError(http.StatusBadRequest, "DIGEST_INVALID", "content is %s, not %s", got, d), true
	}
	return d, reply{}, false
}

// missing returns a digest that m needs and repo has not, or "". Layers with URLs may live elsewhere; a subject may
// come later.
func (r *Registry) missing(repo string, m parts) digest.Digest {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.repo(repo)
	blobs := slices.Concat(m.Layers, m.Blobs)
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, d := range blobs {
		if _, known := p.blobs[d.Digest]; !known && len(d.URLs) == 0 {
			return d.Digest
		}
	}
	for _, d := range m.Manifests {
		if _, known := p.manifests[d.Digest]; !known {
			return d.Digest
		}
	}
	return ""
}

func (r *Registry) removeManifest(q *exchange) reply {
	if r.config.NoDelete {
		r.hit("no-delete")
		return methodNotAllowed()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.repo(q.repo)
	if _, tagged := p.tags[q.ref]; tagged {
		delete(p.tags, q.ref)
		return newReply(http.StatusAccepted)
	}
	if _, known := p.manifests[digest.Digest(q.ref)]; !known {
		return manifestUnknown(q.ref)
	}
	p.deleteManifest(digest.Digest(q.ref))
	return newReply(http.StatusAccepted)
}
