package testregistry

import (
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Effect is what a fault does. The comments say which field of the Fault it reads.
type Effect string

// The effects. Those that break a body count N in the body that the request moves: the request's own for POST, PATCH
// and PUT, else the answer's. A request body that ends before N is acted on, and its answer is lost; an answer that
// ends before N is whole. N below 0 breaks off in place of an answer.
const (
	Pass         Effect = ""              // nothing but Header, Hit
	ResetAfter   Effect = "reset-after"   // RST after at most N bytes
	CutAfter     Effect = "cut-after"     // FIN after N bytes; the Content-Length promised all
	ChunkCut     Effect = "chunk-cut"     // no Content-Length, N bytes, FIN without the last chunk
	StallAfter   Effect = "stall-after"   // silence after N bytes, until Release or the end of the request
	Hold         Effect = "hold"          // silence before anything, until Release or the end of the request
	Delay        Effect = "delay"         // wait between Min and Max first, drawn from Seed and the request
	Rate         Effect = "rate"          // N bytes of the answer a second
	Answer       Effect = "status"        // status N with Header, Body, RetryAfter
	Echo         Effect = "echo"          // status N, and all that the request proved itself with, as code and message
	Redirect     Effect = "redirect"      // 307 (or N) to Value plus this path and query; "loop" is this very URL
	HTML         Effect = "html"          // 200 with a page of a captive portal
	IgnoreRange  Effect = "ignore-range"  // 200 with the whole blob
	ContentRange Effect = "content-range" // Value as Content-Range of a 206: "none", "shift" (one off), "star" (no total), or itself
	Multipart    Effect = "multipart"     // a 206 comes as multipart/byteranges of one part
	Trickle      Effect = "trickle"       // after N bytes one byte every ten seconds
	Flip         Effect = "flip"          // byte N of the content (not of the span) has a bit flipped
	Shorter      Effect = "shorter"       // N bytes less, Content-Length says so
	Longer       Effect = "longer"        // N spaces more, Content-Length says so
	Endless      Effect = "endless"       // no Content-Length, spaces after the content for ever
	Gzip         Effect = "gzip"          // Content-Encoding: gzip, asked or not
	DigestHeader Effect = "digest"        // Value as Docker-Content-Digest: "none", "wrong", or itself
	LinkHeader   Effect = "link"          // Link rel=next to Value plus this path and query; "self" is this very URL
	Location     Effect = "location"      // upload Location: "relative" to the request, "absolute", "plain" http, or at Value, a URL of a host
	SessionLost  Effect = "session-lost"  // the session is gone: 404 BLOB_UPLOAD_UNKNOWN
	Revoke       Effect = "revoke"        // all tokens end, and this request is refused for its own
	Phantom      Effect = "phantom"       // 200 to a HEAD, and N bytes, whether it is there or not
	StreamReset  Effect = "stream-reset"  // HTTP/2: RST_STREAM after N bytes, INTERNAL_ERROR; else as cut-after
	StreamRefuse Effect = "stream-refuse" // HTTP/2: RST_STREAM in place of an answer, REFUSED_STREAM; else as cut-after=-1
	GoAway       Effect = "goaway"        // HTTP/2: after N bytes GOAWAY and the end of the connection; else as cut-after
	Keep         Effect = "keep"          // only the first N bytes of the body stay in the session; 0 never advances
)

// A Fault is one way to misbehave, and when. Zero match fields match everything, with two exceptions: an effect that
// is about one kind of request (most are about blob GETs) strikes only that when Kind is "", and token requests are
// struck only with Kind KindToken or AnyKind. Requests without the rights they take are never struck.
type Fault struct {
	Method  string // or several, with | between
	Kind    Kind
	Repo    string // glob; * matches slashes too
	Ref     string // part of the tag, digest or session id
	About   string // part of the digest of what is moved: see Session
	Query   string // part of the raw query
	Session int    // of requests to upload sessions that have told no digest yet, those of the n-th session count as About
	Nth     int    // first match that is struck, from 1; 0 means 1
	Times   int    // how many are struck; 0 means all from Nth on
	Percent int    // of matches are struck, drawn from Seed; 0 means all

	Effect     Effect
	N          int64
	Value      string
	Header     http.Header // set on the answer
	Body       string
	RetryAfter string // seconds as in the header, or "@4s" for a date that far ahead
	Min, Max   time.Duration
	Seed       uint64
	Release    <-chan struct{} // ends Hold and StallAfter, after which the answer goes on
	Hit        func()          // called when the fault strikes, before its effect
}

// AnyKind as a Fault's Kind matches all requests.
const AnyKind Kind = "any"

// subject is what an effect is about when a fault does not say.
var subject = map[Effect]Kind{
	ResetAfter: KindBlob, CutAfter: KindBlob, ChunkCut: KindBlob, StallAfter: KindBlob, Rate: KindBlob,
	IgnoreRange: KindBlob, ContentRange: KindBlob, Flip: KindBlob, Shorter: KindBlob, Longer: KindBlob,
	Endless: KindBlob, Gzip: KindBlob, Multipart: KindBlob, Trickle: KindBlob, Phantom: KindBlob, DigestHeader: KindManifest, LinkHeader: KindTags,
	Location: KindUpload, SessionLost: KindUpload, Keep: KindUpload,
}

// bodies are the effects that make no sense without a body: they strike HEAD only when Method says so.
var bodies = map[Effect]bool{
	ResetAfter: true, CutAfter: true, ChunkCut: true, StallAfter: true, Rate: true, IgnoreRange: true,
	ContentRange: true, Flip: true, Shorter: true, Longer: true, Endless: true, Gzip: true,
	Multipart: true, Trickle: true,
}

func (f Fault) matches(q *exchange) bool {
	if f.Method != "" && !slices.Contains(strings.Split(f.Method, "|"), q.Method) || f.Method == "" && q.Method == http.MethodHead && bodies[f.Effect] {
		return false
	}
	if !f.matchesKind(q.kind) {
		return false
	}
	if f.Effect == SessionLost && q.ref == "" || f.Effect == Phantom && q.Method != http.MethodHead || !f.matchesAbout(q) {
		return false
	}
	return strings.Contains(q.ref, f.Ref) && strings.Contains(q.URL.RawQuery, f.Query) && globMatch(f.Repo, q.repo)
}

func (f Fault) matchesAbout(q *exchange) bool {
	if f.About == "" {
		return true
	}
	if q.about == "" && q.kind == KindUpload {
		return f.Session > 0 && f.Session == q.session
	}
	return strings.Contains(q.about, f.About)
}

func (f Fault) matchesKind(kind Kind) bool {
	want := f.Kind
	if want == "" {
		want = subject[f.Effect]
	}
	if want == "" {
		return kind != KindToken
	}
	return want == AnyKind || want == kind
}

func globMatch(glob, name string) bool {
	if glob == "" {
		return true
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, `.*`)
	return regexp.MustCompile("^" + pattern + "$").MatchString(name)
}

type faultSet struct {
	mu   sync.Mutex
	list []armedFault
}

type armedFault struct {
	Fault
	seen, struck int
	draw         *rand.Rand
}

// SetFaults replaces the faults and begins to count anew.
func (r *Registry) SetFaults(faults ...Fault) {
	armed := make([]armedFault, len(faults))
	for i, f := range faults {
		armed[i] = armedFault{Fault: f, draw: rand.New(rand.NewPCG(f.Seed, uint64(i)))}
	}
	r.faults.mu.Lock()
	defer r.faults.mu.Unlock()
	r.faults.list = armed
}

// Struck returns how often the i-th fault has struck.
func (r *Registry) Struck(i int) int {
	r.faults.mu.Lock()
	defer r.faults.mu.Unlock()
	return r.faults.list[i].struck
}

// strike returns the faults that hit q, and counts.
func (s *faultSet) strike(q *exchange) []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit []Fault
	for i := range s.list {
		f := &s.list[i]
		if !f.matches(q) {
			continue
		}
		f.seen++
		if f.seen < f.Nth || f.Times > 0 && f.struck >= f.Times {
			continue
		}
		if f.Percent > 0 && f.draw.IntN(100) >= f.Percent {
			continue
		}
		f.struck++
		hit = append(hit, f.Fault)
	}
	return hit
}
