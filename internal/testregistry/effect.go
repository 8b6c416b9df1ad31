package testregistry

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

const wholeBody = 1<<63 - 1

// errBroken ends a request body that a fault breaks off.
var errBroken = errors.New("connection broken by fault")

// movesBody tells whether the body that matters is the request's.
func (q *exchange) movesBody() bool {
	return q.Method == http.MethodPost || q.Method == http.MethodPatch || q.Method == http.MethodPut
}

// struck returns the first strike with one of the effects.
func (q *exchange) struck(effects ...Effect) (Fault, bool) {
	for _, f := range q.strikes {
		if slices.Contains(effects, f.Effect) {
			return f, true
		}
	}
	return Fault{}, false
}

// keeps is how many bytes of the request's body the session keeps.
func (q *exchange) keeps() int64 {
	if f, hit := q.struck(Keep); hit {
		return f.N
	}
	return wholeBody
}

// bodyOf is the request's body as the handlers read it.
func (r *Registry) bodyOf(q *exchange) io.Reader {
	body := &faultyBody{countingReader: countingReader{r, q, q.Body}, left: wholeBody}
	if f, hit := q.struck(append([]Effect{StallAfter}, breaking...)...); hit && q.movesBody() {
		body.fault, body.left = f, max(0, f.N)
	}
	return body
}

// A faultyBody gives so many bytes, then does what its fault says.
type faultyBody struct {
	countingReader
	fault Fault
	left  int64
}

func (b *faultyBody) Read(p []byte) (int, error) {
	if b.left == 0 && b.fault.Effect == StallAfter {
		b.r.hold(b.q.Context(), b.fault.Release)
		b.left, b.q.stalled = wholeBody, true
		if b.q.Context().Err() != nil {
			return 0, errBroken // what is on its way is nobody's any more
		}
	}
	if b.left == 0 {
		return 0, errBroken
	}
	n, err := b.countingReader.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// before does what faults do ahead of the handler; one of them may answer in its place.
func (r *Registry) before(ctx context.Context, q *exchange) (reply, bool) {
	for _, f := range q.strikes {
		r.hit(string(f.Effect))
		if f.Hit != nil {
			f.Hit()
		}
		switch f.Effect {
		case Delay:
			r.wait(ctx, f.delayOf(q))
		case Hold:
			r.hold(ctx, f.Release)
		case IgnoreRange:
			q.Header.Del("Range")
		case Answer:
			return r.answerOf(f, q), true
		case Echo:
			return echoOf(f, q), true
		case Redirect:
			return redirectOf(f, q), true
		case HTML:
			a := newReply(http.StatusOK).with("Content-Type", "text/html; charset=utf-8")
			a.body = []byte("<!DOCTYPE html><html><body><h1>Welcome to our network</h1>Please sign in.</body></html>\n")
			return a, true
		case Revoke:
			r.RevokeTokens()
			return r.challenge(q, "invalid_token"), true
		case Phantom:
			return newReply(http.StatusOK).with("Content-Type", "application/octet-stream").with("Content-Length", strconv.FormatInt(f.N, 10)), true
		case SessionLost:
			r.mu.Lock()
			delete(r.uploads, q.ref)
			r.mu.Unlock()
			return uploadUnknown(), true
		default: // the effect comes later
		}
	}
	return reply{}, false
}

// inParts packs a span as servers do that were asked for several.
// https://www.rfc-editor.org/rfc/rfc9110#section-15.3.7.2
func inParts(a reply) reply {
	const boundary = "SPANS"
	head := "--" + boundary + "\r\nContent-Type: application/octet-stream\r\nContent-Range: " + a.header.Get("Content-Range") + "\r\n\r\n"
	a.body = slices.Concat([]byte(head), a.body, []byte("\r\n--"+boundary+"--\r\n"))
	a.header.Del("Content-Range")
	a.header.Set("Content-Type", "multipart/byteranges; boundary="+boundary)
	return a
}

// delayOf is the same for the same request under the same seed, in whatever order requests come.
func (f Fault) delayOf(q *exchange) time.Duration {
	if f.Max <= f.Min {
		return f.Min
	}
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, q.Method, q.URL.Path, q.Header.Get("Range")) // a hash never fails to take bytes
	rnd := rand.New(rand.NewPCG(f.Seed, h.Sum64()))
	return f.Min + time.Duration(rnd.Int64N(int64(f.Max-f.Min)))
}

func (r *Registry) answerOf(f Fault, q *exchange) reply {
	status := int(f.N)
	code := map[int]string{
		http.StatusUnauthorized: "UNAUTHORIZED", http.StatusForbidden: "DENIED",
		http.StatusTooManyRequests: "TOOMANYREQUESTS", http.StatusServiceUnavailable: "UNAVAILABLE",
	}[status]
	if status == http.StatusNotFound {
		code = map[Kind]string{
			KindBlob: "BLOB_UNKNOWN", KindManifest: "MANIFEST_UNKNOWN", KindUpload: "BLOB_UPLOAD_UNKNOWN",
		}[q.kind]
	}
	if code == "" {
		code = "UNKNOWN"
	}
	a := apiError(status, code, "%s (a fault of the test registry)", strings.ToLower(http.StatusText(status)))
	if status == http.StatusUnauthorized && r.config.Auth.Scheme != Open {
		a = r.challenge(q, "invalid_token")
	}
	if f.Body != "" {
		a.body = []byte(f.Body)
		a.header.Set("Content-Type", http.DetectContentType(a.body))
	}
	if ahead, isDate := strings.CutPrefix(f.RetryAfter, "@"); isDate {
		d, _ := time.ParseDuration(ahead) // a wrong one is a date that has come
		a.header.Set("Retry-After", time.Now().Add(d).UTC().Format(http.TimeFormat))
	} else if f.RetryAfter != "" {
		a.header.Set("Retry-After", f.RetryAfter)
	}
	return a
}

// echoOf is what proxies answer that were set up to debug something.
func echoOf(f Fault, q *exchange) reply {
	_ = q.ParseForm() // without a form there is less to repeat
	said := []string{q.Header.Get("Authorization"), q.Form.Get("password"), q.Form.Get("refresh_token")}
	if name, password, given := q.BasicAuth(); given {
		said = append(said, name+":"+password)
	}
	text := strings.Join(slices.DeleteFunc(said, func(s string) bool { return s == "" }), " ")
	return apiError(int(f.N), text, "you are %s and may not do this", text)
}

func redirectOf(f Fault, q *exchange) reply {
	status := http.StatusTemporaryRedirect
	if f.N != 0 {
		status = int(f.N)
	}
	to := f.Value + q.URL.RequestURI()
	if f.Value == "loop" {
		to = q.URL.RequestURI()
	}
	return newReply(status).with("Location", to)
}

// after bends a, the registry's own answer.
func (r *Registry) after(q *exchange, a reply) reply {
	for _, f := range q.strikes {
		if a.status/100 == 2 {
			a = f.bendBody(f.bendHeader(r, q, a))
		}
		for key, values := range f.Header {
			a.header[http.CanonicalHeaderKey(key)] = values
		}
	}
	return a
}

func (f Fault) bendHeader(r *Registry, q *exchange, a reply) reply {
	switch f.Effect {
	case ContentRange:
		if a.status == http.StatusPartialContent {
			setOrDrop(a.header, "Content-Range", f.contentRange(a))
		}
	case DigestHeader:
		value := f.Value
		if value == "wrong" {
			value = digest.FromString("not this").String()
		}
		setOrDrop(a.header, "Docker-Content-Digest", value)
	case LinkHeader:
		to := f.Value + q.URL.RequestURI()
		if f.Value == "self" {
			to = q.URL.RequestURI()
		}
		a.header.Set("Link", "<"+to+`>; rel="next"`)
	case Location:
		if to := a.header.Get("Location"); to != "" && a.status != http.StatusCreated {
			a.header.Set("Location", f.locationOf(r, q, to))
		}
	default: // not about headers
	}
	return a
}

func setOrDrop(h http.Header, key, value string) {
	if value == "none" {
		h.Del(key)
		return
	}
	h.Set(key, value)
}

func (f Fault) contentRange(a reply) string {
	if f.Value == "star" {
		span, _, _ := strings.Cut(a.header.Get("Content-Range"), "/")
		return span + "/*"
	}
	if f.Value != "shift" {
		return f.Value
	}
	var first, last, size int64
	if _, err := fmt.Sscanf(a.header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &size); err != nil {
		return f.Value
	}
	return fmt.Sprintf("bytes %d-%d/%d", first+1, last+1, size+1)
}

func (f Fault) locationOf(r *Registry, q *exchange, to string) string {
	switch f.Value {
	case "absolute":
		return r.scheme() + "://" + q.Host + to
	case "plain":
		return "http://" + q.Host + to
	case "relative":
		return to[strings.LastIndex(to, "/")+1:]
	}
	return f.Value + to
}

func (f Fault) bendBody(a reply) reply {
	switch f.Effect {
	case Flip:
		var first int64
		if a.status == http.StatusPartialContent {
			_, _ = fmt.Sscanf(a.header.Get("Content-Range"), "bytes %d-", &first) // stays 0 without one
		}
		if at := f.N - first; at >= 0 && at < int64(len(a.body)) {
			a.body = bytes.Clone(a.body)
			a.body[at] ^= 1
		}
	case Multipart:
		if a.status == http.StatusPartialContent {
			a = inParts(a)
		}
	case Shorter:
		a.body = a.body[:max(0, int64(len(a.body))-f.N)]
	case Gzip:
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(a.body) // a buffer takes everything
		_ = w.Close()
		a.body = packed.Bytes()
		a.header.Set("Content-Encoding", "gzip")
	default: // not about bodies, or one for send
	}
	return a
}
