package registry

import (
	"errors"
	"strconv"
	"strings"
)

// A span is a Content-Range: bytes first to last of total.
type span struct{ first, last, total int64 }

// parseContentRange reads "bytes first-last/total". A total of "*" is refused:
// wherry knows how large a blob is and wants to hear the same.
// https://www.rfc-editor.org/rfc/rfc9110#section-14.4
func parseContentRange(header string) (span, error) {
	unit, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	spec, size, sized := strings.Cut(rest, "/")
	from, to, spans := strings.Cut(spec, "-")
	bad := errors.New("Content-Range is not of the form bytes first-last/total")
	if !strings.EqualFold(unit, "bytes") || !sized || !spans {
		return span{}, bad
	}
	first, err1 := parseCount(from)
	last, err2 := parseCount(to)
	total, err3 := parseCount(size)
	if err1 != nil || err2 != nil || err3 != nil || first > last || last >= total {
		return span{}, bad
	}
	return span{first, last, total}, nil
}

// parseCount reads a number of bytes: digits and nothing else.
func parseCount(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(s, 10, 64)
}

// parseSessionRange reads how many bytes an upload session has: "0-last", with
// or without a unit. A session without bytes has no Range, or "0-0", which
// cannot be told from one byte and counts as none; so does what cannot be read.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks
func parseSessionRange(header string) int64 {
	header = strings.TrimPrefix(strings.TrimSpace(header), "bytes=")
	from, to, spans := strings.Cut(header, "-")
	first, err1 := parseCount(from)
	last, err2 := parseCount(to)
	if !spans || err1 != nil || err2 != nil || first != 0 || last == 0 || last+1 < 0 {
		return 0
	}
	return last + 1
}
