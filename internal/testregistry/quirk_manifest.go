package testregistry

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifestHabits are quirks of manifests.
var manifestHabits = map[string]habit{
	"blind-head":    {before: blindHead},    // HEAD finds no manifest
	"no-head":       {before: noHead},       // HEAD of a manifest is 405
	"no-digest":     {after: noDigest},      // answers name no digest
	"head-length":   {after: headLength},    // HEAD tells the length of the manifest in gzip
	"absent-403":    {after: absent403},     // a tag that is not there is 403
	"unknown-code":  {after: unknownCode},   // what is not found has the code UNKNOWN
	"must-exist":    {before: mustExist},    // pushing makes no repository
	"oci-only":      {before: ociOnly},      // docker's media types are 415
	"unknown-class": {before: unknownClass}, // a manifest with an empty config is refused
	"half-written":  {before: halfWritten},  // once, an index is refused for the want of a child that is there
}

func blindHead(_ *Registry, q *exchange, _ Quirk) (reply, bool) {
	if !q.is(http.MethodHead, KindManifest) {
		return reply{}, false
	}
	return manifestUnknown(q.ref).with("Server", "Nexus/3.76.0-03 (COMMUNITY)"), true
}

func noHead(_ *Registry, q *exchange, _ Quirk) (reply, bool) {
	return methodNotAllowed(), q.is(http.MethodHead, KindManifest)
}

func noDigest(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if q.kind != KindManifest || !q.reads() || a.status != http.StatusOK {
		return a, false
	}
	a.header.Del("Docker-Content-Digest")
	return a, true
}

func headLength(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if !q.is(http.MethodHead, KindManifest) || a.status != http.StatusOK {
		return a, false
	}
	return a.with("Content-Encoding", "gzip").with("Content-Length", strconv.Itoa(len(a.body)/2)), true
}

func absent403(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if q.kind != KindManifest || !q.reads() || !isTag(q.ref) || a.status != http.StatusNotFound {
		return a, false
	}
	return apiError(http.StatusForbidden, "DENIED", "you have no permission for %s", q.ref), true
}

func unknownCode(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if q.kind != KindManifest || a.status != http.StatusNotFound {
		return a, false
	}
	return apiError(http.StatusNotFound, "UNKNOWN", "Not Found"), true
}

func mustExist(r *Registry, q *exchange, _ Quirk) (reply, bool) {
	if !q.is(http.MethodPut, KindManifest) && !q.is(http.MethodPost, KindUpload) {
		return reply{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.repos[q.repo]; known {
		return reply{}, false
	}
	return apiError(http.StatusNotFound, "NAME_UNKNOWN",
		"The repository with name '%s' does not exist in the registry with id '123456789012'", q.repo), true
}

func ociOnly(_ *Registry, q *exchange, _ Quirk) (reply, bool) {
	if !q.is(http.MethodPut, KindManifest) || !strings.Contains(q.Header.Get("Content-Type"), ".docker.") {
		return reply{}, false
	}
	return newReply(http.StatusUnsupportedMediaType), true
}

// peek returns the manifest that a request brings, and leaves it there.
func (q *exchange) peek() parts {
	var m parts
	raw, err := io.ReadAll(io.LimitReader(q.body, defaultMaxManifest+1))
	q.body = bytes.NewReader(raw)
	if err != nil || json.Unmarshal(raw, &m) != nil {
		return parts{}
	}
	return m
}

func unknownClass(_ *Registry, q *exchange, _ Quirk) (reply, bool) {
	if !q.is(http.MethodPut, KindManifest) {
		return reply{}, false
	}
	m := q.peek()
	if m.Config == nil || m.Config.MediaType != ocispec.MediaTypeEmptyJSON {
		return reply{}, false
	}
	return apiError(http.StatusForbidden, "DENIED", "unknown manifest class for %s", m.Config.MediaType), true
}

func halfWritten(r *Registry, q *exchange, quirk Quirk) (reply, bool) {
	if !q.is(http.MethodPut, KindManifest) || !r.once(quirk) {
		return reply{}, false
	}
	m := q.peek()
	if len(m.Manifests) == 0 {
		return reply{}, false
	}
	a := apiError(http.StatusBadRequest, "DIGEST_INVALID", "invalid checksum digest format")
	return editJSON(a, func(body map[string]any) {
		errors, _ := body["errors"].([]any)
		body["errors"] = append(errors, map[string]any{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry"})
	}), true
}
