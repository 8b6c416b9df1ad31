package httpx

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// openQuery are the query parameters that never hold a secret: those of the
// distribution API, and what tokens are asked for.
var openQuery = []string{"n", "last", "digest", "mount", "from", "artifactType", "ns", "service", "scope"}

// openHeaders are the headers that never hold one.
var openHeaders = []string{
	"Accept", "Accept-Encoding", "Accept-Ranges", "Connection", "Content-Encoding", "Content-Length", "Content-Range",
	"Content-Type", "Date", "Docker-Content-Digest", "Docker-Distribution-Api-Version", "Docker-Upload-Uuid", "Etag",
	"Expect", "Oci-Chunk-Min-Length", "Oci-Filters-Applied", "Oci-Subject", "Range", "Ratelimit-Limit",
	"Ratelimit-Remaining", "Retry-After", "Server", "User-Agent", "Warning",
}

// Redact returns u as it may stand in an error or a log: without user
// information and fragment, and with the values of its query hidden but for
// those the distribution API defines.
func Redact(u *url.URL) string {
	if u == nil {
		return ""
	}
	r := *u
	r.User, r.Fragment, r.RawFragment = nil, "", ""
	r.RawQuery = redactQuery(r.RawQuery)
	return r.String()
}

// RedactText is Redact for text that should be a URL. What is none is hidden
// as a whole.
func RedactText(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "REDACTED"
	}
	return Redact(u)
}

// redactQuery works on the raw text, so that order and odd spellings stay.
func redactQuery(raw string) string {
	if raw == "" {
		return ""
	}
	parts := strings.FieldsFunc(raw, isSeparator)
	for i, part := range parts {
		key, value, _ := strings.Cut(part, "=")
		switch {
		case strings.Trim(value, "=") == "" && !slices.Contains(openQuery, key): // a secret, padded maybe, and no key
			parts[i] = "REDACTED"
		case !slices.Contains(openQuery, key):
			parts[i] = redactKey(key) + "=REDACTED"
		}
	}
	return strings.Join(parts, "&")
}

func isSeparator(c rune) bool { return c == '&' || c == ';' }

// redactKey keeps names and hides what only pretends to be one.
func redactKey(key string) string {
	const longest = 40
	plain := func(c rune) bool {
		return c == '-' || c == '_' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	if len(key) > longest || strings.TrimFunc(key, plain) != "" {
		return "REDACTED"
	}
	return key
}

// redactAuthorization keeps the scheme, where there is one: a header that a user
// configured may be nothing but a secret.
func redactAuthorization(value string) string {
	scheme, _, proof := strings.Cut(value, " ")
	if proof && (strings.EqualFold(scheme, "basic") || strings.EqualFold(scheme, "bearer")) {
		return scheme + " ***"
	}
	return "***"
}

// redactHeader returns the headers that may be shown; of Location and Link the
// redacted form.
func redactHeader(h http.Header) map[string]string {
	shown := map[string]string{}
	for key, values := range h {
		switch {
		case key == "Location":
			shown[key] = RedactText(strings.Join(values, ", "))
		case slices.Contains(openHeaders, key):
			shown[key] = strings.Join(values, ", ")
		case key == "Authorization":
			shown[key] = redactAuthorization(values[0])
		}
	}
	return shown
}
