package testregistry

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

func (r *Registry) blob(q *exchange) reply {
	d, err := digest.Parse(q.ref)
	if err != nil {
		return apiError(http.StatusBadRequest, "DIGEST_INVALID", "%v", err)
	}
	switch q.Method {
	case http.MethodGet, http.MethodHead:
		return r.getBlob(q, d)
	case http.MethodDelete:
		return r.removeBlob(q, d)
	}
	return methodNotAllowed()
}

func (r *Registry) getBlob(q *exchange, d digest.Digest) reply {
	content, known := r.Blob(q.repo, d)
	if !known {
		return apiError(http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry: %s", d)
	}
	a := newReply(http.StatusOK).with("Content-Type", "application/octet-stream").
		with("Docker-Content-Digest", d.String()).with("Accept-Ranges", "bytes").with("Etag", strconv.Quote(d.String()))
	a.body = content
	asked := q.Header.Get("Range")
	if asked == "" || q.Method != http.MethodGet {
		return a
	}
	s, verdict := parseRange(asked, int64(len(content)))
	switch verdict {
	case rangeIgnored:
		return a
	case rangeUnsatisfiable:
		return apiError(http.StatusRequestedRangeNotSatisfiable, "UNKNOWN", "range %q of %d bytes", asked, len(content)).
			with("Content-Range", fmt.Sprintf("bytes */%d", len(content)))
	case rangeGood:
	}
	a.status = http.StatusPartialContent
	a.header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", s.first, s.last, len(content)))
	a.body = content[s.first : s.last+1]
	return a
}

func (r *Registry) removeBlob(q *exchange, d digest.Digest) reply {
	if r.config.NoDelete {
		return methodNotAllowed()
	}
	if _, known := r.Blob(q.repo, d); !known {
		return apiError(http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry: %s", d)
	}
	r.DeleteBlob(q.repo, d)
	return newReply(http.StatusAccepted)
}

// A span is a range with both ends inside the content.
type span struct{ first, last int64 }

type rangeVerdict int

const (
	rangeGood rangeVerdict = iota
	rangeIgnored
	rangeUnsatisfiable
)

// parseRange reads a Range header for content of size bytes as RFC 9110 §14 wants: what is malformed or has several
// spans is ignored, which the RFC allows a server.
func parseRange(header string, size int64) (span, rangeVerdict) {
	spec, isBytes := strings.CutPrefix(header, "bytes=")
	from, to, isSpan := strings.Cut(spec, "-")
	if !isBytes || !isSpan || strings.Contains(spec, ",") {
		return span{}, rangeIgnored
	}
	if from == "" {
		n, err := strconv.ParseInt(to, 10, 64)
		if err != nil || n < 0 {
			return span{}, rangeIgnored
		}
		return satisfy(span{max(0, size-n), size - 1}, size)
	}
	first, err := strconv.ParseInt(from, 10, 64)
	if err != nil || first < 0 {
		return span{}, rangeIgnored
	}
	if to == "" {
		return satisfy(span{first, size - 1}, size)
	}
	last, err := strconv.ParseInt(to, 10, 64)
	if err != nil || last < first {
		return span{}, rangeIgnored
	}
	return satisfy(span{first, min(last, size-1)}, size)
}

func satisfy(s span, size int64) (span, rangeVerdict) {
	if s.first >= size || s.last < s.first {
		return span{}, rangeUnsatisfiable
	}
	return s, rangeGood
}
