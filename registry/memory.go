package registry

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A blobMemory remembers in which repositories of a host a blob is, and in
// which it is not.
type blobMemory struct {
	mu    sync.Mutex
	known map[digest.Digest]map[string]int64 // size by repository; absent where it is not
}

const absent = -1

// note remembers a blob that is in repo; missing, one that is not.
func (m *blobMemory) note(repo string, d ocispec.Descriptor) { m.set(repo, d.Digest, d.Size) }

func (m *blobMemory) missing(repo string, d ocispec.Descriptor) { m.set(repo, d.Digest, absent) }

func (m *blobMemory) set(repo string, d digest.Digest, size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[digest.Digest]map[string]int64{}
	}
	if m.known[d] == nil {
		m.known[d] = map[string]int64{}
	}
	m.known[d][repo] = size
}

// is returns whether the blob is in repo, and whether that is known.
func (m *blobMemory) is(repo string, d ocispec.Descriptor) (there, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	size, known := m.known[d.Digest][repo]
	return size == d.Size, known && (size == d.Size || size == absent)
}

// elsewhere returns another repository that has the blob, "" if none is known.
func (m *blobMemory) elsewhere(repo string, d ocispec.Descriptor) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range slices.Sorted(maps.Keys(m.known[d.Digest])) {
		if other != repo && m.known[d.Digest][other] == d.Size {
			return other
		}
	}
	return ""
}

// forget is for blobs of which the registry says that it does not have them.
func (m *blobMemory) forget(repo string, blobs []ocispec.Descriptor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range blobs {
		delete(m.known[d.Digest], repo)
	}
}

// quirks are what a host was found to do in its own way.
type quirks struct {
	mu          sync.Mutex
	noReferrers map[string]bool   // repositories without the referrers API
	referrers   bool              // some repository has it
	blindHead   bool              // HEAD does not find what GET gives
	misses      map[string]bool   // paths that HEAD did not find
	names       map[string]string // tags by the paths that HEAD named for them and nobody got since
	noMount     bool              // a mount is an error
	unmounted   bool              // the last mount was answered with a session
	barred      map[mountPath]bool
	chunk       int64  // largest body of an upload; 0 is no limit
	noChunks    bool   // chunks get lost
	noRanges    bool   // Range is ignored
	recalled    bool   // what earlier processes told is in chunk and noChunks
	told        bodies // what the processes to come know
}

// A mountPath is a way on which blobs may not be mounted: the credential for one
// repository does not let the other be read.
type mountPath struct{ from, to string }

const mostPaths = 4096 // remembered of a host, in misses and in names

// with lets f read and note quirks while nobody else does.
func (q *quirks) with(f func(*quirks)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f(q)
}

// bar notes that a mount was refused, where others on that way will be too.
func (q *quirks) bar(way mountPath, err error) {
	if !errors.Is(err, content.ErrUnauthorized) && !errors.Is(err, content.ErrDenied) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.barred == nil {
		q.barred = map[mountPath]bool{}
	}
	q.barred[way] = true
}

// missed notes that HEAD did not find path, and reports whether that can be
// doubted: of one product it is known, of others it is learnt.
func (q *quirks) missed(path string, h http.Header) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.blindHead || strings.HasPrefix(h.Get("Server"), "Nexus/") {
		return true
	}
	if q.misses == nil {
		q.misses = map[string]bool{}
	}
	if len(q.misses) < mostPaths {
		q.misses[path] = true
	}
	return false
}

// found notes that GET gave path.
func (q *quirks) found(path string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.misses[path] {
		q.blindHead = true
	}
	delete(q.names, path)
}

// name notes that HEAD named path for ref.
func (q *quirks) name(path, ref string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if isDigest(ref) || len(q.names) == mostPaths {
		return
	}
	if q.names == nil {
		q.names = map[string]string{}
	}
	q.names[path] = ref
}

// nameOf returns the tag for which HEAD named path, if there is one.
func (q *quirks) nameOf(path string) (tag string, named bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	tag, named = q.names[path]
	return tag, named
}

// remembersNoReferrers asks this process and the ones before it. It is the
// repository that is remembered, not the host: behind a proxy they differ.
func (r *Repository) remembersNoReferrers() bool {
	var known bool
	r.host.quirks.with(func(q *quirks) { known = q.noReferrers[r.name] })
	if known {
		return true
	}
	_, known = content.Recall(r.host.client.Facts, "referrers-api "+r.String(), referrersMemory)
	return known
}

// referrersMemory is for how long nobody asks again whether there is a referrers
// API: registries get one with their next version.
const referrersMemory = 24 * time.Hour

func (r *Repository) rememberNoReferrers() {
	r.host.quirks.with(func(q *quirks) {
		if q.noReferrers == nil {
			q.noReferrers = map[string]bool{}
		}
		q.noReferrers[r.name] = true
	})
}

// recordNoReferrers tells the processes to come.
func (r *Repository) recordNoReferrers() {
	content.Learn(r.host.client.Facts, "referrers-api "+r.String(), "none")
}

// remembersReferrers asks this process and the ones before it whether the host
// has the referrers API. Who is wrong about one repository of it makes a request
// more there.
func (r *Repository) remembersReferrers() bool {
	var known bool
	r.host.quirks.with(func(q *quirks) { known = q.referrers })
	if !known {
		_, known = content.Recall(r.host.client.Facts, r.referrersKey(), referrersMemory)
	}
	return known
}

// recordReferrers tells this process and the ones to come that the host has the
// referrers API.
func (r *Repository) recordReferrers() {
	if r.remembersReferrers() {
		return
	}
	r.host.quirks.with(func(q *quirks) { q.referrers = true })
	content.Learn(r.host.client.Facts, r.referrersKey(), "there")
}

func (r *Repository) referrersKey() string { return "referrers-api of host " + r.host.name }
