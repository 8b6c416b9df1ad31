package testregistry

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
)

// blobHabits are quirks of blobs that lie elsewhere: with storage, at a host of their own (see StorageHost), to which
// URLs lead that are signed.
var blobHabits = map[string]habit{
	"storage": {before: storage}, // blobs are at the storage host, which takes GET alone and no Authorization
	"url-end": {before: urlEnd},  // the first URL of a blob there has ended when it is used
}

// KindStorage is a request to the storage host.
const KindStorage Kind = "storage"

const storagePath = "/storage/"

func storage(r *Registry, q *exchange, _ Quirk) (reply, bool) {
	switch {
	case q.kind == KindBlob && q.reads():
		if _, known := r.Blob(q.repo, digest.Digest(q.ref)); !known {
			return reply{}, false
		}
		to := r.scheme() + "://" + r.StorageHost() + storagePath + q.repo + "/blobs/" + q.ref + "?X-Amz-Signature=0"
		return newReply(http.StatusTemporaryRedirect).with("Location", to), true
	case q.kind == KindStorage && q.Header.Get("Authorization") != "":
		return storageError(http.StatusBadRequest, "InvalidArgument"), true
	case q.kind == KindStorage && q.Method != http.MethodGet:
		return storageError(http.StatusForbidden, "SignatureDoesNotMatch"), true
	}
	return reply{}, false
}

func urlEnd(r *Registry, q *exchange, quirk Quirk) (reply, bool) {
	if !q.is(http.MethodGet, KindStorage) || !r.once(quirk) {
		return reply{}, false
	}
	return storageError(http.StatusForbidden, "AccessDenied"), true
}

func storageError(status int, code string) reply {
	a := newReply(status).with("Content-Type", "application/xml")
	a.body = fmt.Appendf(nil, "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code></Error>", code)
	return a
}

// StorageHost is the address of the storage host, "" without the quirk storage.
func (r *Registry) StorageHost() string {
	if r.store == nil {
		return ""
	}
	return r.store.Listener.Addr().String()
}

// stored is where a path at the storage host leads.
func stored(path string) (route, bool) {
	rest, is := strings.CutPrefix(path, storagePath)
	repo, ref, _ := strings.Cut(rest, "/blobs/")
	return route{KindStorage, repo, ref}, is
}
