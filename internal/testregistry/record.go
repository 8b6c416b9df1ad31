package testregistry

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Kind says what part of the API a request is for.
type Kind string

// The kinds of requests.
const (
	KindPing      Kind = "ping"
	KindBlob      Kind = "blob"
	KindUpload    Kind = "upload"
	KindManifest  Kind = "manifest"
	KindTags      Kind = "tags"
	KindCatalog   Kind = "catalog"
	KindReferrers Kind = "referrers"
	KindToken     Kind = "token"
	KindListing   Kind = "listing" // of an API beside the distribution spec
	KindSearch    Kind = "search"
	KindOther     Kind = "other" // a path that no part of the API has
)

var kinds = []Kind{
	KindPing, KindBlob, KindUpload, KindManifest, KindTags, KindCatalog, KindReferrers, KindToken, KindListing, KindSearch, KindStorage, KindOther,
}

// A Request is what the registry noted of one request. It is there, with status and bytes, before the client sees them.
type Request struct {
	At       time.Time // when it came
	Done     time.Time // when it was over; zero while it is not
	Method   string
	Kind     Kind
	Repo     string
	Ref      string      // tag, digest, or id of the upload session
	Host     string      // the Host the client asked for
	Query    string      // raw query
	Range    string      // Range of the request
	Auth     string      // scheme of the Authorization the client sent: "", "Basic", "Bearer"
	Header   http.Header // all headers of the request
	Status   int         // 0 while there is none, and for connections broken before the answer
	Sent     int64       // bytes of the answer's body
	Received int64       // bytes of the request's body
	Faults   []string    // the faults that hit it
}

type requestLog struct {
	mu      sync.Mutex
	entries []*Request
	open    int
	peak    int
}

func (l *requestLog) begin(e *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.At = time.Now()
	l.entries = append(l.entries, e)
	l.open++
	l.peak = max(l.peak, l.open)
}

func (l *requestLog) end(e *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Done = time.Now()
	l.open--
}

func (l *requestLog) note(e *Request, change func(*Request)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(e)
}

// Requests returns all requests since the start or the last Reset, in order of arrival.
func (r *Registry) Requests() []Request {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	all := make([]Request, len(r.log.entries))
	for i, e := range r.log.entries {
		all[i] = *e
		all[i].Faults = slices.Clone(e.Faults)
	}
	return all
}

// Count returns how many requests match. Token requests are among them: see NotToken.
func (r *Registry) Count(match func(Request) bool) int {
	n := 0
	for _, q := range r.Requests() {
		if match(q) {
			n++
		}
	}
	return n
}

// NotToken matches every request that is not for a token, for Count.
func NotToken(q Request) bool { return q.Kind != KindToken }

// Is returns a match for Count: method ("" is any) and kind.
func Is(method string, kind Kind) func(Request) bool {
	return func(q Request) bool { return (method == "" || method == q.Method) && kind == q.Kind }
}

// BlobBytesSent returns how many bytes of blobs went out.
func (r *Registry) BlobBytesSent() int64 {
	var n int64
	for _, q := range r.Requests() {
		if (q.Kind == KindBlob || q.Kind == KindStorage) && q.Status/100 == 2 {
			n += q.Sent
		}
	}
	return n
}

// BlobBytesReceived returns how many bytes of blobs came in, through uploads that ended well or not.
func (r *Registry) BlobBytesReceived() int64 {
	var n int64
	for _, q := range r.Requests() {
		if q.Kind == KindUpload {
			n += q.Received
		}
	}
	return n
}

// Peak returns the largest number of requests that were under way at once.
func (r *Registry) Peak() int {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	return r.log.peak
}

// Reset forgets the requests so far. Content, tokens and faults stay.
func (r *Registry) Reset() {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.log.entries = nil
	r.log.peak = r.log.open
}
