package testregistry

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
)

// uploadHabits are quirks of uploads.
var uploadHabits = map[string]habit{
	"mount-403":        {before: mount403},                // a mount is denied
	"upload-elsewhere": {after: uploadElsewhere},          // sessions are not below /v2/
	"moving-session":   {after: movingSession},            // a session has another URL after each chunk
	"created-chunks":   {after: createdChunks},            // a chunk is 201
	"stuck-range":      {before: stuckRange},              // after the second chunk the session tells where the first ended
	"no-chunks":        {before: noChunks},                // a session goes on nowhere but at its beginning
	"max-chunk":        {reads: number, before: maxChunk}, // a chunk of more than N bytes is 416
	"max-body":         {reads: number, before: maxBody},  // a body of more than N bytes is 413, by a proxy
	"need-length":      {before: needLength},              // a body that does not say how long it is is refused
	"early-416":        {reads: number, before: early416}, // once, a whole blob of less than N bytes is 416
}

// brings reports whether q brings bytes to a session.
func (q *exchange) brings() bool {
	return q.kind == KindUpload && (q.Method == http.MethodPatch || q.Method == http.MethodPut)
}

// reached returns how far the session of q is, 0 without one.
func (r *Registry) reached(q *exchange) int64 {
	r.mu.Lock()
	u := r.uploads[q.ref]
	r.mu.Unlock()
	if u == nil {
		return 0
	}
	return u.size()
}

func mount403(_ *Registry, q *exchange, _ Quirk) (reply, bool) {
	if !q.is(http.MethodPost, KindUpload) || !q.URL.Query().Has("mount") {
		return reply{}, false
	}
	return apiError(http.StatusForbidden, "DENIED", "requested access to the resource is denied"), true
}

// elsewhere is where upload-elsewhere has its sessions. The rest of the path is the usual one.
const elsewhere = "/artifacts-uploads/namespaces/"

func uploadElsewhere(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	rest, usual := strings.CutPrefix(a.header.Get("Location"), "/v2/")
	if q.kind != KindUpload || !usual || !strings.Contains(rest, "/blobs/uploads/") {
		return a, false
	}
	return a.with("Location", elsewhere+rest), true
}

func movingSession(r *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.uploads[q.ref]
	if !q.is(http.MethodPatch, KindUpload) || a.status/100 != 2 || u == nil {
		return a, false
	}
	was := u.state
	u.state = rand.Text()
	return a.with("Location", strings.Replace(a.header.Get("Location"), was, u.state, 1)), true
}

func createdChunks(_ *Registry, q *exchange, _ Quirk, a reply) (reply, bool) {
	if !q.is(http.MethodPatch, KindUpload) || a.status != http.StatusAccepted {
		return a, false
	}
	a.status = http.StatusCreated
	return a, true
}

func stuckRange(r *Registry, q *exchange, _ Quirk) (reply, bool) {
	stood := r.reached(q)
	if !q.is(http.MethodPatch, KindUpload) || stood == 0 {
		return reply{}, false
	}
	return r.upload(q).with("Range", fmt.Sprintf("0-%d", stood-1)), true
}

func noChunks(r *Registry, q *exchange, _ Quirk) (reply, bool) {
	if !q.brings() || q.ContentLength == 0 || r.reached(q) == 0 {
		return reply{}, false
	}
	return apiError(http.StatusBadRequest, "UNSUPPORTED", "chunked uploads are not supported"), true
}

func maxChunk(_ *Registry, q *exchange, quirk Quirk) (reply, bool) {
	if !q.brings() || q.Header.Get("Content-Range") == "" || q.ContentLength <= quirk.N {
		return reply{}, false
	}
	return apiError(http.StatusRequestedRangeNotSatisfiable, "REQUESTED_RANGE_NOT_SATISFIABLE",
		"the request body is too large and exceeds the maximum permissible limit of %d bytes", quirk.N), true
}

func maxBody(_ *Registry, q *exchange, quirk Quirk) (reply, bool) {
	if !q.brings() || q.ContentLength <= quirk.N {
		return reply{}, false
	}
	a := newReply(http.StatusRequestEntityTooLarge).with("Content-Type", "text/html")
	a.body = []byte("<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n</html>\r\n")
	return a, true
}

func needLength(_ *Registry, q *exchange, _ Quirk) (reply, bool) {
	if !q.brings() || q.ContentLength >= 0 {
		return reply{}, false
	}
	return apiError(http.StatusBadRequest, "CONTENT_LENGTH_INVALID", "Content-Length is missing"), true
}

func early416(r *Registry, q *exchange, quirk Quirk) (reply, bool) {
	if !q.is(http.MethodPut, KindUpload) || q.ContentLength == 0 || q.ContentLength >= quirk.N || r.reached(q) > 0 || !r.once(quirk) {
		return reply{}, false
	}
	return newReply(http.StatusRequestedRangeNotSatisfiable), true
}
