package testregistry

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func (r *Registry) listTags(q *exchange) reply {
	if !slices.Contains(r.Repositories(), q.repo) {
		return apiError(http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry: %s", q.repo)
	}
	names, next, err := r.listPage(q, r.Tags(q.repo))
	if err != nil {
		return apiError(http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "%v", err)
	}
	return linked(jsonReply(http.StatusOK, map[string]any{"name": q.repo, "tags": emptyNotNull(names)}), next)
}

func (r *Registry) listRepositories(q *exchange) reply {
	names, next, err := r.listPage(q, r.Repositories())
	if err != nil {
		return apiError(http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "%v", err)
	}
	return linked(jsonReply(http.StatusOK, map[string]any{"repositories": emptyNotNull(names)}), next)
}

func emptyNotNull(names []string) []string { return append([]string{}, names...) }

func linked(a reply, next string) reply {
	if next != "" {
		a.header.Set("Link", next)
	}
	return a
}

func (r *Registry) listReferrers(q *exchange) reply {
	if r.config.NoReferrers {
		r.hit("no-referrers")
		return notFoundPage()
	}
	subject, err := digest.Parse(q.ref)
	if err != nil {
		return apiError(http.StatusBadRequest, "DIGEST_INVALID", "%v", err)
	}
	artifactType := q.URL.Query().Get("artifactType")
	if r.config.NoReferrersFilter && artifactType != "" {
		r.hit("no-referrers-filter")
		artifactType = ""
	}
	found := r.referrersOf(q.repo, subject, artifactType)
	names := make([]string, len(found))
	for i, d := range found {
		names[i] = d.Digest.String()
	}
	page, next, err := r.listPage(q, names)
	if err != nil {
		return apiError(http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "%v", err)
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	index.Manifests = slices.DeleteFunc(found, func(d ocispec.Descriptor) bool {
		return !slices.Contains(page, d.Digest.String())
	})
	a := linked(jsonReply(http.StatusOK, index), next).with("Content-Type", ocispec.MediaTypeImageIndex)
	if artifactType != "" {
		a.header.Set("OCI-Filters-Applied", "artifactType")
	}
	return a
}

// referrersOf returns the manifests of repo with that subject, sorted by digest. artifactType "" is any.
func (r *Registry) referrersOf(repo string, subject digest.Digest, artifactType string) []ocispec.Descriptor {
	found := []ocispec.Descriptor{}
	for _, d := range r.Manifests(repo) {
		stored, known := r.Manifest(repo, d.String())
		if !bytes.Contains(stored.Bytes, []byte(subject.Encoded())) {
			continue // parsing all that is there would take large ones long
		}
		var m parts
		if !known || json.Unmarshal(stored.Bytes, &m) != nil || m.Subject == nil || m.Subject.Digest != subject {
			continue
		}
		kind := m.ArtifactType
		if kind == "" && m.Config != nil {
			kind = m.Config.MediaType
		}
		if artifactType != "" && artifactType != kind {
			continue
		}
		found = append(found, ocispec.Descriptor{
			MediaType: stored.MediaType, Digest: d, Size: int64(len(stored.Bytes)),
			ArtifactType: kind, Annotations: m.Annotations,
		})
	}
	return found
}
