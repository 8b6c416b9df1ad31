package registry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/internal/outside"
)

// An Error is a request that a registry did not answer as asked, or did not
// answer at all. [errors.Is] finds its class: a 404 is [content.ErrNotFound],
// 401 [content.ErrUnauthorized], 403 [content.ErrDenied], 429
// [content.ErrRateLimited], a network or host that failed
// [content.ErrUnavailable], and so on. A manifest that a registry refuses because
// it does not have what that names is [content.ErrConflict].
type Error struct {
	Method     string
	URL        string        // redacted
	Repository string        // whose manifest was asked for; empty where it was something else
	Ref        string        // a tag or digest, with Repository
	Via        []string      // redirects that led there, redacted; empty without any
	Status     int           // 0 when there was no answer
	Codes      []string      // the codes of the distribution spec, as the registry gave them
	Message    string        // what the registry said, made printable
	RetryAfter time.Duration // how long the host asked to wait
	Err        error         // what failed below HTTP, nil when the registry answered

	anonymous bool // no credential was for the host that answered
	hidden    bool // it is content.ErrHidden
	token     bool // it is a token server's: what it says is about tokens, not about what was asked for
	session   bool // an upload session is gone, and nothing that the user named
}

// A ProxyError is a proxy that does not connect us to a host, in an [Error].
type ProxyError = httpx.ProxyError

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Method + " " + e.URL)
	if len(e.Via) > 0 {
		b.WriteString(" (redirected from " + strings.Join(e.Via, " → ") + ")")
	}
	if e.Status != 0 {
		b.WriteString(": " + strconv.Itoa(e.Status) + " " + strings.ToLower(http.StatusText(e.Status)))
	}
	if len(e.Codes) > 0 {
		b.WriteString(": " + strings.Join(e.Codes, ", "))
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.RetryAfter > 0 {
		b.WriteString(": the host asks to wait " + e.RetryAfter.String())
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the class and what failed below.
func (e *Error) Unwrap() []error {
	var errs []error
	if class := e.class(); class != nil {
		errs = append(errs, class)
	}
	if e.hidden {
		errs = append(errs, content.ErrHidden)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// classes are those an error from below may have already.
var classes = []error{
	content.ErrNotFound, content.ErrUnauthorized, content.ErrDenied, content.ErrRateLimited, content.ErrUnavailable,
	content.ErrCorrupt, content.ErrInvalid, content.ErrConflict, content.ErrNoSpace,
	errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded,
}

func (e *Error) class() error {
	if e.Err != nil {
		if slices.ContainsFunc(classes, func(c error) bool { return errors.Is(e.Err, c) }) {
			return nil
		}
		return content.ErrUnavailable
	}
	if e.Speaks() == "https" {
		return content.ErrUnavailable // nothing was said about the request: it was not understood
	}
	if e.token {
		return e.classOfToken()
	}
	if e.session {
		return content.ErrUnavailable
	}
	if class := e.classOfCodes(); class != nil {
		return class
	}
	switch e.Status {
	case http.StatusNotFound, http.StatusGone:
		return content.ErrNotFound
	case http.StatusUnauthorized:
		if len(e.Via) > 0 || e.anonymous {
			return content.ErrDenied // no credential of ours would be right there
		}
		return content.ErrUnauthorized
	case http.StatusForbidden, http.StatusPaymentRequired, http.StatusUnavailableForLegalReasons:
		return content.ErrDenied
	case http.StatusTooManyRequests:
		return content.ErrRateLimited
	case http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented:
		return errors.ErrUnsupported
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusLocked:
		return content.ErrConflict
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return content.ErrUnavailable
	case http.StatusProxyAuthRequired:
		return content.ErrUnauthorized
	}
	if e.Status >= 400 && e.Status < 500 {
		return content.ErrInvalid
	}
	return content.ErrUnavailable
}

// classOfToken is for what token servers answer.
func (e *Error) classOfToken() error {
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusProxyAuthRequired: // 400: RFC 6749 §5.2
		return content.ErrUnauthorized
	case http.StatusForbidden:
		return content.ErrDenied
	case http.StatusTooManyRequests:
		return content.ErrRateLimited
	}
	return content.ErrUnavailable
}

// Speaks returns the scheme in which the host wants to be asked, where e is that
// it was asked in the other one: "http" or "https", else nothing.
func (e *Error) Speaks() string {
	var record tls.RecordHeaderError
	switch {
	case errors.Is(e.Err, http.ErrSchemeMismatch), errors.As(e.Err, &record):
		return "http"
	case e.Status == http.StatusBadRequest && strings.Contains(e.Message, "HTTP request to an HTTPS server"):
		return "https" // so say net/http and nginx
	}
	return ""
}

// A schemeError is an answer in plain http to who asked in TLS.
type schemeError struct{}

func (schemeError) Error() string { return "the host speaks plain http" }

func (schemeError) Is(target error) bool {
	return target == content.ErrUnavailable || target == http.ErrSchemeMismatch
}

// classOfCodes is for statuses that say too little: registries answer 400 for
// nearly everything.
func (e *Error) classOfCodes() error {
	switch {
	case e.refusesManifest():
		return content.ErrConflict
	case e.has("MANIFEST_BLOB_UNKNOWN"):
		return content.ErrNotFound // one implementation says it with a 500
	}
	if e.Status != http.StatusBadRequest && e.Status != http.StatusForbidden {
		return nil
	}
	for _, code := range e.Codes {
		switch strings.ToUpper(code) {
		case "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "NAME_UNKNOWN":
			return content.ErrNotFound
		case "UNAUTHORIZED":
			return content.ErrUnauthorized
		case "DENIED":
			return content.ErrDenied
		case "TOOMANYREQUESTS":
			return content.ErrRateLimited
		case "UNSUPPORTED":
			return errors.ErrUnsupported
		}
	}
	return nil
}

// refusesManifest reports whether a registry was given a manifest and lacks, in
// its own view, what that needs. Nothing that the user named is missing.
func (e *Error) refusesManifest() bool {
	return e.Method == http.MethodPut && e.has("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN")
}

// has reports whether the registry gave one of these codes.
func (e *Error) has(codes ...string) bool {
	return slices.ContainsFunc(e.Codes, func(c string) bool { return slices.Contains(codes, strings.ToUpper(c)) })
}

// hasCode reports whether err is a registry's answer with one of these codes.
func hasCode(err error, codes ...string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.has(codes...)
}

// statusOf returns the status of the answer that err is, 0 if it is none.
func statusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// maxErrorBody bounds what is read of an answer that is an error.
const maxErrorBody = 64 << 10

// check closes an answer that is not one of those wanted, and returns what it says.
func (h *host) check(resp *http.Response, want ...int) error {
	if slices.Contains(want, resp.StatusCode) {
		return nil
	}
	return h.answerError(resp)
}

// answerError turns an answer into an error and closes it. Of what others say to
// whom the host led there are only the codes: nobody knows what else is in it.
func (h *host) answerError(resp *http.Response) error {
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what there is of it
	e := &Error{Method: resp.Request.Method, URL: h.locate(resp.Request), Status: resp.StatusCode}
	if chain := httpx.Chain(resp.Request); len(chain) > 1 {
		e.Via = chain[:len(chain)-1]
		for i, hop := range e.Via[1:] {
			e.Via[1+i] = h.secrets.mask(hop)
		}
	}
	e.anonymous = !h.owns(resp.Request.URL) || httpx.IsAnonymous(resp.Request)
	e.RetryAfter, _ = httpx.RetryAfter(resp.Header, time.Now())
	// What is parsed may have lost the end of a secret.
	codes, message := parseErrorBody([]byte(h.secrets.maskAnswer(string(body), resp.Request)))
	if h.owns(resp.Request.URL) {
		if !isNamed(resp.Request) {
			e.Repository, e.Ref = h.manifestAt(resp.Request.URL)
		}
		e.Message = outside.Printable(h.secrets.maskAnswer(message, resp.Request), 400)
	} else {
		codes = slices.DeleteFunc(codes, func(c string) bool { return !isCode(c) })
	}
	e.Codes = h.codes(codes)
	return e
}

// manifestAt returns which manifest is at u.
func (h *host) manifestAt(u *url.URL) (repository, ref string) {
	path, below := strings.CutPrefix(u.Path, h.root())
	repository, ref, found := strings.Cut(path, "/manifests/")
	if !below || !found {
		return "", ""
	}
	return repository, ref
}

// codes are codes as they may be told.
func (h *host) codes(codes []string) []string {
	for i, c := range codes {
		codes[i] = outside.Printable(h.secrets.mask(c), 64)
	}
	return codes
}

// isCode reports whether s looks like an error code of the distribution spec.
func isCode(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// locate returns the URL of a request as it may be told. What a server named may
// repeat what that was shown; what the user named stays as it is.
func (h *host) locate(req *http.Request) string {
	if h.owns(req.URL) && !isNamed(req) {
		return httpx.Redact(req.URL)
	}
	return h.secrets.mask(httpx.Redact(req.URL))
}

// parseErrorBody reads what the spec says an error's body is, and makes the
// best of anything else.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
func parseErrorBody(body []byte) (codes []string, message string) {
	var wire struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
		Message string `json:"message"`
		Details string `json:"details"`
	}
	if json.Unmarshal(body, &wire) != nil {
		return nil, plainMessage(body)
	}
	var said []string
	for _, e := range wire.Errors[:min(len(wire.Errors), 8)] {
		if e.Code != "" {
			codes = append(codes, e.Code)
		}
		if e.Message != "" {
			said = append(said, e.Message)
		}
	}
	if len(said) == 0 {
		said = slices.DeleteFunc([]string{wire.Message, wire.Details}, func(s string) bool { return s == "" })
	}
	return codes, strings.Join(said, "; ")
}

func plainMessage(body []byte) string {
	text := strings.TrimSpace(string(body))
	if isHTML(text) {
		return "an HTML page"
	}
	first, _, _ := strings.Cut(text, "\n")
	return first
}

func isHTML(text string) bool {
	start := strings.ToLower(text[:min(len(text), 64)])
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html")
}

// transportError says what failed when there was no answer.
func (h *host) transportError(req *http.Request, err error) error {
	if _, known := errors.AsType[*Error](err); known {
		return err
	}
	if cause := context.Cause(req.Context()); cause != nil {
		err = cause
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		err = schemeError{}
	}
	return &Error{Method: req.Method, URL: h.locate(req), Err: h.secrets.maskError(err)}
}
