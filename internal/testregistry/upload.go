package testregistry

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
)

// An upload is a session. It can be asked where it stands while a body comes in. A request that writes takes the
// session over: a body that hangs on an older connection adds nothing any more.
type upload struct {
	id, repo string
	state    string // must come back in each request, as a proof that Location was used as it is
	number   int    // of those that were asked for, from 1

	mu      sync.Mutex
	content []byte
	writer  int    // number of the request that may write
	about   string // digest that a request named as what it is to become
	small   bool   // the last chunk was smaller than ChunkMin, so it must stay the last
}

func (u *upload) takeOver() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.writer++
	return u.writer
}

// expect makes room for n bytes at once, so that a large body is not copied each time that it outgrows what is there. What
// a client says it will send is believed up to 64 MiB.
func (u *upload) expect(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.content = slices.Grow(u.content, int(min(max(n, 0), 64<<20)))
}

// write reports whether writer may still write.
func (u *upload) write(writer int, p []byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.writer != writer {
		return false
	}
	u.content = append(u.content, p...)
	return true
}

// take returns the content and lets nobody write any more.
func (u *upload) take() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.writer++
	return u.content
}

func (u *upload) size() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return int64(len(u.content))
}

func (r *Registry) upload(q *exchange) reply {
	if q.Method == http.MethodPost && q.ref == "" {
		return r.startUpload(q)
	}
	r.mu.Lock()
	u, known := r.uploads[q.ref]
	r.mu.Unlock()
	if !known || u.repo != q.repo {
		return uploadUnknown()
	}
	if q.URL.Query().Get("_state") != u.state {
		return apiError(http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "Location was not used as it was given")
	}
	switch q.Method {
	case http.MethodGet:
		return u.standing(http.StatusNoContent)
	case http.MethodPatch:
		return r.patchUpload(q, u)
	case http.MethodPut:
		return r.closeUpload(q, u)
	case http.MethodDelete:
		r.dropUpload(u)
		return newReply(http.StatusNoContent)
	}
	return methodNotAllowed()
}

// identify finds out which content q is about: the session of an upload knows it once a request has named the digest.
func (r *Registry) identify(q *exchange) {
	switch query := q.URL.Query(); q.kind {
	case KindUpload:
		q.about = cmp.Or(query.Get("digest"), query.Get("mount"))
		r.identifySession(q)
	case KindManifest:
		if q.about = q.ref; isTag(q.ref) {
			q.about = r.Digest(q.repo, q.ref).String()
		}
	default:
		q.about = q.ref
	}
}

func (r *Registry) identifySession(q *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.Method == http.MethodPost && q.ref == "" {
		r.sessions++
		q.session = r.sessions
		return
	}
	u := r.uploads[q.ref]
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.about = cmp.Or(q.about, u.about)
	q.about, q.session = u.about, u.number
}

func uploadUnknown() reply {
	return apiError(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
}

// Uploads returns how many sessions are open.
func (r *Registry) Uploads() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.uploads)
}

// DropUploads forgets all open sessions, as a registry does that restarts without its state.
func (r *Registry) DropUploads() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.uploads)
}

func (r *Registry) dropUpload(u *upload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.uploads, u.id)
}

func (r *Registry) startUpload(q *exchange) reply {
	query := q.URL.Query()
	if query.Has("mount") && r.config.NoMount {
		r.hit("no-mount")
	}
	if mount := query.Get("mount"); mount != "" && !r.config.NoMount {
		if content, known := r.Blob(query.Get("from"), digest.Digest(mount)); known {
			r.PutBlobAs(q.repo, digest.Digest(mount), content)
			return blobCreated(q.repo, digest.Digest(mount))
		}
	}
	u := &upload{id: strings.ToLower(rand.Text()), repo: q.repo, state: rand.Text(), number: q.session}
	r.mu.Lock()
	r.repo(q.repo)
	r.uploads[u.id] = u
	r.mu.Unlock()
	if query.Has("digest") && !r.config.NoSinglePost {
		return r.closeUpload(q, u)
	}
	a := u.standing(http.StatusAccepted)
	if r.config.ChunkMin > 0 {
		a.header.Set("OCI-Chunk-Min-Length", strconv.FormatInt(r.config.ChunkMin, 10))
	}
	return a
}

// standing says where the session is and how far it got.
func (u *upload) standing(status int) reply {
	return newReply(status).with("Location", "/v2/"+u.repo+"/blobs/uploads/"+u.id+"?_state="+u.state).
		with("Docker-Upload-UUID", u.id).with("Range", fmt.Sprintf("0-%d", max(0, u.size()-1)))
}

func blobCreated(repo string, d digest.Digest) reply {
	return newReply(http.StatusCreated).with("Location", "/v2/"+repo+"/blobs/"+d.String()).
		with("Docker-Content-Digest", d.String())
}

func (r *Registry) patchUpload(q *exchange, u *upload) reply {
	if r.config.ChunkMax > 0 && q.ContentLength > r.config.ChunkMax {
		return apiError(http.StatusRequestEntityTooLarge, "SIZE_INVALID", "chunk of more than %d bytes", r.config.ChunkMax)
	}
	if u.tooEarly() {
		return apiError(http.StatusBadRequest, "SIZE_INVALID", "the chunk before was smaller than %d bytes", r.config.ChunkMin)
	}
	before := u.size()
	if refusal, refused := u.add(q); refused {
		return refusal
	}
	u.mu.Lock()
	u.small = int64(len(u.content))-before < r.config.ChunkMin
	u.mu.Unlock()
	return u.standing(http.StatusAccepted)
}

func (u *upload) tooEarly() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.small
}

func (r *Registry) closeUpload(q *exchange, u *upload) reply {
	d, err := digest.Parse(q.URL.Query().Get("digest"))
	if err != nil {
		return apiError(http.StatusBadRequest, "DIGEST_INVALID", "%v", err)
	}
	if refusal, refused := u.add(q); refused {
		return refusal
	}
	r.dropUpload(u)
	content := u.take()
	if got := d.Algorithm().FromBytes(content); got != d {
		return apiError(http.StatusBadRequest, "DIGEST_INVALID", "content is %s, not %s", got, d)
	}
	r.PutBlobAs(q.repo, d, content)
	return blobCreated(q.repo, d)
}

// add appends the request's body to the session. What arrived of a body that breaks off stays, as in real registries.
func (u *upload) add(q *exchange) (reply, bool) {
	if refusal, refused := u.checkContentRange(q); refused {
		return refusal, true
	}
	keep, writer := q.keeps(), u.takeOver()
	u.expect(q.ContentLength)
	buf := make([]byte, 64<<10)
	for {
		n, err := q.body.Read(buf)
		kept := min(int64(n), keep)
		keep -= kept
		if !u.write(writer, buf[:kept]) {
			return apiError(http.StatusConflict, "BLOB_UPLOAD_INVALID", "another request has taken the session over"), true
		}
		if errors.Is(err, io.EOF) {
			return reply{}, false
		}
		if err != nil {
			return apiError(http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "%v", err), true
		}
	}
}

func (u *upload) checkContentRange(q *exchange) (reply, bool) {
	header := q.Header.Get("Content-Range")
	if header == "" {
		return reply{}, false
	}
	from, to, isSpan := strings.Cut(header, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	if !isSpan || err1 != nil || err2 != nil {
		return apiError(http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "Content-Range %q", header), true
	}
	if size := u.size(); first != size {
		a := u.standing(http.StatusRequestedRangeNotSatisfiable)
		a.body = apiError(0, "BLOB_UPLOAD_INVALID", "session is at %d, chunk begins at %d", size, first).body
		return a.with("Content-Type", "application/json; charset=utf-8"), true
	}
	if q.ContentLength >= 0 && last-first+1 != q.ContentLength {
		return apiError(http.StatusBadRequest, "SIZE_INVALID", "Content-Range %q with %d bytes", header, q.ContentLength), true
	}
	return reply{}, false
}
