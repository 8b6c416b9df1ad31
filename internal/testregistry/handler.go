package testregistry

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// A reply is an answer before it is sent. Handlers make replies, faults bend them, send writes them.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func newReply(status int) reply { return reply{status: status, header: http.Header{}} }

func (a reply) with(key, value string) reply {
	a.header.Set(key, value)
	return a
}

// apiError is an error in the JSON form of the spec.
func apiError(status int, code, format string, args ...any) reply {
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	return jsonReply(status, map[string][]item{"errors": {{code, fmt.Sprintf(format, args...)}}})
}

// jsonReply encodes v, which must be encodable: it is always a literal of this package.
func jsonReply(status int, v any) reply {
	a := newReply(status).with("Content-Type", "application/json; charset=utf-8")
	a.body, _ = json.Marshal(v)
	return a
}

// An exchange is one request on its way through the registry.
type exchange struct {
	*http.Request
	route
	entry   *Request
	about   string    // digest of what the request moves, as far as it is known
	session int       // number of the upload session, from 1
	strikes []Fault   // faults that hit this request
	body    io.Reader // the request's body, counted and subject to faults
	stalled bool      // a StallAfter in the request's body is over
}

// ServeHTTP answers one request: note it, check access, look for faults, act, send.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	ctx := req.Context()
	q := &exchange{Request: req, route: parseRoute(req.URL.Path, r.config.Auth.tokenPath())}
	q.entry = &Request{
		Method: req.Method, Kind: q.kind, Repo: q.repo, Ref: q.ref, Host: req.Host, Query: req.URL.RawQuery,
		Range: req.Header.Get("Range"), Header: req.Header.Clone(),
	}
	r.identify(q)
	q.entry.Auth, _, _ = strings.Cut(req.Header.Get("Authorization"), " ")
	refusal, refused := r.refuse(q)
	if refused {
		refusal = r.bend(q, refusal)
	} else {
		q.strikes = r.faults.strike(q)
	}
	for _, f := range q.strikes {
		q.entry.Faults = append(q.entry.Faults, f.String())
	}
	r.log.begin(q.entry)
	defer r.log.end(q.entry)
	q.body = r.bodyOf(q)
	if refused {
		r.send(ctx, w, q, refusal)
		return
	}
	a, answered := r.before(ctx, q)
	if !answered {
		a = r.charge(q, r.habitually(q))
	}
	if f, broken := q.struck(breaking...); broken && (f.N < 0 || f.Effect == StreamRefuse || q.movesBody()) {
		breakOff(q, f)
		return
	}
	if f, stalls := q.struck(StallAfter); stalls && q.movesBody() && !q.stalled {
		r.hold(ctx, f.Release)
	}
	r.send(ctx, w, q, r.after(q, a))
}

// answer is the registry without faults.
func (r *Registry) answer(q *exchange) reply {
	if q.repo != "" && !repoName.MatchString(q.repo) {
		return apiError(http.StatusBadRequest, "NAME_INVALID", "invalid repository name")
	}
	switch q.kind {
	case KindPing:
		return jsonReply(http.StatusOK, struct{}{})
	case KindBlob:
		return r.blob(q)
	case KindStorage:
		return r.getBlob(q, digest.Digest(q.ref))
	case KindUpload:
		return r.upload(q)
	case KindManifest:
		return r.manifest(q)
	case KindTags:
		if q.ref != "" {
			return notFoundPage() // a path that only one quirk has
		}
		return r.listTags(q)
	case KindCatalog:
		return r.listRepositories(q)
	case KindReferrers:
		return r.listReferrers(q)
	case KindToken:
		return r.issueToken(q)
	default:
		return notFoundPage()
	}
}

// notFoundPage is what registries say about a path they do not know: it is not JSON.
func notFoundPage() reply {
	a := newReply(http.StatusNotFound).with("Content-Type", "text/plain; charset=utf-8")
	a.body = []byte("404 page not found\n")
	return a
}

func methodNotAllowed() reply {
	return apiError(http.StatusMethodNotAllowed, "UNSUPPORTED", "the operation is unsupported")
}

// countingReader notes what comes in, before the handler has it.
type countingReader struct {
	r   *Registry
	q   *exchange
	src io.Reader
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.r.log.note(c.q.entry, func(e *Request) { e.Received += int64(n) })
	return n, err
}

// listPage cuts the page that q asks for out of sorted names and gives the Link of the next one.
func (r *Registry) listPage(q *exchange, names []string) ([]string, string, error) {
	query := q.URL.Query()
	if last := query.Get("last"); last != "" {
		at, found := slices.BinarySearch(names, last)
		if found {
			at++
		}
		names = names[at:]
	}
	limit := r.config.PageSize
	if query.Has("n") {
		n, err := strconv.Atoi(query.Get("n"))
		if err != nil || n < 0 {
			return nil, "", fmt.Errorf("n is %q", query.Get("n"))
		}
		if limit == 0 || n < limit {
			limit = n
		}
		if n == 0 {
			return []string{}, "", nil
		}
	}
	if limit == 0 || len(names) <= limit {
		return names, "", nil
	}
	r.hit("page-size")
	names = names[:limit]
	query.Set("last", names[limit-1])
	query.Set("n", strconv.Itoa(limit))
	return names, fmt.Sprintf("<%s?%s>; rel=\"next\"", q.URL.Path, query.Encode()), nil
}
